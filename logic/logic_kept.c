/* logic_kept: pushes to users that are kept (stream.users): see logic.h. They go to one user after the other, since each has a stream with
 * numbers of its own. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/strmap.h"
#include "logic/logic_push.h"

/* On its way to one of them. */
struct errand {
	const struct logic_message *m;
	const struct user *user;
	char stream[USER_STREAM_BYTES]; /* its name */
	struct fate fate;
	uint64_t number;
};

/* Whoever has the stream is found where it is kept, the other connections here. */
static int push_to_found(struct logic *l, struct errand *e, struct wire_push *push)
{
	struct registry_found found;
	int rc = registry_find_users(&l->registry, e->user, 1, &found);

	if (rc < 0)
		return rc;
	logic_count_offline(&found, 1, &e->fate);
	e->fate.knows_online = true;
	e->fate.knows_filters = l->bus.look != NULL;
	if (found.n > 0)
		rc = logic_push_found(l, &found, push, LOGIC_PUSH_LOOKS, &e->fate);
	else
		rc = bus_push(&l->bus, NULL, push);
	registry_found_fini(&found);
	return rc;
}

static int push_unnamed(struct logic *l, struct errand *e)
{
	struct wire_push push = {.target = WIRE_KEYS, .stream = e->stream, .name = e->m->name};
	const char *name = e->stream + 1;
	int rc = logic_make_message(e->m, &push.message);

	if (rc < 0)
		return rc;
	if (l->bus.push_to != NULL)
		rc = bus_push_to(&l->bus, &(struct bus_names){.are_users = true, .v = &name, .n = 1}, &push, &e->fate);
	else
		rc = push_to_found(l, e, &push);
	if (rc == 0)
		e->number = push.message->number;
	message_unref(&push.message);
	return rc;
}

static int push_to_user(struct logic *l, struct errand *e)
{
	const char *name = e->m->name;
	int rc;

	if (!user_is_somebody(e->user)) {
		e->fate.offline = 1;
		return 0;
	}
	if (name == NULL || l->repeats == NULL)
		return push_unnamed(l, e);
	if ((rc = repeats_begin(l->repeats, e->stream, name, &e->number)) == -EALREADY)
		return 0;
	if (rc == 0) {
		rc = push_unnamed(l, e);
		repeats_end(l->repeats, e->stream, name, rc == 0 ? &e->number : NULL);
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

/* To the one in place i, unless he was named before; done: stream -> the first of his places. */
static int push_to_place(struct logic *l, const struct logic_message *m, const struct user *users, size_t i,
			 struct strmap *done)
{
	struct errand e = {.m = m, .user = &users[i]};
	const struct user *before;
	int rc;

	if ((before = strmap_get(done, user_stream(e.user, e.stream))) != NULL) {
		if (m->numbers != NULL)
			m->numbers[i] = m->numbers[before - users];
		if (m->fate != NULL && m->fate->is_there != NULL)
			m->fate->is_there[i] = m->fate->is_there[before - users];
		return 0;
	}
	if ((rc = strmap_put(done, e.stream, (void *)(uintptr_t)e.user, NULL)) < 0 || (rc = push_to_user(l, &e)) < 0)
		return rc;
	if (e.fate.knows_online && e.fate.online == 0)
		count(COUNT_PUSHES_TO_NOBODY);
	if (m->numbers != NULL)
		m->numbers[i] = e.number;
	if (m->fate != NULL && m->fate->is_there != NULL)
		m->fate->is_there[i] = e.fate.online > 0;
	if (m->fate != NULL)
		add_fate(m->fate, &e.fate);
	return 0;
}

int logic_push_kept(struct logic *l, const struct logic_message *m, const struct user *users, size_t n)
{
	struct strmap done;
	int rc = 0;

	if (n > (size_t)l->cfg->stream_mids_max)
		return -E2BIG;
	if (m->body_bytes > (size_t)l->cfg->stream_bytes)
		return -EMSGSIZE;
	strmap_init(&done);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = push_to_place(l, m, users, i, &done);
	strmap_fini(&done);
	return rc;
}
