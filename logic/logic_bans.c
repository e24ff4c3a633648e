/* logic_bans: see logic.h; keeping out. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "logic/logic.h"

static int refuse(const char *peer, const struct seat *seat, const struct ban_found *found,
		  char refusal[WIRE_TEXT_BYTES])
{
	static struct log_limit limit = LOG_LIMIT(20);
	char until[BAN_TIME_BYTES];
	bool revoked = found->kind == BAN_TOKENS;

	ban_time(found->until_ms, until);
	if (revoked)
		(void)snprintf(refusal, WIRE_TEXT_BYTES, "the token was taken back");
	else
		(void)snprintf(refusal, WIRE_TEXT_BYTES, "this %s is kept out until %s", ban_kind_name(found->kind),
			       until);
	count_by(COUNT_AUTH_FAILURES, revoked ? AUTH_REVOKED : AUTH_BANNED);
	LOG_LIMITED(LOG_INFO, &limit, seat != NULL ? log_str("key", seat->key) : LOG_NONE, log_str("peer", peer),
		    log_what(EVENT_CLIENT_KEPT_OUT), seat != NULL ? user_log(&seat->user) : LOG_NONE,
		    log_str("ban", ban_kind_name(found->kind)),
		    log_str_if("network", found->network[0] != '\0' ? found->network : NULL), log_str("until", until));
	return revoked ? -ERR_REFUSED : -ERR_BANNED;
}

/* By its address, unless the comet of this program has asked already, in a comet alone. */
static bool finds_network(struct logic *l, const char *peer, struct ban_found *found)
{
	struct cidr address;

	return !l->alone && cidr_read(peer, &address) == NULL && /* or it came by a path */
	       bans_find(l->bans, &(struct ban_subject){.address = &address}, found);
}

static bool finds_seat(struct logic *l, const struct seat *seat, int64_t issued_s, struct ban_found *found)
{
	struct ban_subject who = {.key = seat->key, .issued_s = issued_s};
	char user[USER_BYTES];

	if (user_is_somebody(&seat->user))
		who.user = user_text(&seat->user, user);
	return bans_find(l->bans, &who, found);
}

int logic_keeps_out(struct logic *l, const char *peer, const struct seat *seat, int64_t issued_s,
		    char refusal[WIRE_TEXT_BYTES])
{
	struct ban_found found;

	if (l->bans == NULL)
		return 0;
	if (!bans_are_known(l->bans))
		return -ERR_NO_LOGIC;
	if (seat == NULL ? finds_network(l, peer, &found) : finds_seat(l, seat, issued_s, &found))
		return refuse(peer, seat, &found, refusal);
	return 0;
}

int logic_ban(struct logic *l, struct ban *list, size_t n)
{
	char until[BAN_TIME_BYTES];
	int rc;

	if (l->bans == NULL || n == 0)
		return 0;
	rc = l->ban_keeper.put(l->ban_keeper.self, list, n);
	ban_time(list->until_ms, until);
	if (rc == 0 || rc == -EIO)
		LOG(LOG_INFO, log_what(EVENT_BANS_CHANGED), log_str("ban", ban_kind_name(list->kind)),
		    log_i64("names", (int64_t)n), log_str("first", list->name),
		    list->lifted ? LOG_NONE : log_str("until", until));
	return rc;
}
