/* cluster_figures: see cluster_figures.h. A comet's counts begin at 0 when it starts, so what each has added is summed up here.
 * SPDX-License-Identifier: MIT */
#include "logic/cluster_figures.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/obj.h"
#include "common/base/strmap.h"

/* An answer that comes within it is of the seconds before, too. */
#define PATIENCE_NS (2 * CLOCK_SEC)

enum figure { CONNECTIONS, DELIVERED, DROPPED, REQUESTS, AUTH_FAILURES, PUSHES_FAILED, FIGURES };

static const struct chronicle_figure table[FIGURES] = {
	[CONNECTIONS] = {"connections", false},
	[DELIVERED] = {"delivered", true},
	[DROPPED] = {"dropped", true},
	[REQUESTS] = {"requests", true},
	[AUTH_FAILURES] = {"auth_failures", true},
	[PUSHES_FAILED] = {"pushes_failed", true},
};

/* A comet's counts as it last told them. */
struct told {
	int64_t delivered, dropped;
	unsigned round;
};

struct cluster_figures {
	unsigned magic;
#define CLUSTER_FIGURES_MAGIC 0xc1f19000
	/* set once */
	struct registry *registry;
	struct chronicle *chronicle;
	/* the noting thread's */
	struct strmap told; /* server -> struct told */
	unsigned round;
	int64_t delivered, dropped; /* by all comets, while we looked */
};

int cluster_figures_new(struct registry *registry, struct cluster_figures **out)
{
	struct cluster_figures *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return -ENOMEM;
	f->magic = CLUSTER_FIGURES_MAGIC;
	f->registry = registry;
	strmap_init(&f->told);
	if ((rc = chronicle_new(table, FIGURES, &f->chronicle)) < 0)
		free(f);
	else
		*out = f;
	return rc;
}

void cluster_figures_free(struct cluster_figures **figures)
{
	struct cluster_figures *f = *figures;

	OBJ_CHECK(f, CLUSTER_FIGURES_MAGIC);
	strmap_drop_all(&f->told, free);
	chronicle_free(&f->chronicle);
	f->magic = 0;
	free(f);
	*figures = NULL;
}

struct chronicle *cluster_figures_chronicle(struct cluster_figures *f)
{
	OBJ_CHECK(f, CLUSTER_FIGURES_MAGIC);
	return f->chronicle;
}

/* What the comet had counted before we knew of it is not of now. Without memory it is met anew next time. */
static struct told *meet(struct cluster_figures *f, const struct registry_server *s)
{
	struct told *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	*t = (struct told){s->delivered, s->dropped, f->round};
	if (strmap_put(&f->told, s->id, t, NULL) == 0)
		return t;
	free(t);
	return NULL;
}

/* A count that fell is of a comet that was started again: all of it is new. */
static int64_t growth(int64_t before, int64_t now)
{
	return now >= before ? now - before : now;
}

static void add(struct cluster_figures *f, const struct registry_server *s)
{
	struct told *t = strmap_get(&f->told, s->id);

	if (t == NULL && (t = meet(f, s)) == NULL)
		return;
	f->delivered += growth(t->delivered, s->delivered);
	f->dropped += growth(t->dropped, s->dropped);
	*t = (struct told){s->delivered, s->dropped, f->round};
}

static void forget_gone(struct cluster_figures *f)
{
	struct strmap_cursor cursor = {0};
	const char *server;
	void *value;

	while (strmap_next(&f->told, &cursor, &server, &value)) {
		struct told *t = value;

		if (t->round == f->round)
			continue;
		(void)strmap_del_walked(&f->told, server);
		free(t);
	}
	strmap_shrink(&f->told);
}

/* What is counted here is known without Redis, too: pushes fail just then. */
static void read_own(int64_t now[FIGURES])
{
	now[REQUESTS] = counters_read(COUNT_HTTP_REQUESTS);
	now[AUTH_FAILURES] = counters_read(COUNT_AUTH_FAILURES);
	now[PUSHES_FAILED] = counters_read(COUNT_PUSHES_FAILED);
}

static void note_own(struct cluster_figures *f)
{
	int64_t now[FIGURES] = {
		[CONNECTIONS] = CHRONICLE_UNKNOWN,
		[DELIVERED] = CHRONICLE_UNKNOWN,
		[DROPPED] = CHRONICLE_UNKNOWN,
	};

	read_own(now);
	chronicle_note(f->chronicle, now);
}

static void note(struct cluster_figures *f, const struct registry_servers *servers)
{
	int64_t now[FIGURES] = {0};

	read_own(now);
	f->round++;
	for (size_t i = 0; i < servers->n; i++) {
		now[CONNECTIONS] += servers->servers[i].connections;
		add(f, &servers->servers[i]);
	}
	forget_gone(f);
	now[DELIVERED] = f->delivered;
	now[DROPPED] = f->dropped;
	chronicle_note(f->chronicle, now);
}

int64_t cluster_figures_note(struct cluster_figures *f)
{
	struct registry_servers servers;
	int64_t due_ns, now_ns;

	OBJ_CHECK(f, CLUSTER_FIGURES_MAGIC);
	if (clock_now_ns() >= chronicle_due_ns(f->chronicle)) {
		if (registry_servers(f->registry, &servers) == 0) {
			note(f, &servers);
			registry_servers_fini(&servers);
		} else if (clock_now_ns() >= chronicle_due_ns(f->chronicle) + PATIENCE_NS) {
			note_own(f);
		}
	}
	due_ns = chronicle_due_ns(f->chronicle);
	now_ns = clock_now_ns();
	return due_ns > now_ns ? due_ns
			       : now_ns + CLOCK_SEC; /* the registry may say at once that it cannot be reached */
}
