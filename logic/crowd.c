/* crowd: see crowd.h. SPDX-License-Identifier: MIT */
#include "logic/crowd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "logic/auth_identity.h"

static int by_session(const void *a, const void *b)
{
	const struct registry_entry *x = a, *y = b;

	return (x->session_id > y->session_id) - (x->session_id < y->session_id);
}

/* It ends by itself where it cannot be told: at the next connection of its user, the limit is looked at again. */
static void end_oldest(const struct crowd *c, const struct registry_entry *oldest)
{
	static struct log_limit limit = LOG_LIMIT(1);
	const char *key = oldest->key;
	const struct wire_push kick = {
		.target = WIRE_KICK,
		.keys = &key,
		.sessions = &oldest->session_id,
		.n_keys = 1,
		.reason = WIRE_PER_USER,
	};
	int rc = bus_push(c->bus, oldest->server, &kick);

	if (rc < 0)
		LOG_LIMITED(LOG_WARN, &limit, log_str("key", key), log_what(EVENT_OLDEST_NOT_TOLD),
			    log_str("server", oldest->server), log_str("error", err_text(rc)));
}

static int refuse(const struct crowd *c, const char *server, const struct seat *seat, size_t most,
		  char refusal[WIRE_TEXT_BYTES])
{
	static struct log_limit limit = LOG_LIMIT(20);

	(void)registry_del(c->registry, server, seat);
	(void)snprintf(refusal, WIRE_TEXT_BYTES, "this user has %zu connections, and may not have more", most);
	count_by(COUNT_AUTH_FAILURES, AUTH_PER_USER);
	LOG_LIMITED(LOG_INFO, &limit, log_str("key", seat->key), log_what(EVENT_USER_FULL), user_log(&seat->user),
		    log_i64("connections", (int64_t)most));
	return -ERR_PER_USER;
}

/* `found` has all of the user's, this one among them; `most`, above 0, may be. */
static int make_place(const struct crowd *c, const char *server, const struct seat *seat, size_t most,
		      struct registry_found *found, char refusal[WIRE_TEXT_BYTES])
{
	if (found->n <= most)
		return 0;
	qsort(found->entries, found->n, sizeof(*found->entries), by_session);
	if (c->cfg->limits_per_user_ends == CONFIG_PER_USER_NEWEST)
		return found->entries[most - 1].session_id < seat->session_id ? refuse(c, server, seat, most, refusal)
									      : 0;
	for (size_t i = 0; i < found->n - most; i++)
		end_oldest(c, &found->entries[i]);
	return 0;
}

int crowd_admit(const struct crowd *c, const char *server, const struct seat *seat, char refusal[WIRE_TEXT_BYTES])
{
	const size_t most = (size_t)c->cfg->limits_per_user; /* once: a reload may change it */
	struct registry_found found;
	int rc;

	if (most == 0 || !user_is_somebody(&seat->user) || registry_find_users(c->registry, &seat->user, 1, &found) < 0)
		return 0;
	rc = make_place(c, server, seat, most, &found, refusal);
	registry_found_fini(&found);
	return rc;
}
