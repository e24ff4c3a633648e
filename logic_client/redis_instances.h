/* redis_instances: the instances of logic that are up, as comet:logics says, less those that we found gone or silent. No lock
 * of its own: its owner has one. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_INSTANCES_H
#define LOGIC_CLIENT_REDIS_INSTANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDIS_INSTANCE_BYTES 128
#define REDIS_INSTANCES_MAX  256

struct redis_instance {
	char name[REDIS_INSTANCE_BYTES];
	int64_t until_ms;  /* its lease, on Redis's clock: grows with each renewal */
	int64_t silent_at; /* until_ms when it did not answer; it is asked again once it has renewed its lease */
};

struct redis_instances {
	struct redis_instance all[REDIS_INSTANCES_MAX];
	size_t n;
	size_t next; /* the next one's place */
};

/* A new list, in which each instance is up; instances in both lists keep their state. */
void redis_instances_set(struct redis_instances *i, const struct redis_instance *list, size_t n);
/* The next instance, other than `but` if there is another; a silent one only if all are silent. False: there is none. */
bool redis_instances_pick(struct redis_instances *i, const char *but, char name[REDIS_INSTANCE_BYTES]);
/* Nobody listens on the instance's channel. */
void redis_instances_gone(struct redis_instances *i, const char *name);
/* The instance did not answer in time. */
void redis_instances_silent(struct redis_instances *i, const char *name);

#endif
