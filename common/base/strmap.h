/* strmap: string -> pointer, the map of bucket and registry. Chained hashing over SipHash; grows by doubling, shrinks when
 * three quarters empty, so that memory follows the load both ways. No lock of its own: the owner has one.
 * Keys are copied. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_STRMAP_H
#define COMMON_BASE_STRMAP_H

#include <stddef.h>
#include <stdint.h>

struct strmap_node;

struct strmap {
	struct strmap_node **slots; /* NULL while empty */
	size_t n_slots;             /* a power of two, or 0 */
	size_t count;
};

/* Never fails: nothing is allocated before the first put. */
void strmap_init(struct strmap *m);
/* Frees nodes and keys; the values are the owner's. Leaves an empty map. */
void strmap_fini(struct strmap *m);
/* The same, and drop() for each value. It must not touch the map. */
void strmap_drop_all(struct strmap *m, void (*drop)(void *value));

/* The hash that the map itself uses, seeded anew in each process; also good to choose a shard by (use other bits: >> 32). */
uint64_t strmap_hash(const char *key);

/* The value, or NULL. */
void *strmap_get(const struct strmap *m, const char *key);

/* Set key -> value (not NULL). *old (if old is not NULL) gets the value replaced, or NULL. 0 or -ENOMEM; on -ENOMEM
 * nothing changed. */
int strmap_put(struct strmap *m, const char *key, void *value, void **old);

/* Remove the key; the value it had, or NULL. */
void *strmap_del(struct strmap *m, const char *key);

/* Walk: start with *cursor = {0}; returns 0 at the end. Between two calls the map must not change, but for
 * strmap_del_walked. */
struct strmap_cursor {
	size_t slot;
	struct strmap_node *next;
};
int strmap_next(const struct strmap *m, struct strmap_cursor *cursor, const char **key, void **value);

/* Remove the key that strmap_next handed out last, and which is gone with it: the walk goes on, since the table stays as large
 * as it is. After the walk, strmap_shrink gives back what is not needed any more. */
void *strmap_del_walked(struct strmap *m, const char *key);
void strmap_shrink(struct strmap *m);

#endif
