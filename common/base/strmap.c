/* strmap: see strmap.h. Under the owner's lock. SPDX-License-Identifier: MIT */
#include "common/base/strmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/siphash.h"

#define SLOTS_MIN 8

struct strmap_node {
	struct strmap_node *next;
	uint64_t hash;
	void *value;
	char key[];
};

void strmap_init(struct strmap *m)
{
	*m = (struct strmap){0};
}

static void leave(void *value)
{
	(void)value;
}

void strmap_fini(struct strmap *m)
{
	strmap_drop_all(m, leave);
}

void strmap_drop_all(struct strmap *m, void (*drop)(void *value))
{
	for (size_t i = 0; i < m->n_slots; i++)
		while (m->slots[i] != NULL) {
			struct strmap_node *node = m->slots[i];
			m->slots[i] = node->next;
			drop(node->value);
			free(node);
		}
	free(m->slots);
	strmap_init(m);
}

/* Clients choose their keys. With a key of ours that they cannot know they cannot choose theirs to collide. XXH3 with a seed is 10 ns
 * faster for a UUID, of the 12 us that a delivery takes, and makes no such promise. */
static struct siphash_key secret;

__attribute__((constructor)) static void pick_secret(void)
{
	/* Before main, and so before any thread. Without entropy yet (a kernel that has just booted) the address must do. */
	if (getrandom(&secret, sizeof(secret), GRND_NONBLOCK) != sizeof(secret))
		secret.k0 = (uint64_t)(uintptr_t)&secret;
}

uint64_t strmap_hash(const char *key)
{
	return siphash(secret, key, strlen(key));
}

/* The link that points to the key's node, or to the NULL where it would be. The map has slots. */
static struct strmap_node **find(const struct strmap *m, const char *key, uint64_t hash)
{
	struct strmap_node **link = &m->slots[hash & (m->n_slots - 1)];

	while (*link != NULL && ((*link)->hash != hash || strcmp((*link)->key, key) != 0))
		link = &(*link)->next;
	return link;
}

void *strmap_get(const struct strmap *m, const char *key)
{
	struct strmap_node *node;

	if (m->count == 0)
		return NULL;
	node = *find(m, key, strmap_hash(key));
	return node != NULL ? node->value : NULL;
}

static int resize(struct strmap *m, size_t n_slots)
{
	struct strmap_node **slots = calloc(n_slots, sizeof(struct strmap_node *));

	if (slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_slots; i++)
		while (m->slots[i] != NULL) {
			struct strmap_node *node = m->slots[i];

			m->slots[i] = node->next;
			node->next = slots[node->hash & (n_slots - 1)];
			slots[node->hash & (n_slots - 1)] = node;
		}
	free(m->slots);
	m->slots = slots;
	m->n_slots = n_slots;
	return 0;
}

static int insert(struct strmap *m, const char *key, uint64_t hash, void *value)
{
	size_t key_bytes = strlen(key) + 1;
	struct strmap_node *node, **slot;

	if ((node = malloc(sizeof(*node) + key_bytes)) == NULL)
		return -ENOMEM;
	node->hash = hash;
	node->value = value;
	memcpy(node->key, key, key_bytes);
	slot = &m->slots[hash & (m->n_slots - 1)];
	node->next = *slot;
	*slot = node;
	m->count++;
	return 0;
}

int strmap_put(struct strmap *m, const char *key, void *value, void **old)
{
	uint64_t hash = strmap_hash(key);
	struct strmap_node *node = m->n_slots > 0 ? *find(m, key, hash) : NULL;

	if (old != NULL)
		*old = node != NULL ? node->value : NULL;
	if (node != NULL) {
		node->value = value;
		return 0;
	}
	/* A larger table is a luxury once there is one: without memory the chains get longer. */
	if (m->n_slots == 0 && resize(m, SLOTS_MIN) < 0)
		return -ENOMEM;
	if (m->count >= m->n_slots)
		(void)resize(m, m->n_slots * 2);
	return insert(m, key, hash, value);
}

void *strmap_del_walked(struct strmap *m, const char *key)
{
	struct strmap_node **link, *node;
	void *value;

	if (m->count == 0)
		return NULL;
	link = find(m, key, strmap_hash(key));
	if ((node = *link) == NULL)
		return NULL;
	*link = node->next;
	value = node->value;
	free(node);
	m->count--;
	return value;
}

void strmap_shrink(struct strmap *m)
{
	size_t n_slots = m->n_slots;

	while (n_slots > SLOTS_MIN && m->count < n_slots / 4)
		n_slots /= 2;
	if (n_slots < m->n_slots)
		(void)resize(m, n_slots);
}

void *strmap_del(struct strmap *m, const char *key)
{
	void *value = strmap_del_walked(m, key);

	strmap_shrink(m);
	return value;
}

int strmap_next(const struct strmap *m, struct strmap_cursor *cursor, const char **key, void **value)
{
	struct strmap_node *node = cursor->next;

	while (node == NULL && cursor->slot < m->n_slots)
		node = m->slots[cursor->slot++];
	if (node == NULL)
		return 0;
	cursor->next = node->next;
	*key = node->key;
	*value = node->value;
	return 1;
}
