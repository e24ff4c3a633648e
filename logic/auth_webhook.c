/* auth_webhook: see auth_webhook.h. SPDX-License-Identifier: MIT */
#include "logic/auth_webhook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "logic/auth_failures.h"
#include "logic/auth_question.h"
#include "logic/back_end.h"

#define DAY_S 86400

struct auth_webhook {
	unsigned magic;
#define AUTH_WEBHOOK_MAGIC 0xa074eb00
	struct back_end back_end;
	struct auth_failures failures;
};

/* ---- start and stop ---- */

int auth_webhook_new(const struct config *cfg, struct auth_webhook **out)
{
	struct auth_webhook *w;
	int rc;

	if (cfg->auth_url[0] == '\0') {
		LOG(LOG_ERROR, log_what(EVENT_AUTH_URL_MISSING));
		return -ERR_CONFIG;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return -ENOMEM;
	w->magic = AUTH_WEBHOOK_MAGIC;
	if ((rc = back_end_init(&w->back_end, cfg, "auth.url", cfg->auth_url)) < 0) {
		free(w);
		return rc;
	}
	if ((rc = auth_failures_init(&w->failures, cfg->auth_failures)) < 0) {
		auth_webhook_free(&w);
		return rc;
	}
	*out = w;
	return 0;
}

struct reload_part auth_webhook_reload(struct auth_webhook *w)
{
	return back_end_reload(&w->back_end);
}

void auth_webhook_free(struct auth_webhook **webhook)
{
	struct auth_webhook *w = *webhook;

	OBJ_CHECK(w, AUTH_WEBHOOK_MAGIC);
	back_end_fini(&w->back_end);
	auth_failures_fini(&w->failures);
	w->magic = 0;
	free(w);
	*webhook = NULL;
}

/* ---- the answer ---- */

/* The identity in an answer that says yes. */
static int read_who(const json_t *answer, struct auth_identity *who)
{
	int64_t heartbeat_s, expires_at, dialect, now = clock_wall_ms();
	int rc;

	if ((rc = auth_read_whole(who, answer)) < 0 || (rc = auth_read_grants(who, answer, "rooms", "ops")) < 0 ||
	    (rc = auth_read_integer(who, answer, "heartbeat_s", &heartbeat_s)) < 0 ||
	    (rc = auth_read_integer(who, answer, "expires_at", &expires_at)) < 0 ||
	    (rc = auth_read_integer(who, answer, "dialect", &dialect)) < 0)
		return rc;
	if (heartbeat_s < 0 || heartbeat_s > DAY_S || expires_at < 0 || expires_at > AUTH_SECONDS_MAX || dialect < 0 ||
	    dialect > DIALECT_V2)
		return auth_refuse(who, AUTH_MALFORMED, "heartbeat_s, expires_at or dialect is out of range");
	if (expires_at != 0 && expires_at * 1000 <= now)
		return auth_refuse(who, AUTH_EXPIRED, NULL);
	who->heartbeat_ms = heartbeat_s * 1000;
	who->lifetime_ms = expires_at != 0 ? expires_at * 1000 - now : 0;
	who->dialect = (enum dialect)dialect;
	return 0;
}

int auth_webhook_read(const char *text, size_t n, struct auth_identity *who)
{
	json_t *answer = json_read(text, n, JSON_REJECT_DUPLICATES);
	const json_t *allow = json_object_get(answer, "allow");
	int rc;

	if (answer == NULL && json_ran_out()) {
		rc = -ENOMEM;
	} else if (!json_is_boolean(allow)) {
		(void)auth_refuse(who, AUTH_WEBHOOK_ANSWER, answer == NULL ? "it is no JSON" : "it has no allow");
		rc = -EBADMSG;
	} else if (json_is_false(allow)) {
		rc = auth_refuse(who, AUTH_WEBHOOK, json_string_value(json_object_get(answer, "reason")));
	} else if ((rc = read_who(answer, who)) == -ERR_REFUSED && who->cause != AUTH_EXPIRED) {
		rc = -EBADMSG; /* it says yes, with an impossible value: that is no refusal */
	}
	json_decref(answer);
	return rc;
}

/* 401 and 403 say no, with or without a body. */
static int refuse_by_status(const struct exchange *x, struct auth_identity *who)
{
	json_t *body = json_read(x->text, x->n, JSON_REJECT_DUPLICATES);
	int rc = auth_refuse(who, AUTH_WEBHOOK, json_string_value(json_object_get(body, "reason")));

	json_decref(body);
	return rc;
}

static int conclude(const struct exchange *x, struct auth_identity *who)
{
	int rc;

	if (x->status == 401 || x->status == 403)
		return refuse_by_status(x, who);
	if ((rc = auth_webhook_read(x->text, x->n, who)) == -EBADMSG)
		return back_end_fail(x, who, AUTH_WEBHOOK_ANSWER, who->refusal);
	return rc;
}

/* ---- the question ---- */

/* Have too many tokens of its network been refused? */
static int check_network(struct auth_webhook *w, const struct auth_request *request, struct auth_identity *who)
{
	static struct log_limit limit = LOG_LIMIT(1);

	if (auth_failures_bear(&w->failures, request->peer))
		return 0;
	who->cause = AUTH_WEBHOOK_FAILURES;
	LOG_LIMITED(LOG_WARN, &limit, log_str("peer", request->peer), log_what(EVENT_AUTH_NETWORK_REFUSED));
	return -ERR_NO_LOGIC;
}

/* With a place for a call. Others of its network may have been refused while it waited for that. */
static int ask_now(struct auth_webhook *w, struct exchange *x, const struct auth_request *request,
		   struct auth_identity *who)
{
	int rc;

	if ((rc = check_network(w, request, who)) < 0 || (rc = back_end_ask(&w->back_end, x, who)) < 0)
		return rc;
	return conclude(x, who);
}

static int ask(struct auth_webhook *w, struct exchange *x, const struct auth_request *request,
	       struct auth_identity *who)
{
	char words[WIRE_TEXT_BYTES];
	int rc;

	if (auth_failures_recall(&w->failures, x->question, words))
		return auth_refuse(who, AUTH_WEBHOOK, words);
	if ((rc = check_network(w, request, who)) < 0)
		return rc;
	if (!back_end_enter(&w->back_end, x, who))
		return -ERR_NO_LOGIC;
	rc = ask_now(w, x, request, who);
	if (rc == -ERR_REFUSED && who->cause == AUTH_WEBHOOK)
		auth_failures_note(&w->failures, request->peer, x->question, who->refusal);
	back_end_leave(&w->back_end, x);
	return rc;
}

int auth_webhook_check(struct auth_webhook *w, const struct auth_request *request, struct auth_identity *who)
{
	struct exchange *x = malloc(sizeof(*x)); /* too large for a connection's stack */
	size_t question_bytes;
	char *question;
	int64_t uid;
	int rc;

	OBJ_CHECK(w, AUTH_WEBHOOK_MAGIC);
	if (x == NULL)
		return -ENOMEM;
	if ((question = auth_question(request, &question_bytes)) == NULL) {
		free(x);
		return -ENOMEM;
	}
	x->question = question;
	x->peer = request->peer;
	rc = ask(w, x, request, who);
	explicit_bzero(question, question_bytes);
	free(question);
	free(x);
	if (rc == 0 && who->dialect == 0)
		who->dialect = auth_is_user_id(request->token, request->token_bytes, &uid) ? DIALECT_V1 : DIALECT_V2;
	return rc;
}
