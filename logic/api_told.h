/* api_told: what the answer to a push tells of its fate: its numbers in headers, and in the body for who asks. For logic/api_*.c only.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_API_TOLD_H
#define LOGIC_API_TOLD_H

#include "logic/api_v2.h"

struct api_told {
	struct fate fate;
	bool is_due;  /* the caller's key may know who is online; otherwise it is told nothing */
	bool in_body; /* it has asked */
	json_t *positions; /* of users who are kept, because they were asked for, each by his name; or NULL. Taken by api_told_reply */
};

/* The names that a push is for, as JSON: the one in this place. */
typedef json_t *api_name(const void *names, size_t i);

/* Before a push to n names (of a list that offline=1 may have listed; 0: there is none): have its message come back with its fate. 0 or
 * -ENOMEM; api_told_fini is due in each case. */
int api_told_init(struct api_told *told, const struct api_call *call, size_t n, struct logic_message *message);
void api_told_fini(struct api_told *told);

/* Answer a push that ended with rc, whose n names came as `param`. */
void api_told_reply(struct api_told *told, struct api_call *call, int rc, const char *param, const void *names,
		    size_t n, api_name *name);

#endif
