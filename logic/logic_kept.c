/* logic_kept: pushes to users that are kept (stream.users): see logic.h. They go to one user after the other, since each has a stream with
 * numbers of its own; over a cluster the next ones set off before the first has been answered. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/obj.h"
#include "common/base/strmap.h"
#include "logic/logic_push.h"

/* So many users, or so much of body for them, are under way at one time. */
#define UNDER_WAY_MAX       128
#define UNDER_WAY_BYTES_MAX (1u << 20)
/* To more users at once a push is under way only for as long as its caller waits: he may have as many of them. */
#define FLIGHT_USERS_MAX 16

/* On its way to one of them. */
struct errand {
	const struct user *user;
	char stream[USER_STREAM_BYTES]; /* its name */
	struct fate fate;
	uint64_t number;
	/* what the bus has until the end */
	struct wire_push push;
	const char *name;
	struct bus_names names;
	struct bus_flight *flight;
};

/* One message to all of them. */
struct tour {
	struct logic *l;
	const struct logic_message *m;
	const struct user *users;
	size_t n_users;
	struct strmap done;     /* stream -> the first of its user's places; empty where there is one user */
	bool has_twins;         /* somebody has two */
	bool has_script;        /* Redis has just executed it, so that it does not fail for want of that */
	struct errand *errands; /* a ring of `n`, of which `under_way` are from `first` on */
	size_t n, first, under_way;
	struct errand one; /* where `n` is 1, as in most: the ring */
};

/* Those of its user, and that they are known. */
static int find(struct logic *l, struct errand *e, struct registry_found *found)
{
	int rc = registry_find_users(&l->registry, e->user, 1, found);

	if (rc < 0)
		return rc;
	logic_count_offline(found, 1, &e->fate);
	e->fate.knows_online = true;
	e->fate.online = found->n;
	return 0;
}

/* Whoever has the stream is found where it is kept, the other connections here. */
static int push_to_found(struct logic *l, struct errand *e)
{
	struct registry_found found;
	int rc;

	if ((rc = find(l, e, &found)) < 0)
		return rc;
	e->fate.knows_filters = l->bus.look != NULL;
	if (found.n > 0)
		rc = logic_push_found(l, &found, &e->push, LOGIC_PUSH_LOOKS, &e->fate);
	else
		rc = bus_push(&l->bus, NULL, &e->push);
	registry_found_fini(&found);
	return rc;
}

/* The push was made before. Its caller hears who is there now: else all would seem to be offline. */
static int look_again(const struct tour *t, struct errand *e)
{
	struct registry_found found;
	int rc;

	if (t->m->fate == NULL)
		return 0;
	if ((rc = find(t->l, e, &found)) == 0)
		registry_found_fini(&found);
	return rc;
}

/* A push that was made before does not come here. */
static int land(const struct tour *t, struct errand *e, int rc)
{
	if (rc == 0) {
		e->number = e->push.message->number;
		if (t->m->confirm_ms > 0 && t->l->unacked != NULL)
			unacked_await(t->l->unacked, e->user, e->number, t->m->confirm_ms);
	}
	message_unref(&e->push.message);
	return rc;
}

/* -EINPROGRESS: end_first is to follow. The first one is waited for: it brings the script, where Redis does not have it. */
static int push_unnamed(struct tour *t, struct errand *e)
{
	const struct bus *bus = &t->l->bus;
	int rc;

	e->push = (struct wire_push){
		.target = WIRE_KEYS, .stream = e->stream, .name = t->m->name, .confirm_ms = t->m->confirm_ms};
	e->name = e->stream + 1;
	e->names = (struct bus_names){.are_users = true, .v = &e->name, .n = 1};
	if ((rc = logic_make_message(t->m, &e->push.message)) < 0)
		return rc;
	if (bus->begin != NULL && t->has_script) {
		rc = bus->begin(bus->self, &e->names, &e->push, &e->fate, &e->flight);
		return rc == 0 ? -EINPROGRESS : land(t, e, rc);
	}
	if (bus->push_to != NULL)
		rc = bus_push_to(bus, &e->names, &e->push, &e->fate);
	else
		rc = push_to_found(t->l, e);
	t->has_script = rc == 0;
	return land(t, e, rc);
}

static int push_to_user(struct tour *t, struct errand *e)
{
	const char *name = t->m->name;
	int rc;

	if (!user_is_somebody(e->user)) {
		e->fate.offline = 1;
		return 0;
	}
	if (name == NULL || t->l->repeats == NULL)
		return push_unnamed(t, e);
	BUG_UNLESS(t->l->bus.begin == NULL); /* there Redis knows the names */
	if ((rc = repeats_begin(t->l->repeats, e->stream, name, &e->number)) == -EALREADY)
		return look_again(t, e);
	if (rc == 0) {
		rc = push_unnamed(t, e);
		repeats_end(t->l->repeats, e->stream, name, rc == 0 ? &e->number : NULL);
	}
	return rc;
}

/* What one of them has added to what is known of all. */
static void add_fate(struct fate *all, const struct fate *one)
{
	all->knows_online |= one->knows_online;
	all->knows_filters |= one->knows_filters;
	all->online += one->online;
	all->offline += one->offline;
	if (all->filtered == 0 && one->filtered > 0) {
		memcpy(all->accepts, one->accepts, sizeof(all->accepts));
		all->n_accepts = one->n_accepts;
	}
	all->filtered += one->filtered;
}

/* It is accepted. */
static void tell(const struct tour *t, const struct errand *e)
{
	const struct logic_message *m = t->m;
	const size_t i = (size_t)(e->user - t->users);

	if (e->fate.knows_online && e->fate.online == 0)
		count(COUNT_PUSHES_TO_NOBODY);
	if (m->numbers != NULL)
		m->numbers[i] = e->number;
	if (m->fate != NULL && m->fate->is_there != NULL)
		m->fate->is_there[i] = e->fate.online > 0;
	if (m->fate != NULL)
		add_fate(m->fate, &e->fate);
}

/* Wait for the one that set off first. */
static int end_first(struct tour *t)
{
	struct errand *e = &t->errands[t->first];
	int rc = land(t, e, t->l->bus.end(t->l->bus.self, &e->flight));

	t->first = (t->first + 1) % t->n;
	t->under_way--;
	if (rc == 0)
		tell(t, e);
	return rc;
}

/* To the one in place i, unless he was named before. */
static int set_off(struct tour *t, size_t i)
{
	struct errand *e;
	int rc;

	if (t->under_way == t->n && (rc = end_first(t)) < 0)
		return rc;
	e = &t->errands[(t->first + t->under_way) % t->n];
	*e = (struct errand){.user = &t->users[i]};
	(void)user_stream(e->user, e->stream);
	if (t->n_users > 1) {
		if (strmap_get(&t->done, e->stream) != NULL) {
			t->has_twins = true;
			return 0;
		}
		if ((rc = strmap_put(&t->done, e->stream, (void *)(uintptr_t)e->user, NULL)) < 0)
			return rc;
	}
	if ((rc = push_to_user(t, e)) == 0)
		tell(t, e);
	if (rc != -EINPROGRESS)
		return rc;
	t->under_way++;
	return 0;
}

/* Whoever was named before has in each place what he has in the first. */
static void copy_to_twins(const struct tour *t)
{
	const struct logic_message *m = t->m;
	char stream[USER_STREAM_BYTES];

	for (size_t i = 0; i < t->n_users; i++) {
		const struct user *first = strmap_get(&t->done, user_stream(&t->users[i], stream));

		if (m->numbers != NULL)
			m->numbers[i] = m->numbers[first - t->users];
		if (m->fate != NULL && m->fate->is_there != NULL)
			m->fate->is_there[i] = m->fate->is_there[first - t->users];
	}
}

/* Those who have set off are waited for; and what was needed is forgotten. */
static int end_tour(struct tour *t, int rc)
{
	while (t->under_way > 0) {
		int rc_of_one = end_first(t);

		rc = rc < 0 ? rc : rc_of_one;
	}
	if (rc == 0 && t->has_twins)
		copy_to_twins(t);
	strmap_fini(&t->done);
	if (t->errands != &t->one)
		free(t->errands);
	return rc;
}

/* Of n users. */
static size_t count_under_way(const struct logic *l, const struct logic_message *m, size_t n)
{
	size_t most = UNDER_WAY_BYTES_MAX / (m->body_bytes + 1) + 1;

	if (most > UNDER_WAY_MAX)
		most = UNDER_WAY_MAX;
	if (l->bus.begin == NULL)
		most = 1;
	return n < most ? n : most;
}

static int tour_init(struct tour *t, struct logic *l, const struct logic_message *m, const struct user *users, size_t n)
{
	*t = (struct tour){.l = l, .m = m, .users = users, .n_users = n, .n = count_under_way(l, m, n)};
	t->errands = t->n > 1 ? calloc(t->n, sizeof(*t->errands)) : &t->one;
	if (t->errands == NULL)
		return -ENOMEM;
	strmap_init(&t->done);
	return 0;
}

/* After an error nobody sets off any more. */
static int set_all_off(struct tour *t)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < t->n_users; i++)
		rc = set_off(t, i);
	return rc;
}

/* For a caller who has many under way. */
static int push_in_halves(struct logic *l, const struct logic_message *m, const struct user *users, size_t n)
{
	struct tour *t = malloc(sizeof(*t));
	int rc = t != NULL ? tour_init(t, l, m, users, n) : -ENOMEM;

	if (rc < 0) {
		free(t);
		return rc;
	}
	t->has_script = true; /* nor is that waited for: without it the caller is told that this one failed */
	rc = set_all_off(t);
	if (rc < 0 || t->under_way == 0) {
		rc = end_tour(t, rc);
		free(t);
		return rc;
	}
	*m->flight = (struct logic_flight){.tour = t};
	return -EINPROGRESS;
}

int logic_push_kept(struct logic *l, const struct logic_message *m, const struct user *users, size_t n)
{
	struct tour t;
	int rc;

	if (n > (size_t)l->cfg->stream_mids_max)
		return -E2BIG;
	if (m->body_bytes > (size_t)l->cfg->stream_bytes)
		return -EMSGSIZE;
	if (m->flight != NULL && l->bus.begin != NULL && n <= FLIGHT_USERS_MAX)
		return push_in_halves(l, m, users, n);
	rc = tour_init(&t, l, m, users, n);
	return rc == 0 ? end_tour(&t, set_all_off(&t)) : rc;
}

int logic_kept_end(struct tour *t, uint64_t *number)
{
	const uint64_t *numbers = t->n_users == 1 ? t->m->numbers : NULL;
	int rc = end_tour(t, 0);

	*number = rc == 0 && numbers != NULL ? numbers[0] : 0;
	free(t);
	return rc;
}
