/* redis_instances: which instances of logic are up, as comet:logics says, less those that we found gone or silent. No lock
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
	size_t next; /* whose turn it is */
};

/* A new list, in which each is up; what is known of those in both is kept. */
void redis_instances_set(struct redis_instances *i, const struct redis_instance *list, size_t n);
/* Whose turn it is, other than `but` if there is another; the silent ones only if all are. False: there is none. */
bool redis_instances_pick(struct redis_instances *i, const char *but, char name[REDIS_INSTANCE_BYTES]);
/* Nobody listens on its channel. */
void redis_instances_gone(struct redis_instances *i, const char *name);
/* It did not answer in time. */
void redis_instances_silent(struct redis_instances *i, const char *name);

#endif
