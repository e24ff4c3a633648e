/* logic_push: what the pushes of logic.h have in common. For logic/logic_*.c only. SPDX-License-Identifier: MIT */
#ifndef LOGIC_LOGIC_PUSH_H
#define LOGIC_LOGIC_PUSH_H

#include "logic/logic.h"

/* How often a push looks again for keys that moved between the look and the push: twice in a row is rare. */
#define LOGIC_PUSH_LOOKS 8

/* 0; -EMSGSIZE, -ENOMEM. */
int logic_make_message(const struct logic_message *m, struct message **out);
/* The names of n_names under which nobody was found. Each registry finds them in their order. */
void logic_count_offline(const struct registry_found *found, size_t n_names, struct fate *fate);
/* One push for each server, with all of its keys, or over a cluster as many as it takes. `push` is the message; keys and sessions are filled in. `looks`: keys that moved
 * meanwhile may be looked up again so many times. fate: NULL, or it becomes known. The errors of a push. */
int logic_push_found(struct logic *l, struct registry_found *found, struct wire_push *push, unsigned looks,
		     struct fate *fate);

/* logic_push_users of a message that is kept: logic_kept.c. And the end of one that is in progress, as logic_push_end; frees t. */
int logic_push_kept(struct logic *l, const struct logic_message *m, const struct user *users, size_t n);
int logic_kept_end(struct tour *t, uint64_t *number);

#endif
