/* whitelist: whose connections are traced, by key or user, and where to: as the settings say, and for a time by the API. trace() is its one
 * door. SPDX-License-Identifier: MIT */
#ifndef COMET_WHITELIST_H
#define COMET_WHITELIST_H

#include <stdbool.h>
#include <stdint.h>

#include "comet/connection.h"
#include "common/base/lock.h"
#include "common/base/reload.h"
#include "common/base/strmap.h"
#include "common/config/config.h"

/* Each with the end of its trace, on clock_now_ns()'s scale. */
struct whitelist_names {
	struct strmap keys, users;
};

/* That the API may have traced at a time. */
#define WHITELIST_MAX 1000

struct whitelist {
	/* any thread */
	atomic_int fd;       /* where traces go: the file's, or LOG_OWN_FD */
	atomic_bool has_any; /* names */
	/* under lock */
	struct lock lock;
	struct whitelist_names set; /* by the settings, for ever */
	struct whitelist_names asked;
	/* the reloading thread's */
	const struct config *cfg;
	int file_fd, next_fd; /* the file's number stays, whichever file it is; -1: there was none so far */
	struct whitelist_names next;
};

/* As cfg says, which outlives it. 0, -ENOMEM, or -errno of the file. */
int whitelist_init(struct whitelist *w, const struct config *cfg);
/* For config_program: can the file of whitelist.log be written? 0, or negative with words on stderr. */
int whitelist_try(const struct config *cfg);
/* Nobody traces any more; closes the file. */
void whitelist_fini(struct whitelist *w);

/* A reload. Open the file again, also for those who have moved it away, and read the names; 0, or negative and logged. Then use them, or
 * not; the caller has all connections looked up again. */
int whitelist_prepare(struct whitelist *w, const struct config *next);
void whitelist_settle(struct whitelist *w, bool use) WITHOUT(w->lock);
/* The same as a part by itself, where there is no file of settings to read again. */
struct reload_part whitelist_reload(struct whitelist *w);

/* Trace this key or user for so long; 0: no longer. The same. 0; -ENOSPC: WHITELIST_MAX are traced; -ENOMEM. */
int whitelist_ask(struct whitelist *w, bool is_user, const char *name, int64_t for_ms) WITHOUT(w->lock);

/* Is this connection to be traced? After it is in its bucket, and again whenever the names change: so none falls between. Any thread. */
void whitelist_look(struct whitelist *w, struct connection *c) WITHOUT(w->lock);

/* One line about a traced connection: the event, and the packet or NULL. Bodies do not appear. Never blocks: a line that
 * finds no space is counted as one of the log's. */
void whitelist_trace(const struct connection *c, enum event what, const struct packet *p);

/* The door: costs one load for connections that are not traced. */
#define trace(c, what, p)                                                                                              \
	do {                                                                                                           \
		if (atomic_load_explicit(&(c)->trace, memory_order_relaxed) != NULL)                                   \
			whitelist_trace((c), (what), (p));                                                             \
	} while (0)

#endif
