/* setting: one row of config.def at run time. Finds a row by name, reads a value into the struct config, writes a value
 * as an operator would. Knows nothing of files, flags or the environment. SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_SETTING_H
#define COMMON_CONFIG_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"

enum setting_kind {
	SETTING_STR,
	SETTING_SECRET,
	SETTING_INT,
	SETTING_SIZE,
	SETTING_TIME,
	SETTING_BOOL,
	SETTING_ENUM,
};

struct setting {
	enum setting_kind kind;
	const char *name; /* "section.key" */
	const char *section;
	const char *key;
	const char *text; /* default of a string */
	int64_t def;      /* default of all others, and their range */
	int64_t min;
	int64_t max;
	const char *names; /* of an enum: "a|b|c" */
	const char *help;
	size_t offset; /* of the field in struct config */
	bool live;     /* a reload takes another value */
};

/* One for each row, then one without a name. */
extern const struct setting settings[];

enum setting_index {
#define setting_str(section, key, def, help)            SETTING_INDEX_##section##_##key,
#define setting_secret(section, key, def, help)         SETTING_INDEX_##section##_##key,
#define setting_int(section, key, def, min, max, help)  SETTING_INDEX_##section##_##key,
#define setting_size(section, key, def, min, max, help) SETTING_INDEX_##section##_##key,
#define setting_time(section, key, def, min, max, help) SETTING_INDEX_##section##_##key,
#define setting_bool(section, key, def, help)           SETTING_INDEX_##section##_##key,
#define setting_enum(section, key, def, names, help)    SETTING_INDEX_##section##_##key,
#include "common/config/config.def"
#undef setting_str
#undef setting_secret
#undef setting_int
#undef setting_size
#undef setting_time
#undef setting_bool
#undef setting_enum
	SETTING_MAX
};

#define SETTING_TEXT_BYTES 64   /* holds any value that is no string */
#define SETTING_ENV_BYTES  64   /* holds the name of any environment variable */
#define SETTING_WHY_BYTES  256  /* holds the fault of a value */
#define SETTING_LONGEST    4000 /* bytes of a string value, in every source */

/* The row of this name, or NULL. */
const struct setting *setting_find(const char *section, const char *key);
/* The row that somebody who wrote this most likely meant, or NULL when none comes near. */
const struct setting *setting_nearest(const char *section, const char *key);

/* COMET_SECTION_KEY. */
void setting_env_name(const struct setting *s, char name[SETTING_ENV_BYTES]);

/* Its default, into cfg. 0 or -ENOMEM. */
int setting_reset(const struct setting *s, struct config *cfg);
/* Free what the row holds in cfg. */
void setting_drop(const struct setting *s, struct config *cfg);

/* Have they different values of it? */
bool setting_differs(const struct setting *s, const struct config *a, const struct config *b);
/* A copy of the value that `from` has. 0 or -ENOMEM. */
int setting_copy(const struct setting *s, const struct config *from, struct config *to);
/* For a live row, while any thread reads: they change their values. A string that was read before stays good, and is next's. */
void setting_swap(const struct setting *s, struct config *cfg, struct config *next);

/* Read `value` into cfg, spaces around it ignored.
 *   0
 *   -ERR_CONFIG  it is no such value; cfg is as before, `why` has the words (a secret does not stand in them)
 *   -ENOMEM      cfg is as before */
int setting_set(const struct setting *s, struct config *cfg, const char *value, char why[SETTING_WHY_BYTES]);

/* The value of a row that is no string, in the unit that reads best: 64k, 8m, yes, disconnect. */
void setting_text(const struct setting *s, int64_t value, char text[SETTING_TEXT_BYTES]);
/* The value that cfg has for the row, written to `number` unless it is a string; a secret that is set is "***". */
const char *setting_show(const struct setting *s, const struct config *cfg, char number[SETTING_TEXT_BYTES]);

#endif
