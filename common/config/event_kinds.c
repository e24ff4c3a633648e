/* event_kinds: see event_kinds.h. SPDX-License-Identifier: MIT */
#include "common/config/event_kinds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const known[] = {"online", "offline", "occupied", "vacated", "unacked"};
#define KNOWN (sizeof(known) / sizeof(known[0]))

/* Its place among them, or KNOWN. */
static unsigned place_of(const char *kind)
{
	unsigned i = 0;

	while (i < KNOWN && strcmp(kind, known[i]) != 0)
		i++;
	return i;
}

bool event_kinds_parse(const char *kinds, unsigned *wanted)
{
	char one[16];

	*wanted = 0;
	while (config_list_next(&kinds, one, sizeof(one))) {
		unsigned place = place_of(one);

		if (place == KNOWN)
			return false;
		*wanted |= 1u << place;
	}
	return true;
}

bool event_kinds_have(unsigned wanted, const char *kind)
{
	return (wanted & 1u << place_of(kind)) != 0;
}

bool event_kinds_name(const struct config *cfg, const char *kind)
{
	unsigned wanted;

	return event_kinds_parse(cfg->events_kinds, &wanted) && event_kinds_have(wanted, kind);
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
