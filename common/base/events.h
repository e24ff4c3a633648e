/* events: everything that the programs log, as one table. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_EVENTS_H
#define COMMON_BASE_EVENTS_H

enum event {
#define event(NAME, name, levels, sentence, meaning) EVENT_##NAME,
#include "common/base/events.def"
#undef event
	EVENT_MAX
};

/* "connection_closed": it stays the same from release to release. */
const char *event_name(enum event e);
/* "the connection is closed" */
const char *event_sentence(enum event e);

#endif
