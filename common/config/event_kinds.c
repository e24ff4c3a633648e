/* event_kinds: see event_kinds.h. SPDX-License-Identifier: MIT */
#include "common/config/event_kinds.h"

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

char *event_kinds_words(const struct config *cfg)
{
	const char *kinds = cfg->events_kinds;
	char one[16], *text = NULL;
	size_t bytes;
	FILE *out;

	if (kinds == NULL || kinds[0] == '\0' || (out = open_memstream(&text, &bytes)) == NULL)
		return NULL;
	(void)fprintf(out, "%lld", (long long)cfg->events_length);
	while (config_list_next(&kinds, one, sizeof(one)))
		(void)fprintf(out, " %s", one);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
