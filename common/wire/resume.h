/* resume: what is asked of the numbered stream of a room in Redis, and the answer. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_RESUME_H
#define COMMON_WIRE_RESUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/message.h"

struct resume {
	const char *room;
	uint64_t since; /* a position; 0: none */
	uint64_t last;  /* so many of the newest, where that is none or a gap */
	bool may_make;  /* a number, where there is none */
	/* the answer: 0; -EBUSY there is no number, and none may be made; -ERR_NO_LOGIC; -ENOMEM. Only after 0 there is something to
	 * free */
	int rc;
	bool made; /* a number */
	bool gap;  /* something is missing after `since` */
	uint64_t newest;
	struct message **messages; /* the last of them is the newest push; each has its number */
	size_t n;
};

void resume_fini(struct resume *r);

#endif
