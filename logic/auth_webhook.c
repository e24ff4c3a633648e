/* auth_webhook: see auth_webhook.h. A call that is under way holds only a handle of libcurl, with the connection that the handle
 * keeps. SPDX-License-Identifier: MIT */
#include "logic/auth_webhook.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/network.h"
#include "common/base/obj.h"
#include "common/base/secret.h"
#include "logic/auth_calls.h"
#include "logic/auth_failures.h"
#include "logic/auth_question.h"
#include "logic/web.h"

/* A longer body is no answer for us. */
#define ANSWER_MAX 65536
/* Before the second try: a back end that has just refused a connection may be starting. */
#define PAUSE_NS (50 * CLOCK_MS)
/* The end of the year 9999. A later time is most often one in milliseconds. */
#define SECONDS_MAX INT64_C(253402300799)
#define DAY_S       86400

struct auth_webhook {
	unsigned magic;
#define AUTH_WEBHOOK_MAGIC 0xa074eb00
	/* set once */
	const struct config *cfg;
	struct secret secret;    /* of auth.secret_file */
	struct auth_calls calls; /* with handles of libcurl */
	struct auth_failures failures;
};

/* A question, and its answer. */
struct exchange {
	CURL *curl;
	int64_t deadline_ns;
	char *question;
	size_t question_bytes;
	struct curl_slist *headers;
	/* of the last try */
	CURLcode code;
	long status;   /* of HTTP, 0: none came */
	bool too_long; /* more came than ANSWER_MAX */
	size_t n;
	char text[ANSWER_MAX];
};

/* ---- start and stop ---- */

static int add_header(struct curl_slist **headers, const char *line)
{
	struct curl_slist *more = curl_slist_append(*headers, line);

	if (more == NULL)
		return -ENOMEM;
	*headers = more;
	return 0;
}

static int add_secret(struct curl_slist **headers, const char *secret)
{
	char *line = NULL;
	int rc;

	if (asprintf(&line, "Authorization: Bearer %s", secret) < 0)
		return -ENOMEM;
	rc = add_header(headers, line);
	explicit_bzero(line, strlen(line));
	free(line);
	return rc;
}

/* Of a call, since the secret's file may be read again between two. */
static int make_headers(struct auth_webhook *w, struct curl_slist **headers)
{
	char secret[SECRET_BYTES];
	bool in_file = secret_copy(&w->secret, secret);
	int rc;

	/* No "100-continue": it would cost a round trip. */
	if ((rc = add_header(headers, "Content-Type: application/json")) == 0)
		rc = add_header(headers, "Expect:");
	if (rc == 0 && (in_file || w->cfg->auth_secret[0] != '\0'))
		rc = add_secret(headers, in_file ? secret : w->cfg->auth_secret);
	explicit_bzero(secret, sizeof(secret));
	return rc;
}

static void free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *h = headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(headers);
}

int auth_webhook_new(const struct config *cfg, struct auth_webhook **out)
{
	struct auth_webhook *w;
	int failures_rc, rc;

	if (cfg->auth_url[0] == '\0') {
		LOG(LOG_ERROR, log_what(EVENT_AUTH_URL_MISSING));
		return -ERR_CONFIG;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return -ENOMEM;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(w);
		return -ENOMEM;
	}
	w->magic = AUTH_WEBHOOK_MAGIC;
	w->cfg = cfg;
	w->secret = (struct secret){.setting = "auth.secret_file", .file = ""};
	lock_init(&w->secret.lock, LOCK_POOL);
	rc = auth_calls_init(&w->calls, (unsigned)cfg->auth_concurrency, cfg->auth_timeout * CLOCK_MS);
	failures_rc = auth_failures_init(&w->failures, cfg->auth_failures);
	if (rc == 0 && (rc = failures_rc) == 0)
		rc = secret_start(&w->secret, cfg->auth_secret_file);
	if (rc < 0) {
		auth_webhook_free(&w);
		return rc;
	}
	*out = w;
	return 0;
}

struct reload_part auth_webhook_reload(struct auth_webhook *w)
{
	return w != NULL ? secret_reload(&w->secret) : (struct reload_part){0};
}

void auth_webhook_free(struct auth_webhook **webhook)
{
	struct auth_webhook *w = *webhook;

	OBJ_CHECK(w, AUTH_WEBHOOK_MAGIC);
	auth_calls_fini(&w->calls, curl_easy_cleanup);
	auth_failures_fini(&w->failures);
	lock_fini(&w->secret.lock);
	explicit_bzero(&w->secret, sizeof(w->secret));
	curl_global_cleanup();
	w->magic = 0;
	free(w);
	*webhook = NULL;
}

/* ---- handles ---- */

static bool is_connected(CURL *curl)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	return curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD;
}

/* After a call: has it found the name? A call over a kept connection, or one that failed in another way, tells nothing. */
static void note_lookup(struct auth_webhook *w, CURL *curl, CURLcode code)
{
	curl_off_t lookup_us = 0;
	long connects = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_NAMELOOKUP_TIME_T, &lookup_us);
	(void)curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects);
	if (connects > 0 || code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
		auth_calls_found(&w->calls);
	else if (code == CURLE_OPERATION_TIMEDOUT && lookup_us <= 0)
		auth_calls_lost(&w->calls);
}

/* The part of an answer that has come. Less than `n` ends the call. */
static size_t take_part(char *bytes, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;

	n *= size;
	if (n > sizeof(x->text) - x->n) {
		x->too_long = true;
		return 0;
	}
	memcpy(x->text + x->n, bytes, n);
	x->n += n;
	return n;
}

/* A handle with all settings that are the same in all calls. */
static CURL *make_handle(const struct auth_webhook *w)
{
	CURL *curl = web_handle(w->cfg->auth_url, w->cfg->auth_ca_file);

	if (curl == NULL || curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_part) == CURLE_OK)
		return curl;
	curl_easy_cleanup(curl);
	return NULL;
}

/* ---- the call ---- */

/* The back end was not there, or went before it answered: another try may find it. */
static bool is_worth_a_try(const struct exchange *x)
{
	switch (x->code) {
	case CURLE_OK:
		return x->status >= 500 && x->status <= 599;
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return true;
	default:
		return false;
	}
}

/* CURLE_OK: the call may begin. */
static CURLcode prepare(struct exchange *x)
{
	int64_t left_ms = (x->deadline_ns - clock_now_ns()) / CLOCK_MS;

	if (left_ms <= 0)
		return CURLE_OPERATION_TIMEDOUT;
	if (curl_easy_setopt(x->curl, CURLOPT_TIMEOUT_MS, (long)left_ms) != CURLE_OK ||
	    curl_easy_setopt(x->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)left_ms) != CURLE_OK ||
	    curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(x->question)) != CURLE_OK ||
	    curl_easy_setopt(x->curl, CURLOPT_POSTFIELDS, x->question) != CURLE_OK ||
	    curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers) != CURLE_OK ||
	    curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x) != CURLE_OK)
		return CURLE_OUT_OF_MEMORY;
	return CURLE_OK;
}

static void try_once(struct auth_webhook *w, struct exchange *x)
{
	x->n = 0;
	x->status = 0;
	/* A call that did not begin has looked no name up. */
	if ((x->code = prepare(x)) != CURLE_OK)
		return;
	x->code = curl_easy_perform(x->curl);
	note_lookup(w, x->curl, x->code);
	(void)curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &x->status);
}

static void call(struct auth_webhook *w, struct exchange *x)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	try_once(w, x);
	if (!is_worth_a_try(x) || clock_now_ns() + 2 * PAUSE_NS > x->deadline_ns)
		return;
	(void)nanosleep(&pause, NULL);
	try_once(w, x);
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
	if (heartbeat_s < 0 || heartbeat_s > DAY_S || expires_at < 0 || expires_at > SECONDS_MAX || dialect < 0 ||
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

static int fail(struct auth_identity *who, enum auth_cause cause, const char *why, long status)
{
	static struct log_limit limit = LOG_LIMIT(1);

	who->cause = cause;
	LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_AUTH_URL_FAILED), log_str("error", why),
		    log_i64("status", status));
	return -ERR_NO_LOGIC;
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

	if (x->code == CURLE_OUT_OF_MEMORY)
		return -ENOMEM;
	if (x->too_long)
		return fail(who, AUTH_WEBHOOK_ANSWER, "the answer is longer than 64 KiB", x->status);
	if (x->code == CURLE_OPERATION_TIMEDOUT)
		return fail(who, AUTH_WEBHOOK_TIMEOUT, "no answer within auth.timeout", x->status);
	if (x->code != CURLE_OK)
		return fail(who, AUTH_WEBHOOK_UNREACHABLE, curl_easy_strerror(x->code), x->status);
	if (x->status == 401 || x->status == 403)
		return refuse_by_status(x, who);
	if (x->status < 200 || x->status > 299)
		return fail(who, AUTH_WEBHOOK_STATUS, "unexpected status", x->status);
	if ((rc = auth_webhook_read(x->text, x->n, who)) == -EBADMSG)
		return fail(who, AUTH_WEBHOOK_ANSWER, who->refusal, x->status);
	return rc;
}

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
	int rc = check_network(w, request, who);

	if (rc < 0)
		return rc;
	if (x->curl == NULL && (x->curl = make_handle(w)) == NULL)
		return -ENOMEM;
	x->headers = NULL;
	if ((rc = make_headers(w, &x->headers)) == 0)
		call(w, x);
	/* The handle lives on: it must not know of headers that do not. */
	(void)curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, NULL);
	free_headers(x->headers);
	return rc == 0 ? conclude(x, who) : rc;
}

static int ask(struct auth_webhook *w, struct exchange *x, const struct auth_request *request,
	       struct auth_identity *who)
{
	uint64_t caller = network_hash(request->peer);
	char words[WIRE_TEXT_BYTES];
	const char *why;
	int rc;

	if (auth_failures_recall(&w->failures, x->question, words))
		return auth_refuse(who, AUTH_WEBHOOK, words);
	if ((rc = check_network(w, request, who)) < 0)
		return rc;
	if ((why = auth_calls_borrow(&w->calls, caller, &x->curl, x->deadline_ns)) != NULL)
		return fail(who, AUTH_WEBHOOK_BUSY, why, 0);
	rc = ask_now(w, x, request, who);
	if (rc == -ERR_REFUSED && who->cause == AUTH_WEBHOOK)
		auth_failures_note(&w->failures, request->peer, x->question, who->refusal);
	auth_calls_give_back(&w->calls, caller, x->curl, x->curl != NULL && is_connected(x->curl));
	return rc;
}

int auth_webhook_check(struct auth_webhook *w, const struct auth_request *request, struct auth_identity *who)
{
	struct exchange *x = malloc(sizeof(*x)); /* too large for a connection's stack */
	int64_t uid;
	int rc;

	OBJ_CHECK(w, AUTH_WEBHOOK_MAGIC);
	if (x == NULL)
		return -ENOMEM;
	x->too_long = false;
	x->deadline_ns = clock_now_ns() + w->cfg->auth_timeout * CLOCK_MS;
	if ((x->question = auth_question(request, &x->question_bytes)) == NULL) {
		free(x);
		return -ENOMEM;
	}
	rc = ask(w, x, request, who);
	explicit_bzero(x->question, x->question_bytes);
	free(x->question);
	free(x);
	if (rc == 0 && who->dialect == 0)
		who->dialect = auth_is_user_id(request->token, request->token_bytes, &uid) ? DIALECT_V1 : DIALECT_V2;
	return rc;
}
