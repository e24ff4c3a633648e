/* api_push: a push, by the parameters of a call, in two halves: so a single call and each line of a batch are one and the same. For
 * logic/api_*.c only. SPDX-License-Identifier: MIT */
#ifndef LOGIC_API_PUSH_H
#define LOGIC_API_PUSH_H

#include "logic/api_told.h"

/* To whom: by keys, mids, users, room or all. */
struct api_push_kind;

struct api_push {
	const struct api_push_kind *kind;
	struct logic_message message;
	struct logic_flight flight;
	struct api_told told;
	void *names; /* keys or users, */
	size_t n;    /* so many */
	char room[WIRE_ROOM_BYTES];
	long long speed;
	uint64_t number;   /* in a stream */
	uint64_t *numbers; /* of users who are kept, in their streams; or NULL */
	int rc;
};

/* The kind that these parameters name: by the one of keys, mids, users and room that is there, or by all where it is 1. NULL: none, or two. */
const struct api_push_kind *api_push_kind_of(const struct http_request *request);
/* The path of its own call. */
const char *api_push_path(const struct api_push_kind *kind);

/* Read the call's parameters, and hand the push over; with `in_halves` it may be under way then. Call and request stay where they are
 * until api_push_end, which is due in each case, and waits and answers. */
void api_push_begin(struct api_push *p, struct api_call *call, const struct api_push_kind *kind, bool in_halves);
bool api_push_is_under_way(const struct api_push *p);
void api_push_end(struct api_push *p, struct api_call *call);

#endif
