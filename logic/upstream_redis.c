/* upstream_redis: see upstream.h. In a cluster, packets from clients go into the stream comet:up, which back ends may also
 * read themselves. Any thread. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/script.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/rate.h"
#include "common/config/config.h"
#include "common/redis/redis_name.h"
#include "common/redis/redis_pipe.h"
#include "logic/upstream.h"
#include "logic/waits_redis.h"

/* One user may fill the stream in 64 s, and a sixteenth of it at once: so a back end that reads within seconds misses nothing of
 * others, whatever one of them sends. Each logic counts for itself. */
#define SHARE_PARTS    64
#define SHARE_BURST_NS (4 * CLOCK_SEC)
/* After so large a part of it was written the stream is measured. */
#define MEASURE_PARTS 16
/* Of an entry beside key and body. */
#define ENTRY_BYTES 70

struct upstream_redis {
	unsigned magic;
#define UPSTREAM_REDIS_MAGIC 0x0b5ed150
	/* set once */
	const struct config *cfg;
	struct redis_pipe *pipe;
	struct rate share; /* bytes a second of one user */
	/* any thread */
	struct waits_redis waits;
	_Atomic int64_t unmeasured; /* bytes written since the stream was measured */
	/* under lock */
	struct lock lock;
	struct rate_table shares;
};

static struct upstream_redis *upstream_of(void *self)
{
	struct upstream_redis *u = self;

	OBJ_CHECK(u, UPSTREAM_REDIS_MAGIC);
	return u;
}

/* ---- writing ---- */

/* Is there space for it in its user's share? */
static bool use_share(struct upstream_redis *u, const struct seat *seat, int64_t bytes)
{
	static struct log_limit limit = LOG_LIMIT(1);
	char owner[SEAT_OWNER_BYTES];
	int64_t wait_ns;

	lock_take(&u->lock);
	wait_ns = rate_table_take(&u->shares, &u->share, seat_owner(seat, owner), clock_now_ns(), bytes);
	lock_drop(&u->lock);
	if (wait_ns == 0)
		return true;
	count(COUNT_UPSTREAM_DROPPED);
	LOG_LIMITED(LOG_WARN, &limit, log_str("key", seat->key), log_what(EVENT_UPSTREAM_SHARE_USED),
		    user_log(&seat->user));
	return false;
}

/* Redis knows how much memory its stream takes, and no sum of ours does: back ends may take entries out. It is asked now and then,
 * by the one whose packet made it time. */
static void keep_in_bounds(int64_t bytes, struct upstream_redis *u, int64_t deadline)
{
	static struct log_limit limit = LOG_LIMIT(1);
	int64_t part = u->cfg->redis_upstream_bytes / MEASURE_PARTS;
	struct redisReply *reply;
	int rc;

	if (atomic_fetch_add(&u->unmeasured, bytes) + bytes < part || atomic_exchange(&u->unmeasured, 0) < part)
		return;
	rc = script_run(u->pipe, &script_trim_up, deadline, &reply, "%lld", (long long)u->cfg->redis_upstream_bytes);
	if (rc < 0) {
		LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_UPSTREAM_NOT_TRIMMED), log_str("error", err_text(rc)));
		return;
	}
	if (reply->type == REDIS_REPLY_INTEGER)
		count_add(COUNT_UPSTREAM_DROPPED, reply->integer);
	freeReplyObject(reply);
}

static int append(void *self, const struct seat *seat, const struct packet *p)
{
	struct upstream_redis *u = upstream_of(self);
	const char *name = seat->user.name;
	int64_t bytes = ENTRY_BYTES + (int64_t)strlen(seat->key) + p->body_bytes;
	int64_t deadline = clock_now_ns() + u->cfg->redis_timeout * CLOCK_MS;
	int rc;

	if (!use_share(u, seat, bytes))
		return 0;
	rc = redis_pipe_call(u->pipe, REDIS_ONCE, deadline, NULL,
			     name != NULL ? "XADD %s MAXLEN ~ %lld * key %s mid %lld op %d seq %d body %b user %s"
					  : "XADD %s MAXLEN ~ %lld * key %s mid %lld op %d seq %d body %b",
			     redis_name_key(u->cfg, "up", "").text, (long long)u->cfg->redis_upstream_length, seat->key,
			     (long long)seat->user.mid, p->op, p->seq, p->body, (size_t)p->body_bytes, name);
	/* Also where Redis took nothing, because its memory is full. */
	keep_in_bounds(bytes, u, deadline);
	return rc == 0 || rc == -ENOMEM ? rc : -ERR_NO_LOGIC;
}

/* ---- reading ---- */

static int copy_body(struct upstream_entry *entry, const struct redisReply *value)
{
	free(entry->body);
	entry->body_bytes = (size_t)value->len;
	if ((entry->body = malloc(entry->body_bytes + 1)) == NULL)
		return -ENOMEM;
	memcpy(entry->body, value->str, entry->body_bytes + 1);
	return 0;
}

/* The strings of the seat stay the reply's. */
static int read_field(const char *name, const struct redisReply *value, struct seat *seat, struct upstream_entry *entry)
{
	if (strcmp(name, "mid") == 0)
		seat->user.mid = strtoll(value->str, NULL, 10);
	else if (strcmp(name, "user") == 0)
		seat->user.name = value->str;
	else if (strcmp(name, "key") == 0)
		seat->key = value->str;
	else if (strcmp(name, "op") == 0)
		entry->op = (int32_t)strtol(value->str, NULL, 10);
	else if (strcmp(name, "body") == 0)
		return copy_body(entry, value);
	return 0;
}

/* [id, [field, value, ...]] */
static int copy_entry(struct upstream_entry *entry, const struct redisReply *from)
{
	const struct redisReply *fields = from->elements == 2 ? from->element[1] : NULL;
	struct seat seat = {.key = ""};
	int rc = 0;

	*entry = (struct upstream_entry){.body = calloc(1, 1)};
	if (entry->body == NULL)
		return -ENOMEM;
	if (fields == NULL || from->element[0]->str == NULL)
		return seat_copy(&seat, &entry->seat);
	(void)snprintf(entry->id, sizeof(entry->id), "%s", from->element[0]->str);
	for (size_t i = 0; rc == 0 && i + 1 < fields->elements; i += 2)
		if (fields->element[i]->str != NULL && fields->element[i + 1]->str != NULL)
			rc = read_field(fields->element[i]->str, fields->element[i + 1], &seat, entry);
	return rc == 0 ? seat_copy(&seat, &entry->seat) : rc;
}

static int copy_entries(void *arg, struct redis *r, const struct redisReply *entries)
{
	struct upstream_found *found = arg;
	int rc = 0;

	(void)r;
	if ((found->entries = calloc(entries->elements + 1, sizeof(*found->entries))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < entries->elements; i++)
		rc = copy_entry(&found->entries[found->n++], entries->element[i]);
	return rc;
}

/* "0", "<ms>" or "<ms>-<n>". */
static bool is_id(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 18)
		return false;
	if (text[digits] == '\0')
		return true;
	text += digits + 1;
	digits = strspn(text, "0123456789");
	return text[-1] == '-' && digits > 0 && digits <= 18 && text[digits] == '\0';
}

/* An id that a comet alone gave is microseconds: 16 digits, which Redis's milliseconds do not reach. Who was there before has had nothing
 * of ours, and would wait for ever. */
static bool is_of_a_comet_alone(const char *id)
{
	return strlen(id) > 14 && strchr(id, '-') == NULL;
}

static void stop(void *self)
{
	waits_redis_stop(&upstream_of(self)->waits);
}

static int read_after(void *self, const struct upstream_query *query, struct upstream_found *found)
{
	struct upstream_query asks = *query;
	int rc;

	*found = (struct upstream_found){0};
	if (!is_id(query->after))
		return -EINVAL;
	if (is_of_a_comet_alone(query->after))
		asks.after = "0";
	rc = waits_redis_read(&upstream_of(self)->waits, &asks, NULL, copy_entries, found, &found->n);
	if (rc < 0)
		upstream_found_fini(found);
	return rc;
}

int upstream_redis_new(const struct config *cfg, struct redis_pipe *pipe, struct upstream *out)
{
	struct upstream_redis *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return -ENOMEM;
	u->magic = UPSTREAM_REDIS_MAGIC;
	u->cfg = cfg;
	u->pipe = pipe;
	u->share = (struct rate){cfg->redis_upstream_bytes / SHARE_PARTS, SHARE_BURST_NS};
	u->unmeasured = cfg->redis_upstream_bytes; /* it may have been larger */
	if (rate_table_init(&u->shares) < 0) {
		free(u);
		return -ENOMEM;
	}
	lock_init(&u->lock, LOCK_REGISTRY);
	waits_redis_init(&u->waits, cfg, "upstream", "up");
	*out = (struct upstream){.append = append, .read = read_after, .stop = stop, .self = u};
	return 0;
}

void upstream_redis_free(struct upstream *upstream)
{
	struct upstream_redis *u = upstream_of(upstream->self);

	rate_table_fini(&u->shares);
	waits_redis_fini(&u->waits);
	lock_fini(&u->lock);
	u->magic = 0;
	free(u);
	*upstream = (struct upstream){0};
}
