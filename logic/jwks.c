/* jwks: see jwks.h. SPDX-License-Identifier: MIT */
#include "logic/jwks.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/worker.h"
#include "logic/jwk_set.h"
#include "logic/web.h"

#define ANSWER_MAX 262144
#define TIMEOUT_MS 10000L
/* From one fetch to the next at least, unless auth.jwks_refresh is less: strangers can name keys that there are not. */
#define PAUSE_MS 10000

enum result { FETCHED, FAILED, RESULTS };
static const char *const result_names[RESULTS] = {"fetched", "failed"};
COUNTER_LABELS(JWKS_FETCHES, result_names, RESULTS);

struct jwks {
	unsigned magic;
#define JWKS_MAGIC 0x0b5eced0
	const struct config *cfg; /* set once */
	struct worker worker;
	/* the worker's */
	char answer[ANSWER_MAX];
	size_t n;
	/* under lock */
	struct lock lock;
	struct jwt_keys *keys; /* NULL: none have come */
	bool under_way;        /* a fetch; also before the first */
	bool failed;           /* the last one */
	int64_t tried_ns;      /* it ended then */
	char missing[128];     /* a name that the next is to bring; empty: none */
	char absent[128];      /* a name that the last was to bring, and did not; empty: none */
};

static int64_t pause_ns(const struct jwks *j)
{
	int64_t refresh_ms = j->cfg->auth_jwks_refresh;

	return (refresh_ms < PAUSE_MS ? refresh_ms : PAUSE_MS) * CLOCK_MS;
}

/* ---- a fetch ---- */

static size_t take_part(char *bytes, size_t size, size_t n, void *arg)
{
	struct jwks *j = arg;

	n *= size;
	if (n > sizeof(j->answer) - j->n)
		return 0;
	memcpy(j->answer + j->n, bytes, n);
	j->n += n;
	return n;
}

/* Other than 0 ends the transfer. libcurl asks once a second at least, also while it waits. */
/* NOLINTNEXTLINE(bugprone-easily-swappable-parameters): libcurl's */
static int is_over(void *arg, curl_off_t all_down, curl_off_t down, curl_off_t all_up, curl_off_t up)
{
	struct jwks *j = arg;

	(void)all_down;
	(void)down;
	(void)all_up;
	(void)up;
	return worker_is_stopping(&j->worker);
}

/* NULL: an answer is there. Otherwise why there is none, perhaps in `words`. */
static const char *call(struct jwks *j, char words[CURL_ERROR_SIZE])
{
	CURL *curl = web_handle(j->cfg->auth_jwks_url, j->cfg->auth_ca_file);
	CURLcode code = CURLE_OUT_OF_MEMORY;
	long status = 0;

	j->n = 0;
	words[0] = '\0';
	if (curl != NULL && curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS) == CURLE_OK &&
	    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words) == CURLE_OK &&
	    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
	    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_over) == CURLE_OK &&
	    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, j) == CURLE_OK &&
	    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_part) == CURLE_OK &&
	    curl_easy_setopt(curl, CURLOPT_WRITEDATA, j) == CURLE_OK) {
		code = curl_easy_perform(curl);
		(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	}
	curl_easy_cleanup(curl);
	if (code == CURLE_WRITE_ERROR)
		return "the answer is longer than 256 KiB";
	if (code != CURLE_OK)
		return web_fault(code, j->cfg->auth_jwks_url, words);
	return status == 200 ? NULL : "the status of the answer is not 200";
}

/* NULL: *keys are there. */
static const char *fetch(struct jwks *j, struct jwt_keys **keys, unsigned *left_out, char words[CURL_ERROR_SIZE])
{
	const char *fault = call(j, words);
	int rc;

	if (fault != NULL)
		return fault;
	rc = jwk_set_read(j->answer, j->n, keys, left_out, &fault);
	return rc == -ENOMEM ? "no memory" : fault;
}

/* ---- what came of it ---- */

static void tell(const struct jwks *j, unsigned keys, unsigned left_out, const char *absent)
{
	LOG(LOG_DEBUG, log_what(EVENT_JWKS_FETCHED), log_str("url", j->cfg->auth_jwks_url), log_i64("keys", keys),
	    log_i64("left_out", left_out));
	if (absent[0] != '\0')
		LOG(LOG_WARN, log_what(EVENT_JWKS_KEY_UNKNOWN), log_str("kid", absent),
		    log_str("url", j->cfg->auth_jwks_url));
}

/* The new keys, or NULL with a fault. */
static void take_result(struct jwks *j, struct jwt_keys *keys, unsigned left_out, const char *fault)
{
	struct jwt_keys *old = NULL;
	unsigned n = keys != NULL ? jwt_keys_count(keys) : 0;
	char absent[sizeof(j->absent)] = "";

	lock_take(&j->lock);
	if (keys != NULL) {
		if (!jwt_keys_has(keys, j->missing))
			memcpy(absent, j->missing, sizeof(absent));
		memcpy(j->absent, absent, sizeof(absent));
		j->missing[0] = '\0';
		old = j->keys;
		j->keys = keys;
	}
	j->under_way = false;
	j->failed = keys == NULL;
	j->tried_ns = clock_now_ns();
	lock_drop(&j->lock);
	if (old != NULL)
		jwt_keys_unref(&old);
	if (keys == NULL && worker_is_stopping(&j->worker)) /* which broke it off */
		return;
	count_by(COUNT_JWKS_FETCHES, keys != NULL ? FETCHED : FAILED);
	if (keys != NULL)
		tell(j, n, left_out, absent);
	else
		LOG(LOG_WARN, log_what(EVENT_JWKS_FAILED), log_str("url", j->cfg->auth_jwks_url),
		    log_str("error", fault));
}

/* On clock_now_ns()'s scale. */
static int64_t due(const struct jwks *j) NEEDS(j->lock)
{
	bool is_soon = j->failed || j->missing[0] != '\0';

	return j->tried_ns + (is_soon ? pause_ns(j) : j->cfg->auth_jwks_refresh * CLOCK_MS);
}

static int64_t next(struct jwks *j)
{
	int64_t ns;

	lock_take(&j->lock);
	ns = due(j);
	lock_drop(&j->lock);
	return ns;
}

static bool begin(struct jwks *j)
{
	bool is_now;

	lock_take(&j->lock);
	is_now = j->under_way || clock_now_ns() >= due(j);
	j->under_way = is_now;
	lock_drop(&j->lock);
	return is_now;
}

static void work(void *arg)
{
	struct jwks *j = arg;

	OBJ_CHECK(j, JWKS_MAGIC);
	do {
		struct jwt_keys *keys = NULL;
		char words[CURL_ERROR_SIZE];
		unsigned left_out = 0;

		if (begin(j)) {
			const char *fault = fetch(j, &keys, &left_out, words);

			take_result(j, keys, left_out, fault);
		}
	} while (worker_wait(&j->worker, next(j)));
}

/* ---- the others' side ---- */

int jwks_new(const struct config *cfg, struct jwks **out)
{
	struct jwks *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return -ENOMEM;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(j);
		return -ENOMEM;
	}
	j->magic = JWKS_MAGIC;
	j->cfg = cfg;
	j->under_way = true;
	lock_init(&j->lock, LOCK_POOL);
	*out = j;
	return 0;
}

int jwks_start(struct jwks *j)
{
	OBJ_CHECK(j, JWKS_MAGIC);
	return worker_start(&j->worker, "jwks", work, j);
}

void jwks_free(struct jwks **jwks)
{
	struct jwks *j = *jwks;

	OBJ_CHECK(j, JWKS_MAGIC);
	worker_stop(&j->worker);
	if (j->keys != NULL)
		jwt_keys_unref(&j->keys);
	lock_fini(&j->lock);
	curl_global_cleanup();
	j->magic = 0;
	free(j);
	*jwks = NULL;
}

struct jwt_keys *jwks_keys(struct jwks *j)
{
	struct jwt_keys *keys = NULL;

	OBJ_CHECK(j, JWKS_MAGIC);
	lock_take(&j->lock);
	if (j->keys != NULL)
		keys = jwt_keys_ref(j->keys);
	lock_drop(&j->lock);
	return keys;
}

bool jwks_may_come(struct jwks *j, const char *kid)
{
	bool is_absent, is_first;

	OBJ_CHECK(j, JWKS_MAGIC);
	lock_take(&j->lock);
	is_absent = kid[0] == '\0' ? j->keys != NULL /* a key without a name is no news */
				   : !j->under_way && !j->failed && strcmp(kid, j->absent) == 0 &&
					     clock_now_ns() < j->tried_ns + pause_ns(j);
	is_first = !is_absent && kid[0] != '\0' && j->missing[0] == '\0';
	if (is_first)
		(void)snprintf(j->missing, sizeof(j->missing), "%s", kid);
	lock_drop(&j->lock);
	if (is_first)
		worker_wake(&j->worker);
	return !is_absent;
}
