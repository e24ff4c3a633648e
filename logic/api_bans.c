/* api_bans: /goim/kick with for=, /goim/bans and /goim/tokens/revoke. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cidr.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/utf8.h"
#include "logic/api_v2.h"

#define SECOND_MS INT64_C(1000)
#define DAY_MS    (86400 * SECOND_MS)
/* Longer than the tokens of most login services live. */
#define REVOKED_MS (30 * DAY_MS)
/* A lift is remembered for so long at least: the ban may be on its way from another logic. */
#define LIFTED_MS (60 * SECOND_MS)

/* ---- what is banned ---- */

/* The names of one kind, as they count. */
struct names {
	enum ban_kind kind;
	const char **list; /* the request's, or in texts */
	size_t n;
	struct user *users; /* BAN_USER, BAN_TOKENS: the same, */
	char (*texts)[USER_BYTES];
};

static void names_fini(struct names *names)
{
	free(names->list);
	free(names->users);
	free(names->texts);
}

/* NULL: all are good. Otherwise the fault of names->list[*bad]. */
static const char *write_networks(struct names *names, size_t *bad)
{
	for (size_t i = 0; i < names->n; i++) {
		struct cidr network;
		const char *fault = cidr_read(names->list[i], &network);

		*bad = i;
		if (fault != NULL)
			return fault;
		cidr_unmap(&network);
		cidr_text(&network, names->texts[i]);
		names->list[i] = names->texts[i];
	}
	return NULL;
}

static const char *check_keys(struct names *names, size_t *bad)
{
	for (size_t i = 0; i < names->n; i++)
		if (!ban_name_is_good(BAN_KEY, names->list[ *bad = i]) ||
		    !utf8_is_valid((const uint8_t *)names->list[i], strlen(names->list[i])))
			return "is too long, has control characters, or is no UTF-8";
	return NULL;
}

static const char *read_strings(struct names *names, size_t *bad)
{
	for (size_t i = 0; i < names->n; i++) {
		const char *name = names->list[ *bad = i];

		if (!user_read(name, strlen(name), &names->users[i]) || !user_is_somebody(&names->users[i]))
			return "is no user";
	}
	return NULL;
}

static const char *write_mids(struct names *names, size_t *bad)
{
	for (size_t i = 0; i < names->n; i++) {
		names->list[ *bad = i] = user_text(&names->users[i], names->texts[i]);
		if (!user_is_somebody(&names->users[i]))
			return "is no user";
	}
	return NULL;
}

/* How a parameter says who. */
static const struct way {
	const char *parameter;
	enum ban_kind kind;
	const char *(*read)(struct names *names, size_t *bad);
} ways[] = {
	{"mids", BAN_USER, write_mids},       {"users", BAN_USER, read_strings},
	{"keys", BAN_KEY, check_keys},        {"networks", BAN_NETWORK, write_networks},
	{"tokens", BAN_TOKENS, read_strings},
};
#define WAYS (sizeof(ways) / sizeof(ways[0])) /* the last is for what lifts */

static int read_list(struct api_call *call, const struct way *way, struct names *names)
{
	int rc;

	names->kind = way->kind;
	if (way->read == write_mids)
		rc = api_read_mids(call->request, &names->users, &names->n);
	else
		rc = api_read_list(call->request, way->parameter, &names->list, &names->n);
	if (rc < 0)
		return rc;
	names->texts = calloc(names->n + 1, sizeof(*names->texts));
	if (names->users == NULL)
		names->users = calloc(names->n + 1, sizeof(*names->users));
	if (names->list == NULL)
		names->list = calloc(names->n + 1, sizeof(*names->list));
	return names->texts != NULL && names->users != NULL && names->list != NULL ? 0 : -ENOMEM;
}

/* Words are JSON, which is UTF-8. */
static void reply_bad_name(struct api_call *call, const char *name, const struct way *way, const char *fault)
{
	char words[512], shown[101];

	utf8_copy(shown, sizeof(shown), utf8_is_valid((const uint8_t *)name, strlen(name)) ? name : "...");
	(void)snprintf(words, sizeof(words), "%s: \"%s\" %s", way->parameter, shown, fault);
	api_v2_reply_bad(call, words);
}

static bool take(struct api_call *call, const struct way *way, struct names *names)
{
	const char *fault;
	size_t bad = 0;
	int rc = read_list(call, way, names);

	if (!api_v2_list_is_good(call, rc, names->n,
				 "keys, users, mids or networks must be given; mids are whole numbers"))
		return false;
	if ((fault = way->read(names, &bad)) == NULL)
		return true;
	reply_bad_name(call, names->list[bad], way, fault);
	return false;
}

/* One of the first n_ways says who: false, and the caller was told. names_fini is due in each case. */
static bool read_names(struct api_call *call, size_t n_ways, struct names *names)
{
	const struct way *way = NULL;

	*names = (struct names){0};
	for (size_t i = 0; i < n_ways; i++) {
		if (http_param(call->request, ways[i].parameter) == NULL)
			continue;
		if (way != NULL) {
			api_v2_reply_bad(call, "give keys, mids, users or networks, and not two of them");
			return false;
		}
		way = &ways[i];
	}
	if (way != NULL)
		return take(call, way, names);
	api_v2_reply_bad(call, "keys, users, mids or networks must be given");
	return false;
}

/* ---- for how long ---- */

static bool read_for(struct api_call *call, int64_t otherwise_ms, int64_t *ms)
{
	const char *text = http_param(call->request, "for");

	*ms = otherwise_ms;
	if ((text == NULL && otherwise_ms > 0) || (text != NULL && api_v2_read_span(text, ms)))
		return true;
	api_v2_reply_bad(call, "for must say how long, such as 90s, 15m, 1h or 7d; at most 3650d");
	return false;
}

/* ---- made and lifted ---- */

static void reply_fault(struct api_call *call, int rc)
{
	char words[128];

	if (rc == -ENOSPC) {
		(void)snprintf(words, sizeof(words),
			       "there would be more than %lld bans: lift some, or raise limits.bans",
			       (long long)call->logic->cfg->limits_bans);
		api_v2_reply_bad(call, words);
	} else if (rc == -EIO) {
		api_reply_json(call, 200,
			       json_pack("{s:i,s:s}", "code", -500, "message",
					 "it counts, and is forgotten at the next start: the file of bans cannot be "
					 "written, the log says why"));
	} else {
		api_v2_reply_result(call, rc);
	}
}

/* All of them like this one. */
static int ban_names(struct api_call *call, const struct names *names, struct ban ban)
{
	struct ban *list = calloc(names->n, sizeof(*list));
	int rc;

	if (list == NULL)
		return -ENOMEM;
	ban.kind = names->kind;
	for (size_t i = 0; i < names->n; i++) {
		list[i] = ban;
		list[i].name = names->list[i];
	}
	rc = logic_ban(call->logic, list, names->n);
	free(list);
	return rc;
}

/* Those that logic can find are told at once, as by any kick; their comets hear of the ban in a moment, and end whoever is left. */
static void kick(struct api_call *call, const struct names *names)
{
	size_t kicked;

	if (names->kind == BAN_KEY)
		(void)logic_kick_keys(call->logic, names->list, names->n, &kicked);
	else if (names->kind == BAN_USER)
		(void)logic_kick_users(call->logic, names->users, names->n, &kicked);
}

void api_ban(struct api_call *call)
{
	struct names names = {0};
	int64_t ms;
	int rc;

	if (read_for(call, 0, &ms) && read_names(call, WAYS - 1, &names)) {
		rc = ban_names(call, &names, (struct ban){.until_ms = clock_wall_ms() + ms});
		if (rc < 0) {
			reply_fault(call, rc);
		} else {
			kick(call, &names);
			api_v2_reply_data(call, json_pack("{s:I}", "banned", (json_int_t)names.n));
		}
	}
	names_fini(&names);
}

void api_bans_lift(struct api_call *call)
{
	struct names names = {0};
	int rc;

	if (read_names(call, WAYS, &names)) {
		rc = ban_names(call, &names, (struct ban){.until_ms = clock_wall_ms() + LIFTED_MS, .lifted = true});
		if (rc < 0)
			reply_fault(call, rc);
		else
			api_v2_reply_ok(call);
	}
	names_fini(&names);
}

/* ---- tokens ---- */

/* Of all tokens until now, those of this second included: iat has no fractions. */
static bool read_before(struct api_call *call, int64_t *before_s)
{
	const char *text = http_param(call->request, "before");
	long long value = clock_wall_ms() / 1000 + 1;

	if (text != NULL && !api_read_number(text, 1, value, &value)) {
		api_v2_reply_bad(call, "before must be seconds since 1970, and not in the future");
		return false;
	}
	*before_s = value;
	return true;
}

static bool read_whose(struct api_call *call, struct user *whose)
{
	const char *mid = http_param(call->request, "mid"), *user = http_param(call->request, "user");
	long long number;
	bool good = false;

	*whose = (struct user){0};
	if (mid != NULL && user == NULL && (good = api_read_number(mid, 1, INT64_MAX, &number)))
		whose->mid = number;
	else if (mid == NULL && user != NULL)
		good = user_read(user, strlen(user), whose) && user_is_somebody(whose);
	if (!good)
		api_v2_reply_bad(call, "user or mid must be given: whose tokens are taken back");
	return good;
}

void api_tokens_revoke(struct api_call *call)
{
	char text[USER_BYTES];
	struct ban ban = {0};
	const char *name;
	struct names names = {.kind = BAN_TOKENS, .list = &name, .n = 1};
	struct user whose;
	int64_t ms;
	int rc;

	if (call->logic->cfg->auth_mode != CONFIG_AUTH_JWT) {
		api_v2_reply_bad(call,
				 "only tokens of auth.mode=jwt say when they were issued; kick the user with for=");
		return;
	}
	if (!read_for(call, REVOKED_MS, &ms) || !read_before(call, &ban.before_s) || !read_whose(call, &whose))
		return;
	name = user_text(&whose, text);
	ban.until_ms = clock_wall_ms() + ms;
	if ((rc = ban_names(call, &names, ban)) < 0)
		reply_fault(call, rc);
	else
		api_v2_reply_ok(call);
}

/* ---- the list ---- */

static int by_kind_and_name(const void *a, const void *b)
{
	const struct ban *x = a, *y = b;

	return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->name, y->name);
}

static json_t *describe(const struct ban *ban)
{
	json_t *one = json_pack("{s:s,s:I}", ban_kind_name(ban->kind), ban->name, "until",
				(json_int_t)(ban->until_ms / 1000));

	if (ban->kind == BAN_TOKENS && one != NULL)
		(void)json_object_set_new(one, "before", json_integer(ban->before_s));
	return one;
}

void api_bans(struct api_call *call)
{
	int64_t now = clock_wall_ms();
	struct ban *list = NULL;
	json_t *all;
	size_t n = 0;

	if (call->logic->bans != NULL && bans_copy(call->logic->bans, &list, &n) < 0) {
		api_v2_reply_result(call, -ENOMEM);
		return;
	}
	if (n > 1)
		qsort(list, n, sizeof(*list), by_kind_and_name);
	all = json_array();
	for (size_t i = 0; i < n; i++)
		if (!list[i].lifted && list[i].until_ms > now)
			(void)json_array_append_new(all, describe(&list[i]));
	free(list);
	api_v2_reply_data(call, all);
}
