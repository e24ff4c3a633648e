/* whitelist: which keys are traced, and where to. trace() is its one door. SPDX-License-Identifier: MIT */
#ifndef COMET_WHITELIST_H
#define COMET_WHITELIST_H

#include <stdbool.h>

#include "comet/connection.h"
#include "common/base/reload.h"
#include "common/base/strmap.h"
#include "common/config/config.h"

struct whitelist {
	struct strmap keys;
	/* set once */
	const char *path;
	int fd; /* where traces go: whitelist.log, or LOG_OWN_FD; its number stays, whichever file it is */
	/* of a reload */
	int next_fd;
};

/* `list`: keys with commas; `path`: the file to append to, "" for stderr, outlives it. 0, -ENOMEM, or -errno of the file. */
int whitelist_init(struct whitelist *w, const char *list, const char *path);
/* For config_program: can the file of whitelist.log be written? 0, or negative with words on stderr. */
int whitelist_try(const struct config *cfg);
/* Nobody traces any more; closes the file. */
void whitelist_fini(struct whitelist *w);
/* To open the file again, for those who have moved it away; where traces go to stderr: nothing to reload. */
struct reload_part whitelist_reload(struct whitelist *w);
bool whitelist_contains(const struct whitelist *w, const char *key);

/* One line about a traced connection: the event, and the packet or NULL. Bodies do not appear. Never blocks: a line that
 * finds no space is counted as one of the log's. */
void whitelist_trace(const struct connection *c, enum event what, const struct packet *p);

/* The door: costs one load for connections that are not traced. */
#define trace(c, what, p)                                                                                              \
	do {                                                                                                           \
		if ((c)->trace != NULL)                                                                                \
			whitelist_trace((c), (what), (p));                                                             \
	} while (0)

#endif
