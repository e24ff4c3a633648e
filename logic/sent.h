/* sent: how many entries each comet's stream has had, as the answers to our pushes said. When Redis loses its data, the entries that a
 * comet had not read yet are gone, and neither the comet nor Redis knows their number; we know the last entry, and the comet knows
 * the last one that it read. So the comet is told (bus_redis.c), and counts the difference.
 * No lock of its own: the owner has one. SPDX-License-Identifier: MIT */
#ifndef LOGIC_SENT_H
#define LOGIC_SENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/strmap.h"

/* A comet with a longer name is never told. */
#define SENT_SERVER_BYTES 256

struct sent {
	uint64_t generation;   /* of Redis's data: when it began, ms */
	struct strmap streams; /* server -> struct sent_stream */
	size_t owed;           /* comets that are to be told */
	uint64_t rounds;       /* of telling them, so far */
};

void sent_init(struct sent *s);
void sent_fini(struct sent *s);

/* The data have this generation. A new one means that Redis has lost some: the numbers that we know are owed to the comets. */
void sent_generation(struct sent *s, uint64_t generation);

/* An answer: under this generation of Redis's data the push became entry `n` of the stream of `server`, whose lease has this
 * epoch. */
struct sent_answer {
	uint64_t generation;
	const char *server;
	uint64_t epoch;
	uint64_t n;
};
/* Answers may come in another order than they were given. Without memory a comet is not told, with no other harm. */
void sent_note(struct sent *s, const struct sent_answer *answer);

/* The next comet that is to be told, and the number of entries that its stream had when Redis lost its data. It counts as told
 * then, unless sent_owe puts it back. A round, which sent_round begins, has each comet once. False: nobody more. */
struct sent_word {
	char server[SENT_SERVER_BYTES];
	uint64_t epoch; /* of the lease that it is for */
	uint64_t had;
};
uint64_t sent_round(struct sent *s);
bool sent_take_owed(struct sent *s, uint64_t round, struct sent_word *word);
void sent_owe(struct sent *s, const struct sent_word *word);

#endif
