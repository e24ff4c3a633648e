/* bans: see bans.h. Under one lock, for a few look-ups; a map of all by field, as ban_field writes it.
 *
 * Networks are in a map of their own as well, by their bits in hex, which are written faster than their text: an address is cut to each
 * length that any network has, of which there are mostly one or two.
 * SPDX-License-Identifier: MIT */
#include "common/wire/bans.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/strmap.h"

#define LENGTHS 129

struct bans {
	unsigned magic;
#define BANS_MAGIC 0xba4500e5
	/* set once */
	void (*heard)(void *arg);
	void *arg;
	/* any thread */
	atomic_size_t n_of[BAN_KINDS];
	atomic_bool known;
	/* under lock */
	struct lock lock;
	struct strmap by_field;
	struct strmap networks;       /* those of by_field, by network_key */
	unsigned lengths[2][LENGTHS]; /* networks of each length, IPv4 and IPv6 */
	uint64_t last_stamp;
	int64_t next_end_ms; /* none is over before */
};

/* One, with its field behind it, in which its name stands. */
struct kept {
	struct ban ban;
	char field[];
};

int bans_new(struct bans **out)
{
	struct bans *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return -ENOMEM;
	b->magic = BANS_MAGIC;
	atomic_init(&b->known, true);
	lock_init(&b->lock, LOCK_POOL);
	strmap_init(&b->by_field);
	strmap_init(&b->networks);
	*out = b;
	return 0;
}

void bans_free(struct bans **bans)
{
	struct bans *b = *bans;

	OBJ_CHECK(b, BANS_MAGIC);
	strmap_fini(&b->networks);
	strmap_drop_all(&b->by_field, free);
	lock_fini(&b->lock);
	b->magic = 0;
	free(b);
	*bans = NULL;
}

void bans_listen(struct bans *b, void (*heard)(void *arg), void *arg)
{
	OBJ_CHECK(b, BANS_MAGIC);
	b->arg = arg;
	b->heard = heard;
}

void bans_set_known(struct bans *b, bool known)
{
	OBJ_CHECK(b, BANS_MAGIC);
	atomic_store(&b->known, known);
}

bool bans_are_known(const struct bans *b)
{
	return atomic_load(&b->known);
}

/* ---- in and out ---- */

#define NETWORK_KEY_BYTES 40

static void network_key(const struct cidr *c, char key[NETWORK_KEY_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	unsigned bytes = cidr_bits(c) / 8, n = 0;

	for (unsigned i = 0; i < bytes; i++) {
		key[n++] = digits[c->bytes[i] >> 4];
		key[n++] = digits[c->bytes[i] & 15];
	}
	key[n++] = (char)('0' + c->bits / 8);
	key[n++] = (char)('0' + c->bits % 8);
	key[n] = '\0';
}

/* A network that is new, or takes the place of an older ban. 0 or -ENOMEM. */
static int put_network_locked(struct bans *b, struct kept *kept) NEEDS(b->lock)
{
	char key[NETWORK_KEY_BYTES];
	struct cidr network;
	void *old;

	(void)cidr_read(kept->ban.name, &network); /* its name was good */
	network_key(&network, key);
	if (strmap_put(&b->networks, key, kept, &old) < 0)
		return -ENOMEM;
	if (old == NULL)
		b->lengths[network.family == AF_INET6][network.bits]++;
	return 0;
}

static void del_network_locked(struct bans *b, const struct kept *kept) NEEDS(b->lock)
{
	char key[NETWORK_KEY_BYTES];
	struct cidr network;

	(void)cidr_read(kept->ban.name, &network);
	network_key(&network, key);
	if (strmap_del(&b->networks, key) != NULL)
		b->lengths[network.family == AF_INET6][network.bits]--;
}

static void drop_old_locked(struct bans *b, int64_t now_ms) NEEDS(b->lock)
{
	struct strmap_cursor cursor = {0};
	int64_t next_ms = INT64_MAX;
	const char *field;
	void *value;

	if (now_ms < b->next_end_ms)
		return;
	while (strmap_next(&b->by_field, &cursor, &field, &value)) {
		struct kept *kept = value;

		if (kept->ban.keep_ms > now_ms) {
			next_ms = kept->ban.keep_ms < next_ms ? kept->ban.keep_ms : next_ms;
			continue;
		}
		(void)strmap_del_walked(&b->by_field, field);
		atomic_fetch_sub(&b->n_of[kept->ban.kind], 1);
		if (kept->ban.kind == BAN_NETWORK)
			del_network_locked(b, kept);
		free(kept);
	}
	strmap_shrink(&b->by_field);
	b->next_end_ms = next_ms;
}

static struct kept *kept_new(const struct ban *ban)
{
	char field[BAN_FIELD_BYTES];
	struct kept *kept;
	size_t bytes;

	ban_field(ban, field);
	bytes = strlen(field) + 1;
	if ((kept = malloc(sizeof(*kept) + bytes)) == NULL)
		return NULL;
	memcpy(kept->field, field, bytes);
	kept->ban = *ban;
	kept->ban.name = kept->field + 2;
	if (kept->ban.keep_ms < ban->until_ms)
		kept->ban.keep_ms = ban->until_ms;
	return kept;
}

/* As it was before. The place of the old one is there, so that this needs no memory. */
static int give_back_locked(struct bans *b, struct kept *kept, struct kept *old) NEEDS(b->lock)
{
	if (old != NULL)
		(void)strmap_put(&b->by_field, old->field, old, NULL);
	else
		(void)strmap_del(&b->by_field, kept->field);
	free(kept);
	return -ENOMEM;
}

/* 1: taken; 0: there is one as new or newer, *older: which is newer; -ENOMEM. */
static int take_locked(struct bans *b, const struct ban *ban, bool *older) NEEDS(b->lock)
{
	struct kept *kept = kept_new(ban);
	const struct kept *was;
	void *old;

	if (kept == NULL)
		return -ENOMEM;
	was = strmap_get(&b->by_field, kept->field);
	if (was != NULL && was->ban.stamp >= ban->stamp) {
		*older = *older || was->ban.stamp > ban->stamp;
		free(kept);
		return 0;
	}
	if (was != NULL && kept->ban.keep_ms < was->ban.keep_ms)
		kept->ban.keep_ms = was->ban.keep_ms;
	if (strmap_put(&b->by_field, kept->field, kept, &old) < 0) {
		free(kept);
		return -ENOMEM;
	}
	if (ban->kind == BAN_NETWORK && put_network_locked(b, kept) < 0)
		return give_back_locked(b, kept, old);
	if (old == NULL)
		atomic_fetch_add(&b->n_of[ban->kind], 1);
	free(old);
	if (ban->stamp > b->last_stamp)
		b->last_stamp = ban->stamp;
	if (kept->ban.keep_ms < b->next_end_ms)
		b->next_end_ms = kept->ban.keep_ms;
	return 1;
}

static bool is_full_locked(struct bans *b, const struct ban *list, size_t n, size_t max) NEEDS(b->lock)
{
	size_t more = 0;

	for (size_t i = 0; i < n; i++) {
		char field[BAN_FIELD_BYTES];

		ban_field(&list[i], field);
		more += strmap_get(&b->by_field, field) == NULL;
	}
	return max > 0 && more > 0 && b->by_field.count + more > max;
}

int bans_take(struct bans *b, const struct ban *list, size_t n, size_t max, bool *older)
{
	bool any = false, one_older = false;
	int rc = 0;

	OBJ_CHECK(b, BANS_MAGIC);
	lock_take(&b->lock);
	drop_old_locked(b, clock_wall_ms());
	if (is_full_locked(b, list, n, max))
		rc = -ENOSPC;
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		rc = take_locked(b, &list[i], &one_older);
		any = any || rc > 0;
	}
	lock_drop(&b->lock);
	if (older != NULL)
		*older = one_older;
	if (any && b->heard != NULL)
		b->heard(b->arg);
	return rc < 0 ? rc : 0;
}

/* ---- about all ---- */

uint64_t bans_next_stamp(struct bans *b)
{
	uint64_t stamp = (uint64_t)clock_wall_ms() * 1000;

	OBJ_CHECK(b, BANS_MAGIC);
	lock_take(&b->lock);
	if (stamp <= b->last_stamp)
		stamp = b->last_stamp + 1;
	b->last_stamp = stamp;
	lock_drop(&b->lock);
	return stamp;
}

size_t bans_count(struct bans *b, int64_t now_ms)
{
	size_t n;

	OBJ_CHECK(b, BANS_MAGIC);
	lock_take(&b->lock);
	drop_old_locked(b, now_ms);
	n = b->by_field.count;
	lock_drop(&b->lock);
	return n;
}

/* `list` is the allocation, or NULL: only how many bytes of names there are. */
static size_t copy_locked(struct bans *b, struct ban *list, char *names) NEEDS(b->lock)
{
	struct strmap_cursor cursor = {0};
	const char *field;
	size_t bytes = 0;
	void *value;

	for (size_t i = 0; strmap_next(&b->by_field, &cursor, &field, &value); i++) {
		const struct kept *kept = value;
		size_t n = strlen(kept->ban.name) + 1;

		if (list != NULL) {
			memcpy(names + bytes, kept->ban.name, n);
			list[i] = kept->ban;
			list[i].name = names + bytes;
		}
		bytes += n;
	}
	return bytes;
}

int bans_copy(struct bans *b, struct ban **list, size_t *n)
{
	OBJ_CHECK(b, BANS_MAGIC);
	lock_take(&b->lock);
	drop_old_locked(b, clock_wall_ms());
	*n = b->by_field.count;
	*list = malloc(*n * sizeof(**list) + copy_locked(b, NULL, NULL) + 1);
	if (*list != NULL)
		(void)copy_locked(b, *list, (char *)(*list + *n));
	lock_drop(&b->lock);
	return *list != NULL ? 0 : -ENOMEM;
}

/* ---- asking ---- */

static const struct ban *if_stands(const struct kept *kept)
{
	return kept == NULL || kept->ban.lifted || kept->ban.until_ms <= clock_wall_ms() ? NULL : &kept->ban;
}

static const struct ban *get_locked(struct bans *b, enum ban_kind kind, const char *name) NEEDS(b->lock)
{
	const struct ban ban = {.kind = kind, .name = name};
	char field[BAN_FIELD_BYTES];

	ban_field(&ban, field);
	return if_stands(strmap_get(&b->by_field, field));
}

static const struct ban *find_network_locked(struct bans *b, const struct cidr *address) NEEDS(b->lock)
{
	struct cidr network = *address;
	unsigned *lengths;

	cidr_unmap(&network);
	lengths = b->lengths[network.family == AF_INET6];
	/* The longest first, since a cut address does not grow again. */
	for (unsigned bits = network.bits + 1; bits-- > 0;) {
		const struct ban *ban;
		char key[NETWORK_KEY_BYTES];

		if (lengths[bits] == 0)
			continue;
		cidr_cut(&network, bits);
		network_key(&network, key);
		if ((ban = if_stands(strmap_get(&b->networks, key))) != NULL)
			return ban;
	}
	return NULL;
}

static const struct ban *find_locked(struct bans *b, const struct ban_subject *who) NEEDS(b->lock)
{
	const struct ban *ban = NULL;

	if (who->address != NULL && atomic_load(&b->n_of[BAN_NETWORK]) > 0)
		ban = find_network_locked(b, who->address);
	if (ban == NULL && who->user != NULL && atomic_load(&b->n_of[BAN_USER]) > 0)
		ban = get_locked(b, BAN_USER, who->user);
	if (ban == NULL && who->key != NULL && atomic_load(&b->n_of[BAN_KEY]) > 0)
		ban = get_locked(b, BAN_KEY, who->key);
	if (ban == NULL && who->user != NULL && atomic_load(&b->n_of[BAN_TOKENS]) > 0) {
		ban = get_locked(b, BAN_TOKENS, who->user);
		if (ban != NULL && who->issued_s >= ban->before_s)
			ban = NULL;
	}
	return ban;
}

static bool has_any(struct bans *b)
{
	for (unsigned kind = 0; kind < BAN_KINDS; kind++)
		if (atomic_load(&b->n_of[kind]) > 0)
			return true;
	return false;
}

bool bans_find(struct bans *b, const struct ban_subject *who, struct ban_found *found)
{
	const struct ban *ban;

	OBJ_CHECK(b, BANS_MAGIC);
	if (!has_any(b))
		return false;
	lock_take(&b->lock);
	if ((ban = find_locked(b, who)) != NULL) {
		*found = (struct ban_found){.kind = ban->kind, .until_ms = ban->until_ms};
		if (ban->kind == BAN_NETWORK)
			(void)snprintf(found->network, sizeof(found->network), "%s", ban->name);
	}
	lock_drop(&b->lock);
	return ban != NULL;
}
