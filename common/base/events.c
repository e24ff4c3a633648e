/* events: see events.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/events.h"

static const struct {
	const char *name;
	const char *sentence;
} table[EVENT_MAX] = {
#define event(NAME, name, levels, sentence, meaning) [EVENT_##NAME] = {name, sentence},
#include "common/base/events.def"
#undef event
};

const char *event_name(enum event e)
{
	return table[e].name;
}

const char *event_sentence(enum event e)
{
	return table[e].sentence;
}
