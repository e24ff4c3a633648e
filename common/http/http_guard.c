/* http_guard: see http_guard.h. SPDX-License-Identifier: MIT */
#include "common/http/http_guard.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/base/network.h"

enum refused {
	REFUSED_NO_KEY,
	REFUSED_WRONG_KEY,
	REFUSED_SCOPE,
	REFUSED_ROOM,
	REFUSED_OVER,
	REFUSED_CLOSED,
	REFUSED_RATE,
	REFUSED_BODY,
	REFUSED_ORIGIN,
	REFUSED_MAX
};

static const char *const refused_names[REFUSED_MAX] = {
	[REFUSED_NO_KEY] = "no_key", [REFUSED_WRONG_KEY] = "wrong_key", [REFUSED_SCOPE] = "scope",
	[REFUSED_ROOM] = "room",     [REFUSED_OVER] = "expired",        [REFUSED_RATE] = "rate",
	[REFUSED_CLOSED] = "closed", [REFUSED_BODY] = "body",           [REFUSED_ORIGIN] = "origin",
};

COUNTER_LABELS(HTTP_REFUSED, refused_names, REFUSED_MAX);

int http_guard_init(struct http_guard *g, struct http_keys *keys, const struct rate *rate,
		    const char *const *free_paths)
{
	*g = (struct http_guard){.keys = keys, .free_paths = free_paths};
	rate_change(&g->rate, rate);
	lock_init(&g->lock, LOCK_POOL);
	return rate_table_init(&g->rates);
}

void http_guard_fini(struct http_guard *g)
{
	rate_table_fini(&g->rates);
	lock_fini(&g->lock);
}

static void count_refused(const struct http_request *request, enum refused why, const char *what)
{
	static struct log_limit limit = LOG_LIMIT(5);

	count_by(COUNT_HTTP_REFUSED, why);
	LOG_LIMITED(LOG_WARN, &limit, log_str("peer", request->peer),
		    log_str("api_key", request->key.name[0] != '\0' ? request->key.name : NULL),
		    log_what(EVENT_HTTP_CALL_REFUSED), log_str("why", what), log_str("method", request->method),
		    log_str("path", request->path));
}

/* ---- who ---- */

static bool is_over(const struct http_key *key)
{
	return key->until_s > 0 && clock_wall_ms() / 1000 >= key->until_s;
}

struct bearer {
	struct http_keys *keys;
	struct http_key *found;
};

static bool is_known(void *arg, enum tls_name kind, const char *name)
{
	const struct bearer *b = arg;

	(void)kind;
	return http_keys_find_certificate(b->keys, name, b->found);
}

void http_guard_identify(const struct http_guard *g, const char *shown, struct tls *tls, struct http_request *request)
{
	struct bearer bearer = {g->keys, &request->key};

	request->has_shown_key = shown != NULL;
	if (g->keys == NULL)
		request->key.scopes = HTTP_ALL;
	else if (!http_keys_find(g->keys, shown, &request->key) && shown == NULL && tls != NULL)
		(void)tls_peer_is(tls, is_known, &bearer);
	if (is_over(&request->key))
		request->key.scopes = 0; /* but its name stays, for the log and the rate */
}

static bool needs_no_key(const struct http_request *request)
{
	return request->key.scopes == HTTP_ALL && request->key.name[0] == '\0';
}

/* Without a key, any page that its reader has open could push here, since browsers let pages post to anywhere. A key is a
 * header that they do not let them send. Where none is set, a page could also have its own name point to us and so be of our
 * site: names of ours are none then. NULL: it is no such page. */
static const char *page_fault(const struct http_request *request)
{
	if (request->is_elsewheres && (!request->has_shown_key || needs_no_key(request)))
		return "a page of another site may not call this without an API key";
	if (request->is_renamed && needs_no_key(request))
		return "without an API key set, this answers to localhost and to addresses only; set http.api_key";
	return NULL;
}

/* Its scopes do not do. */
static void refuse_scope(const struct http_request *request, unsigned scopes, struct http_reply *reply)
{
	char words[HTTP_SCOPES_BYTES], sentence[2 * HTTP_SCOPES_BYTES];

	http_scopes_words(scopes, " or ", words);
	(void)snprintf(sentence, sizeof(sentence), "this API key lacks the scope %s; its scopes are in http.keys_file",
		       words);
	count_refused(request, REFUSED_SCOPE, "the key has not the scope for it");
	http_reply_refuse(reply, 403, sentence);
}

/* It is nobody's, or was somebody's. Of all paths this is said alike: strangers cannot find out which there are. */
static void refuse_key(const struct http_request *request, struct http_reply *reply)
{
	const char *words = "the API key is missing or wrong; send it as X-Api-Key or Authorization: Bearer";

	if (request->key.none_is_set) {
		count_refused(request, REFUSED_CLOSED, "no key is set");
		words = "closed until COMET_HTTP_API_KEY is set (for clients: COMET_AUTH_MODE); COMET_DEMO=yes opens "
			"it for a first try";
	} else if (request->key.name[0] != '\0') {
		count_refused(request, REFUSED_OVER, "the key is over");
		words = "this API key is over; its until= is in http.keys_file";
	} else if (request->has_shown_key) {
		count_refused(request, REFUSED_WRONG_KEY, "nobody has this API key");
	} else {
		count_refused(request, REFUSED_NO_KEY, "no API key");
	}
	http_reply_refuse(reply, 401, words);
	reply->extra_header = "WWW-Authenticate";
	reply->extra_value = "Bearer";
}

bool http_guard_may(const struct http_request *request, unsigned scopes, struct http_reply *reply)
{
	const char *page;

	if (scopes == HTTP_FREE)
		return true;
	if ((page = page_fault(request)) != NULL) {
		count_refused(request, REFUSED_ORIGIN, "from a page of another site, or by another name");
		http_reply_refuse(reply, 403, page);
		return false;
	}
	if ((request->key.scopes & scopes) != 0)
		return true;
	if (request->key.scopes != 0)
		refuse_scope(request, scopes, reply);
	else
		refuse_key(request, reply);
	return false;
}

bool http_guard_may_room(const struct http_request *request, const char *room, struct http_reply *reply)
{
	if (http_key_may_room(&request->key, room))
		return true;
	count_refused(request, REFUSED_ROOM, "the key is not for this room");
	/* "": the call names no room. */
	http_reply_refuse(
		reply, 403,
		room[0] == '\0' ? "this API key is for some rooms only, its rooms= in http.keys_file: name one of them"
				: "this API key is not for this room; its rooms= is in http.keys_file");
	return false;
}

/* ---- how often, and how much ---- */

bool http_guard_is_free(const struct http_guard *g, const char *path)
{
	const char *const *free_path = g->free_paths;

	while (free_path != NULL && *free_path != NULL && strcmp(*free_path, path) != 0)
		free_path++;
	return free_path != NULL && *free_path != NULL;
}

/* A key of nobody's is bounded by its address, as none is. A key that is called like an address shares that one's rate, which
 * harms nobody. */
static int64_t take_from_rate(struct http_guard *g, const struct http_request *request)
{
	struct rate rate = rate_now(&g->rate);
	char network[NETWORK_BYTES];
	int64_t wait_ns;

	if (request->key.rate > 0)
		rate.per_second = request->key.rate;
	if (rate.per_second == 0)
		return 0;
	lock_take(&g->lock);
	wait_ns = rate_table_take(&g->rates, &rate,
				  request->key.name[0] != '\0' ? request->key.name : network_of(request->peer, network),
				  clock_now_ns(), 1);
	lock_drop(&g->lock);
	return wait_ns;
}

bool http_guard_pass_rate(struct http_guard *g, const struct http_request *request, struct http_reply *reply)
{
	const char *why = "more than http.rate a second";
	int64_t wait_ns;

	if (http_guard_is_free(g, request->path) || (wait_ns = take_from_rate(g, request)) == 0)
		return true;
	if (request->key.rate > 0)
		why = "more than the key's rate= a second";
	else if (request->key.name[0] == '\0')
		why = "more than http.rate a second from one network; if it is a proxy, name it in "
		      "http.trusted_proxies";
	count_refused(request, REFUSED_RATE, why);
	http_reply_refuse(reply, 429,
			  request->key.rate > 0 ? "more calls than the rate= of this API key allows; see Retry-After"
						: "more calls than http.rate allows; see Retry-After");
	(void)snprintf(reply->extra_text, sizeof(reply->extra_text), "%lld",
		       (long long)((wait_ns + CLOCK_SEC - 1) / CLOCK_SEC));
	reply->extra_header = "Retry-After";
	reply->extra_value = reply->extra_text;
	return false;
}

void http_guard_refuse_body(struct http_reply *reply)
{
	count_by(COUNT_HTTP_REFUSED, REFUSED_BODY);
	http_reply_refuse(reply, 413, "the body is longer than http.max_body");
}
