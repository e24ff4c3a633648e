/* retired: the settings that are accepted and ignored: retired.def. SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_RETIRED_H
#define COMMON_CONFIG_RETIRED_H

struct retired {
	const char *name; /* "section.key" */
	const char *section;
	const char *key;
	const char *since;    /* the first release without it */
	const char *what_now; /* half a sentence */
};

/* One for each row, then one without a name. */
extern const struct retired retired_settings[];

/* The row of this name, or NULL. */
const struct retired *retired_find(const char *section, const char *key);

#endif
