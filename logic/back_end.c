/* back_end: see back_end.h. A call that is under way holds only a handle of libcurl, with the connection that the handle keeps.
 * SPDX-License-Identifier: MIT */
#include "logic/back_end.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/network.h"
#include "logic/web.h"

_Static_assert(sizeof(((struct exchange *)0)->words) >= CURL_ERROR_SIZE, "libcurl writes so much");

/* Before the second try: a back end that has just refused a connection may be starting. */
#define PAUSE_NS (50 * CLOCK_MS)

/* ---- start and stop ---- */

int back_end_init(struct back_end *b, const struct config *cfg, const char *setting, const char *url)
{
	int rc;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	*b = (struct back_end){.cfg = cfg, .setting = setting, .url = url};
	b->secret = (struct secret){.setting = "auth.secret_file", .file = ""};
	lock_init(&b->secret.lock, LOCK_POOL);
	if ((rc = auth_calls_init(&b->calls, (unsigned)cfg->auth_concurrency, cfg->auth_timeout * CLOCK_MS)) < 0 ||
	    (rc = secret_start(&b->secret, cfg->auth_secret_file)) < 0)
		back_end_fini(b);
	return rc;
}

void back_end_fini(struct back_end *b)
{
	auth_calls_fini(&b->calls, curl_easy_cleanup);
	lock_fini(&b->secret.lock);
	explicit_bzero(b->secret.text, sizeof(b->secret.text));
	curl_global_cleanup();
}

struct reload_part back_end_reload(struct back_end *b)
{
	return secret_reload(&b->secret);
}

/* ---- headers ---- */

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
static int make_headers(struct back_end *b, struct curl_slist **headers)
{
	char secret[SECRET_BYTES];
	bool in_file = secret_copy(&b->secret, secret);
	int rc;

	/* No "100-continue": it would cost a round trip. */
	if ((rc = add_header(headers, "Content-Type: application/json")) == 0)
		rc = add_header(headers, "Expect:");
	if (rc == 0 && (in_file || b->cfg->auth_secret[0] != '\0'))
		rc = add_secret(headers, in_file ? secret : b->cfg->auth_secret);
	explicit_bzero(secret, sizeof(secret));
	return rc;
}

static void free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *h = headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(headers);
}

/* ---- handles ---- */

static bool is_connected(CURL *curl)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	return curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD;
}

/* After a call: has it found the name? A call over a kept connection, or one that failed in another way, tells nothing. */
static void note_lookup(struct back_end *b, CURL *curl, CURLcode code)
{
	curl_off_t lookup_us = 0;
	long connects = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_NAMELOOKUP_TIME_T, &lookup_us);
	(void)curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects);
	if (connects > 0 || code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
		auth_calls_found(&b->calls);
	else if (code == CURLE_OPERATION_TIMEDOUT && lookup_us <= 0)
		auth_calls_lost(&b->calls);
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
static CURL *make_handle(const struct back_end *b)
{
	CURL *curl = web_handle(b->url, b->cfg->auth_ca_file);

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
	    curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, x->words) != CURLE_OK ||
	    curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x) != CURLE_OK)
		return CURLE_OUT_OF_MEMORY;
	return CURLE_OK;
}

static void try_once(struct back_end *b, struct exchange *x)
{
	x->n = 0;
	x->status = 0;
	x->words[0] = '\0';
	/* A call that did not begin has looked no name up. */
	if ((x->code = prepare(x)) != CURLE_OK)
		return;
	x->code = curl_easy_perform(x->curl);
	note_lookup(b, x->curl, x->code);
	(void)curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &x->status);
}

static void call(struct back_end *b, struct exchange *x)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	try_once(b, x);
	if (!is_worth_a_try(x) || clock_now_ns() + 2 * PAUSE_NS > x->deadline_ns)
		return;
	(void)nanosleep(&pause, NULL);
	try_once(b, x);
}

/* ---- the answer ---- */

int back_end_fail(const struct exchange *x, struct auth_identity *who, enum auth_cause cause, const char *why)
{
	static struct log_limit limit = LOG_LIMIT(1);

	who->cause = cause;
	LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_AUTH_URL_FAILED), log_str("setting", x->setting),
		    log_str("error", why), log_i64("status", x->status));
	return -ERR_NO_LOGIC;
}

static int conclude(struct exchange *x, struct auth_identity *who)
{
	if (x->code == CURLE_OUT_OF_MEMORY)
		return -ENOMEM;
	if (x->too_long)
		return back_end_fail(x, who, AUTH_WEBHOOK_ANSWER, "the answer is longer than 64 KiB");
	if (x->code == CURLE_OPERATION_TIMEDOUT)
		return back_end_fail(x, who, AUTH_WEBHOOK_TIMEOUT, "no answer within auth.timeout");
	if (x->code != CURLE_OK)
		return back_end_fail(x, who, AUTH_WEBHOOK_UNREACHABLE, web_fault((CURLcode)x->code, x->url, x->words));
	if (x->status != 401 && x->status != 403 && (x->status < 200 || x->status > 299))
		return back_end_fail(x, who, AUTH_WEBHOOK_STATUS, "unexpected status");
	return 0;
}

bool back_end_enter(struct back_end *b, struct exchange *x, struct auth_identity *who)
{
	const char *why;

	x->too_long = false;
	x->status = 0;
	x->setting = b->setting;
	x->url = b->url;
	x->deadline_ns = clock_now_ns() + b->cfg->auth_timeout * CLOCK_MS;
	if ((why = auth_calls_borrow(&b->calls, network_hash(x->peer), &x->curl, x->deadline_ns)) == NULL)
		return true;
	(void)back_end_fail(x, who, AUTH_WEBHOOK_BUSY, why);
	return false;
}

int back_end_ask(struct back_end *b, struct exchange *x, struct auth_identity *who)
{
	struct curl_slist *headers = NULL;
	int rc;

	if (x->curl == NULL && (x->curl = make_handle(b)) == NULL)
		return -ENOMEM;
	if ((rc = make_headers(b, &headers)) == 0) {
		x->headers = headers;
		call(b, x);
	}
	/* The handle lives on: it must not know of what does not. */
	(void)curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, NULL);
	(void)curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, NULL);
	free_headers(headers);
	return rc == 0 ? conclude(x, who) : rc;
}

void back_end_leave(struct back_end *b, struct exchange *x)
{
	auth_calls_give_back(&b->calls, network_hash(x->peer), x->curl, x->curl != NULL && is_connected(x->curl));
}
