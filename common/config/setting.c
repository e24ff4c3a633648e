/* setting: see setting.h. Runs while a program starts, on its main thread. SPDX-License-Identifier: MIT */
#include "common/config/setting.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/obj.h"

#define ROW_OF(is_live, kind, section, key, ...)                                                                       \
	{SETTING_##kind, #section "." #key, #section, #key, __VA_ARGS__, offsetof(struct config, section##_##key),     \
	 is_live},
#define ROW(kind, section, key, ...)                    ROW_OF(false, kind, section, key, __VA_ARGS__)
#define LIVE(kind, section, key, ...)                   ROW_OF(true, kind, section, key, __VA_ARGS__)
#define live_str(section, key, def, help)               LIVE(STR, section, key, def, 0, 0, 0, NULL, help)
#define live_int(section, key, def, min, max, help)     LIVE(INT, section, key, NULL, def, min, max, NULL, help)
#define live_size(section, key, def, min, max, help)    LIVE(SIZE, section, key, NULL, def, min, max, NULL, help)
#define live_time(section, key, def, min, max, help)    LIVE(TIME, section, key, NULL, def, min, max, NULL, help)
#define live_enum(section, key, def, names, help)       LIVE(ENUM, section, key, NULL, def, 0, 0, names, help)
#define setting_str(section, key, def, help)            ROW(STR, section, key, def, 0, 0, 0, NULL, help)
#define setting_secret(section, key, def, help)         ROW(SECRET, section, key, def, 0, 0, 0, NULL, help)
#define setting_int(section, key, def, min, max, help)  ROW(INT, section, key, NULL, def, min, max, NULL, help)
#define setting_size(section, key, def, min, max, help) ROW(SIZE, section, key, NULL, def, min, max, NULL, help)
#define setting_time(section, key, def, min, max, help) ROW(TIME, section, key, NULL, def, min, max, NULL, help)
#define setting_bool(section, key, def, help)           ROW(BOOL, section, key, NULL, def, 0, 1, NULL, help)
#define setting_enum(section, key, def, names, help)    ROW(ENUM, section, key, NULL, def, 0, 0, names, help)
const struct setting settings[] = {
#include "common/config/config.def"
	{.name = NULL},
};
#undef live_str
#undef live_int
#undef live_size
#undef live_time
#undef live_enum
#undef setting_str
#undef setting_secret
#undef setting_int
#undef setting_size
#undef setting_time
#undef setting_bool
#undef setting_enum

static const char spaces[] = " \t\r\n\v\f";

/* A unit behind a number. In each table the largest comes first, for writing. */
struct unit {
	const char *name;
	int64_t worth;
};
static const struct unit size_units[] = {{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}};
static const struct unit time_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit no_units[] = {{"", 1}};

static const struct unit *units_of(const struct setting *s, size_t *n)
{
	switch (s->kind) {
	case SETTING_SIZE:
		*n = sizeof(size_units) / sizeof(size_units[0]);
		return size_units;
	case SETTING_TIME:
		*n = sizeof(time_units) / sizeof(time_units[0]);
		return time_units;
	default:
		*n = 1;
		return no_units;
	}
}

/* ---- finding a row ---- */

const struct setting *setting_find(const char *section, const char *key)
{
	for (const struct setting *s = settings; s->name != NULL; s++)
		if (strcmp(s->section, section) == 0 && strcmp(s->key, key) == 0)
			return s;
	return NULL;
}

#define NAME_MAX_BYTES 48 /* longer ones are no slip of the finger */

/* How many letters must be inserted, left out or changed to make b of a (Levenshtein); both at most NAME_MAX_BYTES. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_BYTES + 1];
	size_t b_bytes = strlen(b);

	for (size_t j = 0; j <= b_bytes; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < b_bytes; j++) {
			size_t best = diagonal + (tolower((unsigned char)a[i]) != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			row[j + 1] = best;
		}
	}
	return row[b_bytes];
}

/* "certFile" is cert_file: goim's files write keys so. */
static bool is_same_key(const char *theirs, const char *ours)
{
	do {
		theirs += strspn(theirs, "_");
		ours += strspn(ours, "_");
		if (tolower((unsigned char)*theirs) != *ours)
			return false;
		ours++;
	} while (*theirs++ != '\0');
	return true;
}

const struct setting *setting_nearest(const char *section, const char *key)
{
	char name[NAME_MAX_BYTES + 1];
	const struct setting *nearest = NULL;
	int bytes = snprintf(name, sizeof(name), "%s.%s", section, key);
	/* A third of the letters may be wrong; beyond that the guess would only mislead. */
	size_t best = (size_t)bytes / 3 + 1;

	if (bytes < 0 || (size_t)bytes >= sizeof(name))
		return NULL;
	for (const struct setting *s = settings; s->name != NULL; s++) {
		/* The right key in a wrong section is the likeliest slip of all. */
		size_t distance = is_same_key(key, s->key) ? 1 : edit_distance(name, s->name);

		if (distance < best) {
			best = distance;
			nearest = s;
		}
	}
	return nearest;
}

void setting_env_name(const struct setting *s, char name[SETTING_ENV_BYTES])
{
	int bytes = snprintf(name, SETTING_ENV_BYTES, "COMET_%s_%s", s->section, s->key);

	BUG_UNLESS(bytes > 0 && bytes < SETTING_ENV_BYTES);
	for (char *p = name; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
}

/* ---- reading a value ---- */

/* The field of a row; its type follows from the row's kind. */
static void *field_of(const struct setting *s, const struct config *cfg)
{
	return (char *)cfg + s->offset;
}

static void store_number(const struct setting *s, struct config *cfg, int64_t value)
{
	switch (s->kind) {
	case SETTING_BOOL:
		*(bool *)field_of(s, cfg) = value != 0;
		break;
	case SETTING_ENUM:
		*(int *)field_of(s, cfg) = (int)value;
		break;
	default:
		*(int64_t *)field_of(s, cfg) = value;
	}
}

static int64_t load_number(const struct setting *s, const struct config *cfg)
{
	switch (s->kind) {
	case SETTING_BOOL:
		return *(bool *)field_of(s, cfg);
	case SETTING_ENUM:
		return *(int *)field_of(s, cfg);
	default:
		return *(int64_t *)field_of(s, cfg);
	}
}

static bool is_string(const struct setting *s)
{
	return s->kind == SETTING_STR || s->kind == SETTING_SECRET;
}

static int store_string(const struct setting *s, struct config *cfg, const char *value, size_t bytes)
{
	char **field = field_of(s, cfg);
	char *copy = malloc(bytes + 1);

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, value, bytes);
	copy[bytes] = '\0';
	free(*field);
	*field = copy;
	return 0;
}

static int read_string(const struct setting *s, struct config *cfg, const char *value, size_t bytes,
		       char why[SETTING_WHY_BYTES])
{
	if (bytes > SETTING_LONGEST) {
		(void)snprintf(why, SETTING_WHY_BYTES, "longer than %d bytes", SETTING_LONGEST);
		return -ERR_CONFIG;
	}
	for (size_t i = 0; i < bytes; i++)
		if (iscntrl((unsigned char)value[i])) {
			(void)snprintf(why, SETTING_WHY_BYTES, "has a control character in it");
			return -ERR_CONFIG;
		}
	/* Fed with the output of -t, a program would otherwise run with a key that all the world can guess. */
	if (s->kind == SETTING_SECRET && bytes == 3 && memcmp(value, "***", 3) == 0) {
		(void)snprintf(why, SETTING_WHY_BYTES,
			       "*** is what -t shows in place of a secret; give the secret itself");
		return -ERR_CONFIG;
	}
	return store_string(s, cfg, value, bytes);
}

/* The words for a number with a unit that this kind of row does not take, or with none where it needs one. */
static const char *number_words(const struct setting *s)
{
	switch (s->kind) {
	case SETTING_SIZE:
		return "a size: a whole number of bytes, or with k, m or g behind it, such as 64k";
	case SETTING_TIME:
		return "a time: a whole number with ms, s, m or h behind it, such as 500ms or 5m";
	default:
		return "a whole number";
	}
}

/* A whole number and one of the units of the row. False: it is neither, or beyond all ranges. */
static bool parse_number(const struct setting *s, const char *value, int64_t *out)
{
	char *end;
	int64_t number;
	size_t n;
	const struct unit *units = units_of(s, &n);

	if (!isdigit((unsigned char)value[value[0] == '-']))
		return false;
	errno = 0;
	number = strtoll(value, &end, 10);
	if (errno != 0)
		return false;
	if (number == 0 && *end == '\0') {
		*out = 0; /* nothing is nothing in every unit */
		return true;
	}
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(end, units[i].name) == 0)
			return !__builtin_mul_overflow(number, units[i].worth, out);
	return false;
}

static int read_number(const struct setting *s, struct config *cfg, const char *value, char why[SETTING_WHY_BYTES])
{
	int64_t number;
	char low[SETTING_TEXT_BYTES];
	char high[SETTING_TEXT_BYTES];

	if (!parse_number(s, value, &number)) {
		(void)snprintf(why, SETTING_WHY_BYTES, "`%.60s` is not %s", value, number_words(s));
		return -ERR_CONFIG;
	}
	if (number < s->min || number > s->max) {
		setting_text(s, s->min, low);
		setting_text(s, s->max, high);
		(void)snprintf(why, SETTING_WHY_BYTES, "%.60s is out of range; it goes from %s to %s", value, low,
			       high);
		return -ERR_CONFIG;
	}
	store_number(s, cfg, number);
	return 0;
}

static int read_bool(const struct setting *s, struct config *cfg, const char *value, char why[SETTING_WHY_BYTES])
{
	static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(value, words[i]) == 0) {
			store_number(s, cfg, i % 2);
			return 0;
		}
	(void)snprintf(why, SETTING_WHY_BYTES, "`%.60s` is neither yes nor no", value);
	return -ERR_CONFIG;
}

static int read_enum(const struct setting *s, struct config *cfg, const char *value, char why[SETTING_WHY_BYTES])
{
	size_t bytes = strlen(value);
	int index = 0;

	for (const char *name = s->names; *name != '\0'; index++) {
		size_t name_bytes = strcspn(name, "|");

		if (name_bytes == bytes && strncasecmp(name, value, bytes) == 0) {
			store_number(s, cfg, index);
			return 0;
		}
		name += name_bytes + (name[name_bytes] == '|');
	}
	(void)snprintf(why, SETTING_WHY_BYTES, "`%.60s` is not one of %s", value, s->names);
	return -ERR_CONFIG;
}

int setting_set(const struct setting *s, struct config *cfg, const char *value, char why[SETTING_WHY_BYTES])
{
	char word[128]; /* longer than anything that is not a string */
	size_t bytes;

	value += strspn(value, spaces);
	bytes = strlen(value);
	while (bytes > 0 && strchr(spaces, value[bytes - 1]) != NULL)
		bytes--;
	if (is_string(s))
		return read_string(s, cfg, value, bytes, why);
	(void)snprintf(word, sizeof(word), "%.*s", bytes < sizeof(word) ? (int)bytes : (int)sizeof(word), value);
	if (s->kind == SETTING_BOOL)
		return read_bool(s, cfg, word, why);
	if (s->kind == SETTING_ENUM)
		return read_enum(s, cfg, word, why);
	return read_number(s, cfg, word, why);
}

/* ---- two of them ---- */

bool setting_differs(const struct setting *s, const struct config *a, const struct config *b)
{
	if (is_string(s))
		return strcmp(*(char **)field_of(s, a), *(char **)field_of(s, b)) != 0;
	return load_number(s, a) != load_number(s, b);
}

int setting_copy(const struct setting *s, const struct config *from, struct config *to)
{
	const char *text = is_string(s) ? *(char **)field_of(s, from) : NULL;

	if (text != NULL)
		return store_string(s, to, text, strlen(text));
	store_number(s, to, load_number(s, from));
	return 0;
}

void setting_swap(const struct setting *s, struct config *cfg, struct config *next)
{
	const int64_t number = is_string(s) ? 0 : load_number(s, cfg);

	BUG_UNLESS(s->live);
	if (is_string(s))
		*(char **)field_of(s, next) =
			atomic_exchange((char *_Atomic *)field_of(s, cfg), *(char **)field_of(s, next));
	else if (s->kind == SETTING_ENUM)
		atomic_store((_Atomic int *)field_of(s, cfg), (int)load_number(s, next));
	else
		atomic_store((_Atomic int64_t *)field_of(s, cfg), load_number(s, next));
	if (!is_string(s))
		store_number(s, next, number);
}

int setting_reset(const struct setting *s, struct config *cfg)
{
	if (is_string(s))
		return store_string(s, cfg, s->text, strlen(s->text));
	store_number(s, cfg, s->def);
	return 0;
}

void setting_drop(const struct setting *s, struct config *cfg)
{
	if (is_string(s)) {
		char **field = field_of(s, cfg);

		free(*field);
		*field = NULL;
	}
}

/* ---- writing a value ---- */

static void enum_text(const struct setting *s, int64_t index, char text[SETTING_TEXT_BYTES])
{
	const char *name = s->names;

	for (; index > 0; index--)
		name += strcspn(name, "|") + 1;
	(void)snprintf(text, SETTING_TEXT_BYTES, "%.*s", (int)strcspn(name, "|"), name);
}

static void number_text(const struct setting *s, int64_t value, char text[SETTING_TEXT_BYTES])
{
	size_t n;
	const struct unit *units = units_of(s, &n);

	for (size_t i = 0; i < n; i++)
		if (value != 0 && value % units[i].worth == 0) {
			(void)snprintf(text, SETTING_TEXT_BYTES, "%lld%s", (long long)(value / units[i].worth),
				       units[i].name);
			return;
		}
	(void)snprintf(text, SETTING_TEXT_BYTES, "0");
}

void setting_text(const struct setting *s, int64_t value, char text[SETTING_TEXT_BYTES])
{
	if (s->kind == SETTING_BOOL)
		(void)snprintf(text, SETTING_TEXT_BYTES, "%s", value ? "yes" : "no");
	else if (s->kind == SETTING_ENUM)
		enum_text(s, value, text);
	else
		number_text(s, value, text);
}

const char *setting_show(const struct setting *s, const struct config *cfg, char number[SETTING_TEXT_BYTES])
{
	if (is_string(s)) {
		const char *value = *(char **)field_of(s, cfg);

		return s->kind == SETTING_SECRET && value[0] != '\0' ? "***" : value;
	}
	setting_text(s, load_number(s, cfg), number);
	return number;
}
