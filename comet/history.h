/* history: the last pushes of one numbered stream: references to messages with consecutive numbers, the newest of which is `at`.
 * It knows nothing of rooms, and has no lock: its owner has one. SPDX-License-Identifier: MIT */
#ifndef COMET_HISTORY_H
#define COMET_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire/message.h"

struct history {
	uint64_t at; /* number of the newest push, whether it is still held or not */
	struct message **ring;
	size_t space, first, n; /* places, the oldest's place, messages held: numbers at - n + 1 to at */
	size_t bytes;           /* about what is held because of it */
};

/* What a message in it counts. */
size_t history_cost(const struct message *m);

/* One more, which has the number at + 1; a reference is taken. With it at most `most` messages stay, and `bytes_most`: the oldest
 * go first, the newest always stays. 0; -ENOMEM: nothing has changed. */
int history_add(struct history *h, struct message *m, size_t most, size_t bytes_most);
/* Forget all messages; `at` stays. */
void history_drop(struct history *h);

/* The held message with this number, borrowed. at - n < number <= at. */
struct message *history_get(const struct history *h, uint64_t number);

#endif
