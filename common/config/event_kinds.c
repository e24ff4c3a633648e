/* event_kinds: see event_kinds.h. SPDX-License-Identifier: MIT */
#include "common/config/event_kinds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool event_kinds_are_good(const char *kinds)
{
	static const char *const known[] = {"online", "offline", "occupied", "vacated"};
	char one[16];

	while (config_list_next(&kinds, one, sizeof(one))) {
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) && strcmp(one, known[i]) != 0)
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return false;
	}
	return true;
}

bool event_kinds_have(const struct config *cfg, const char *kind)
{
	const char *kinds = cfg->events_kinds;
	char one[16];

	while (config_list_next(&kinds, one, sizeof(one)))
		if (strcmp(one, kind) == 0)
			return true;
	return false;
}

int event_kinds_words(const struct config *cfg, char **words)
{
	const char *kinds = cfg->events_kinds;
	const size_t bytes = strlen(kinds) + 24; /* the number; each blank has the place of a comma */
	char one[16];
	size_t n;

	*words = NULL;
	if (kinds[0] == '\0')
		return 0;
	if ((*words = malloc(bytes)) == NULL)
		return -ENOMEM;
	n = (size_t)snprintf(*words, bytes, "%lld", (long long)cfg->events_length);
	while (config_list_next(&kinds, one, sizeof(one)))
		n += (size_t)snprintf(*words + n, bytes - n, " %s", one);
	return 0;
}
