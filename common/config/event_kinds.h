/* event_kinds: events.kinds, the events that back ends may ask for. SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_EVENT_KINDS_H
#define COMMON_CONFIG_EVENT_KINDS_H

#include <stdbool.h>

#include "common/config/config.h"

/* Those that the setting names, for event_kinds_have. False: one is none. */
bool event_kinds_parse(const char *kinds, unsigned *wanted);
/* Does anybody want to know of this kind? */
bool event_kinds_have(unsigned wanted, const char *kind);
/* Does the setting, which has been checked, name this kind? Reads it anew each time. */
bool event_kinds_name(const struct config *cfg, const char *kind);
/* *words: "<events.length> <kinds>", as the scripts in Redis take it, malloc'ed; NULL: none is wanted. 0 or -ENOMEM. */
int event_kinds_words(const struct config *cfg, char **words);

#endif
