/* shares: see shares.h. SPDX-License-Identifier: MIT */
#include "logic/shares.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/obj.h"

/* Of malloc for each piece of memory, and of the map for each name. */
#define PIECE_BYTES 16
#define NAME_BYTES  64

struct share {
	struct share *next, *prev; /* in its class, a ring */
	unsigned size_class;
	size_t bytes;
	struct kept *oldest, *youngest;
	char name[];
};

static size_t cost_of_share(const struct share *share)
{
	return sizeof(*share) + 2 * strlen(share->name) + NAME_BYTES;
}

/* ---- classes by size ---- */

/* By the highest four bits: eight classes from each power of two to the next. */
static unsigned class_of(size_t bytes)
{
	unsigned high = bytes < 8 ? 0 : 63 - (unsigned)__builtin_clzll(bytes);

	return bytes < 8 ? (unsigned)bytes : 8 * (high - 2) + (unsigned)(bytes >> (high - 3) & 7);
}

static void leave_class(struct shares *s, struct share *share)
{
	unsigned i = share->size_class;
	struct share **head = &s->by_size[i];

	if (share->next == share) {
		*head = NULL;
		s->in_use[i / 64] &= ~(UINT64_C(1) << i % 64);
	} else if (*head == share) {
		*head = share->next;
	}
	share->next->prev = share->prev;
	share->prev->next = share->next;
}

/* As the last of its class, so that of those about equal each loses in turn. */
static void enter_class(struct shares *s, struct share *share)
{
	struct share **head;

	share->size_class = class_of(share->bytes);
	head = &s->by_size[share->size_class];
	s->in_use[share->size_class / 64] |= UINT64_C(1) << share->size_class % 64;
	if (*head == NULL) {
		*head = share->next = share->prev = share;
		return;
	}
	share->next = *head;
	share->prev = (*head)->prev;
	share->prev->next = share;
	share->next->prev = share;
}

static void grow(struct shares *s, struct share *share, size_t bytes)
{
	share->bytes += bytes;
	s->bytes += bytes;
	if (class_of(share->bytes) == share->size_class)
		return;
	leave_class(s, share);
	enter_class(s, share);
}

static void shrink(struct shares *s, struct share *share, size_t bytes)
{
	BUG_UNLESS(share->bytes >= bytes);
	share->bytes -= bytes;
	s->bytes -= bytes;
	leave_class(s, share);
	enter_class(s, share);
}

/* ---- users ---- */

static struct share *share_of(struct shares *s, const struct seat *seat)
{
	char name[SEAT_OWNER_BYTES];
	struct share *share = strmap_get(&s->users, seat_owner(seat, name));

	if (share != NULL)
		return share;
	if ((share = calloc(1, sizeof(*share) + strlen(name) + 1)) == NULL)
		return NULL;
	memcpy(share->name, name, strlen(name) + 1);
	if (strmap_put(&s->users, name, share, NULL) < 0) {
		free(share);
		return NULL;
	}
	s->bytes += cost_of_share(share);
	enter_class(s, share);
	return share;
}

static void forget_if_empty(struct shares *s, struct share *share)
{
	if (share->oldest != NULL)
		return;
	leave_class(s, share);
	s->bytes -= cost_of_share(share);
	(void)strmap_del(&s->users, share->name);
	free(share);
}

/* ---- slots ---- */

/* Those that are not empty, at the front. */
static void close_ranks(struct shares *s)
{
	size_t n = 0;

	for (size_t i = s->first; i < s->n_slots; i++)
		if (s->slots[i].kept != NULL)
			s->slots[n++] = s->slots[i];
	s->first = 0;
	s->n_slots = n;
}

/* Space for one more. Where half of all are empty they make room, and so each is moved only now and then. */
static int reserve_slot(struct shares *s)
{
	size_t space = s->slots_space > 0 ? 2 * s->slots_space : 64;
	struct slot *more;

	if (s->n_slots < s->slots_space)
		return 0;
	if (s->n_kept <= s->slots_space / 2 && s->slots_space > 0) {
		close_ranks(s);
		return 0;
	}
	if ((more = realloc(s->slots, space * sizeof(*more))) == NULL)
		return -ENOMEM;
	s->slots = more;
	s->slots_space = space;
	return 0;
}

/* Where the first with a number above `after` is. */
size_t shares_find(const struct shares *s, uint64_t after)
{
	size_t low = s->first, high = s->n_slots;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->slots[middle].number > after)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void empty_slot(struct shares *s, uint64_t number)
{
	size_t at = shares_find(s, number - 1);

	BUG_UNLESS(at < s->n_slots && s->slots[at].number == number);
	s->slots[at].kept = NULL;
	s->n_kept--;
	while (s->first < s->n_slots && s->slots[s->first].kept == NULL)
		s->first++;
	if (s->n_kept > 0)
		return;
	s->first = s->n_slots = 0;
}

/* ---- all of it ---- */

void shares_init(struct shares *s)
{
	*s = (struct shares){0};
	strmap_init(&s->users);
}

void shares_fini(struct shares *s, void (*drop)(struct kept *kept))
{
	struct kept *kept;

	while ((kept = shares_take(s)) != NULL)
		drop(kept);
	strmap_fini(&s->users);
	free(s->slots);
	*s = (struct shares){0};
}

size_t shares_cost(const struct kept *kept)
{
	const struct upstream_entry *entry = &kept->entry;

	/* In the worst case every other slot is empty. */
	return sizeof(*kept) + 2 * sizeof(struct slot) + strlen(entry->seat.key) + 1 + entry->body_bytes + 1 +
	       3 * PIECE_BYTES;
}

int shares_put(struct shares *s, struct kept *kept, uint64_t number)
{
	struct share *share;

	if (reserve_slot(s) < 0 || (share = share_of(s, &kept->entry.seat)) == NULL)
		return -ENOMEM;
	kept->number = number;
	kept->share = share;
	kept->younger = NULL;
	if (share->youngest != NULL)
		share->youngest->younger = kept;
	else
		share->oldest = kept;
	share->youngest = kept;
	s->slots[s->n_slots++] = (struct slot){number, kept};
	s->n_kept++;
	grow(s, share, shares_cost(kept));
	return 0;
}

/* One of the highest class. */
static struct share *greediest(const struct shares *s)
{
	for (unsigned i = SHARE_CLASSES / 64; i-- > 0;)
		if (s->in_use[i] != 0)
			return s->by_size[64 * i + 63 - (unsigned)__builtin_clzll(s->in_use[i])];
	return NULL;
}

struct kept *shares_take(struct shares *s)
{
	struct share *share = greediest(s);
	struct kept *kept;

	if (share == NULL)
		return NULL;
	kept = share->oldest;
	share->oldest = kept->younger;
	if (share->oldest == NULL)
		share->youngest = NULL;
	empty_slot(s, kept->number);
	shrink(s, share, shares_cost(kept));
	forget_if_empty(s, share);
	return kept;
}

const struct kept *shares_next(const struct shares *s, size_t *at)
{
	while (*at < s->n_slots && s->slots[*at].kept == NULL)
		(*at)++;
	return *at < s->n_slots ? s->slots[(*at)++].kept : NULL;
}
