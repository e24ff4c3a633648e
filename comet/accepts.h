/* accepts: which operations a client wants to get. It has no lock of its own: the channel's guards it.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_ACCEPTS_H
#define COMET_ACCEPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: no operation. */
struct accepts {
	int32_t *ops; /* sorted */
	uint32_t n;
	bool all; /* v1: no filter */
};

void accepts_fini(struct accepts *a);

bool accepts_has(const struct accepts *a, int32_t op);
/* These operations too. 0; it stays as it was on -ENOBUFS: more than `max` together, and on -ENOMEM. */
int accepts_add(struct accepts *a, const int32_t *ops, size_t n, size_t max);
/* Those no longer for which may() says no; and not all, if it was all. */
void accepts_keep(struct accepts *a, bool (*may)(void *arg, int32_t op), void *arg);
/* These no longer; those that are not there are ignored. */
void accepts_remove(struct accepts *a, const int32_t *ops, size_t n);

#endif
