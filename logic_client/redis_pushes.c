/* redis_pushes: see redis_pushes.h. One thread, one connection, one stream.
 *
 * The place in the stream is remembered here, so a broken connection or a restart of Redis loses no entry that the stream
 * still holds. Writers number the entries of a stream: a hole means that entries were trimmed before we read them. Each entry
 * also has its writer's own number; one that is not above the last of this writer comes a second time (see bus_redis.c).
 * SPDX-License-Identifier: MIT */
#include "logic_client/redis_pushes.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/strmap.h"
#include "common/base/worker.h"
#include "common/redis/redis.h"
#include "common/redis/redis_name.h"
#include "common/redis/redis_ready.h"

/* Entries read at a time, and how long Redis waits for the first. */
#define READ_COUNT    256
#define READ_BLOCK_MS 1000
/* So many seconds what was read stays in the stream, for a replica that is behind and takes over. */
#define KEEP_SECONDS 10
/* Writers remembered: each start of a comet-logic is one. */
#define WRITERS_MAX 4096

/* A place in a stream: "<ms>-<seq>". */
struct place {
	uint64_t ms, seq;
};

struct redis_pushes {
	unsigned magic;
#define REDIS_PUSHES_MAGIC 0x9a54e500
	/* set once */
	const struct config *cfg;
	push_sink *sink;
	void *sink_self;
	struct kicks *kicks;
	const char *epoch;
	struct redis_name key, lease;
	struct redis *redis;
	struct worker worker;
	/* the worker's */
	struct place read;    /* up to here, this time */
	struct place highest; /* ever; below it everything comes again */
	uint64_t number;      /* of the entry at `highest` */
	/* the number when Redis lost data and began to count anew, and the entries counted as lost since */
	uint64_t lost_at;
	bool went_back;        /* the numbers, since the last word of a writer ... */
	uint64_t generation;   /* ... about this generation of the data */
	struct strmap writers; /* writer -> last number, heap */
	/* the places reached on this connection in the last seconds, the oldest at `next_mark` */
	struct place marks[KEEP_SECONDS];
	unsigned next_mark;
	int64_t marked_ns;
	struct place trimmed; /* up to here */
};

static bool is_above(struct place a, struct place b)
{
	return a.ms != b.ms ? a.ms > b.ms : a.seq > b.seq;
}

static bool place_of(const struct redisReply *id, struct place *out)
{
	return id->str != NULL && sscanf(id->str, "%" SCNu64 "-%" SCNu64, &out->ms, &out->seq) == 2;
}

/* ---- one entry ---- */

static void say_lost(const struct redis_pushes *p, uint64_t n, enum event how)
{
	count_add(COUNT_PUSH_GAP, (int64_t)n);
	LOG(LOG_ERROR, log_str("stream", p->key.text), log_what(how), log_i64("lost", (int64_t)n));
}

/* Look for a hole before this entry. */
static void check_number(struct redis_pushes *p, struct place at, uint64_t number)
{
	if (!is_above(at, p->highest))
		return; /* read a second time, after a rewind */
	p->highest = at;
	if (number == 0)
		return; /* of a writer that does not number */
	if (number > p->number + 1)
		say_lost(p, number - p->number - 1, EVENT_PUSHES_TRIMMED);
	if (number <= p->number) {
		p->lost_at = p->number;
		p->went_back = true;
	}
	p->number = number;
}

/* A writer tells how far the lost stream went. Another writer may know of more entries, and then only those are counted. What the
 * stream still had when the new generation began was not lost, and what we had read was not either, when it was more. Of a writer
 * that does not tell where that was: a comet that had read nothing has no number to count from. */
static void take_word(struct redis_pushes *p, const struct wire_pushed *word)
{
	if (word->generation > p->generation) {
		if (!p->went_back || p->lost_at < word->base)
			p->lost_at = word->base;
		p->generation = word->generation;
		p->went_back = false;
	}
	if ((word->generation == 0 && p->lost_at == 0) || word->had <= p->lost_at)
		return;
	say_lost(p, word->had - p->lost_at, EVENT_PUSHES_LOST);
	p->lost_at = word->had;
}

/* Does it come a second time? If not, it is noted. -ENOMEM: not known. */
static int is_duplicate(struct redis_pushes *p, const struct wire_pushed *pushed)
{
	char writer[256];
	uint64_t *last;

	if (pushed->from_bytes == 0 || pushed->from_bytes >= sizeof(writer))
		return 0;
	memcpy(writer, pushed->from, pushed->from_bytes);
	writer[pushed->from_bytes] = '\0';
	if ((last = strmap_get(&p->writers, writer)) != NULL) {
		if (pushed->seq <= *last)
			return 1;
		*last = pushed->seq;
		return 0;
	}
	if (p->writers.count >= WRITERS_MAX)
		strmap_drop_all(&p->writers, free);
	if ((last = malloc(sizeof(*last))) == NULL)
		return -ENOMEM;
	*last = pushed->seq;
	if (strmap_put(&p->writers, writer, last, NULL) < 0) {
		free(last);
		return -ENOMEM;
	}
	return 0;
}

/* A moment for memory or space in the push queue to come back. False: stopping. */
static bool rest(struct redis_pushes *p)
{
	return worker_nap(&p->worker, clock_now_ns() + 50 * CLOCK_MS);
}

/* Try until the sink has it. Later pushes wait in Redis meanwhile. */
static int deliver(struct redis_pushes *p, const struct wire_push *push)
{
	static struct log_limit limit = LOG_LIMIT(1);
	int rc;

	if (push->target == WIRE_KICK && kicks_add(p->kicks, push) < 0)
		LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_KICK_WITHOUT_MEMORY));
	while ((rc = p->sink(p->sink_self, push)) < 0) {
		LOG_LIMITED(LOG_WARN, &limit, log_str("stream", p->key.text), log_what(EVENT_PUSH_WAITS),
			    log_str("error", err_text(rc)));
		if (!rest(p))
			return -ESHUTDOWN;
	}
	return 0;
}

static int take_push(struct redis_pushes *p, struct place at, const struct wire_pushed *pushed)
{
	int rc = is_duplicate(p, pushed);

	if (rc < 0)
		return rc;
	check_number(p, at, pushed->number);
	if (rc == 0 && pushed->had == 0)
		return deliver(p, &pushed->push);
	if (rc == 0)
		take_word(p, pushed);
	else
		count(COUNT_PUSH_DUPLICATES);
	return 0;
}

static int take_fields(struct redis_pushes *p, struct place at, const struct wire_field *fields, size_t n)
{
	static struct log_limit limit = LOG_LIMIT(1);
	struct wire_pushed pushed;
	int rc = wire_pushed_decode(fields, n, &pushed);

	if (rc == 0) {
		rc = take_push(p, at, &pushed);
	} else if (rc == -EBADMSG || rc == -EMSGSIZE) {
		count(COUNT_PUSH_BAD_ENTRIES);
		LOG_LIMITED(LOG_WARN, &limit, log_str("stream", p->key.text), log_i64("ms", (int64_t)at.ms),
			    log_what(EVENT_PUSH_UNREADABLE));
		check_number(p, at, pushed.number);
		rc = 0;
	}
	wire_pushed_fini(&pushed);
	return rc;
}

/* [id, [field, value, ...]]. 0: it is done with; -ENOMEM: to be read again; -ESHUTDOWN; -EPROTO. */
static int take_entry(struct redis_pushes *p, const struct redisReply *entry)
{
	struct wire_field fields[32];
	const struct redisReply *all;
	struct place at;
	size_t n = 0;
	int rc;

	if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 || !place_of(entry->element[0], &at))
		return -EPROTO;
	all = entry->element[1];
	for (size_t i = 0; i + 1 < all->elements && n < sizeof(fields) / sizeof(fields[0]); i += 2)
		if (all->element[i]->str != NULL && all->element[i + 1]->str != NULL)
			fields[n++] = (struct wire_field){all->element[i]->str, all->element[i + 1]->str,
							  (size_t)all->element[i + 1]->len};
	if ((rc = take_fields(p, at, fields, n)) == 0)
		p->read = at;
	return rc;
}

/* ---- the stream ---- */

/* 1: the lease has the epoch of a comet that had the name before, and so its stream: the data have gone back to a time before this
 * one. 0; or an error of Redis's. */
static int is_of_another(struct redis_pushes *p)
{
	struct redisReply *reply;
	int rc = redis_command(p->redis, clock_now_ns() + p->cfg->redis_timeout * CLOCK_MS, &reply, "HGET %s epoch",
			       p->lease.text);

	if (rc < 0)
		return rc;
	rc = reply->type == REDIS_REPLY_STRING && strcmp(reply->str, p->epoch) != 0;
	freeReplyObject(reply);
	return rc;
}

/* On a new connection: read nothing that was meant for another. The next renewal of the lease, on its own thread, ends the wait with
 * a stream that is empty; or it finds that another comet has the name now, and this one ends. */
static int wait_for_own_stream(struct redis_pushes *p)
{
	int rc;

	while ((rc = is_of_another(p)) > 0)
		if (!rest(p))
			return -ESHUTDOWN;
	return rc;
}

/* On a new connection, perhaps to another server or to one that has lost something. If the entry that was read last is not there,
 * later entries may stand before its place: a master that was behind goes on with its own clock and from its own end. Then the
 * stream is read from its beginning, and entries that we had are left out by their writers' numbers. (If the entry was trimmed, the
 * beginning lies behind it, and nothing is read twice.) */
static int look_for_place(struct redis_pushes *p)
{
	int64_t deadline = clock_now_ns() + p->cfg->redis_timeout * CLOCK_MS;
	unsigned long long ms = p->read.ms, seq = p->read.seq;
	struct redisReply *reply;
	int rc;

	if (ms == 0)
		return 0;
	if ((rc = redis_command(p->redis, deadline, &reply, "XRANGE %s %llu-%llu %llu-%llu", p->key.text, ms, seq, ms,
				seq)) < 0)
		return rc;
	if (reply->elements == 0) {
		LOG(LOG_WARN, log_str("stream", p->key.text), log_what(EVENT_STREAM_READ_AGAIN));
		p->read = (struct place){0, 0};
	}
	freeReplyObject(reply);
	return 0;
}

/* Once a second: what was read KEEP_SECONDS ago goes, but for the entry that was read last, by which look_for_place knows the stream.
 * A Redis that refuses it keeps more, that is all. */
static void trim(struct redis_pushes *p)
{
	int64_t now = clock_now_ns();
	struct place oldest = p->marks[p->next_mark];

	if (now - p->marked_ns < CLOCK_SEC)
		return;
	p->marked_ns = now;
	p->marks[p->next_mark] = p->read;
	p->next_mark = (p->next_mark + 1) % KEEP_SECONDS;
	if (!is_above(oldest, p->trimmed))
		return;
	p->trimmed = oldest;
	/* Without a limit of its own Redis would stop at 10,000 entries. */
	(void)redis_command(p->redis, now + p->cfg->redis_timeout * CLOCK_MS, NULL,
			    "XTRIM %s MINID ~ %llu-%llu LIMIT 1000000", p->key.text, (unsigned long long)oldest.ms,
			    (unsigned long long)oldest.seq);
}

/* The places of another connection may be those of another stream. */
static void forget_marks(struct redis_pushes *p)
{
	memset(p->marks, 0, sizeof(p->marks));
	p->trimmed = (struct place){0, 0};
}

/* [[key, [entry, ...]]], or nil where nothing came. */
static int take_reply(struct redis_pushes *p, const struct redisReply *reply)
{
	const struct redisReply *entries;
	int rc = 0;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 || reply->element[0]->elements != 2)
		return 0;
	entries = reply->element[0]->element[1];
	for (size_t i = 0; rc == 0 && i < entries->elements; i++)
		rc = take_entry(p, entries->element[i]);
	return rc;
}

static int read_some(struct redis_pushes *p)
{
	int64_t deadline = clock_now_ns() + (READ_BLOCK_MS + p->cfg->redis_timeout) * CLOCK_MS;
	struct redisReply *reply;
	int rc = redis_command(p->redis, deadline, &reply, "XREAD COUNT %d BLOCK %d STREAMS %s %llu-%llu", READ_COUNT,
			       READ_BLOCK_MS, p->key.text, (unsigned long long)p->read.ms,
			       (unsigned long long)p->read.seq);

	if (rc < 0)
		return rc;
	rc = take_reply(p, reply);
	freeReplyObject(reply);
	return rc;
}

static void run(void *arg)
{
	struct redis_pushes *p = arg;
	bool fresh;
	int rc;

	OBJ_CHECK(p, REDIS_PUSHES_MAGIC);
	for (;;) {
		rc = redis_ready(p->redis, clock_now_ns() + CLOCK_SEC, &fresh);
		if (rc == 0 && fresh) {
			forget_marks(p);
			if ((rc = wait_for_own_stream(p)) == 0)
				rc = look_for_place(p);
		}
		if (rc == 0)
			rc = read_some(p);
		if (rc == 0)
			trim(p);
		if (rc == -ESHUTDOWN)
			return;
		/* Refused while the connection stands: not in a tight loop. */
		if (rc < 0 && rc != -ETIMEDOUT && redis_is_connected(p->redis)) {
			redis_drop_refused(p->redis, rc);
			if (!rest(p))
				return;
		}
	}
}

/* ---- start and stop ---- */

int redis_pushes_start(const struct cluster_member *member, const char *epoch, push_sink *sink, void *sink_self,
		       struct kicks *kicks, struct redis_pushes **out)
{
	const struct redis_options redis = redis_options_of(member->cfg, "pushes");
	struct redis_pushes *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->magic = REDIS_PUSHES_MAGIC;
	p->cfg = member->cfg;
	p->sink = sink;
	p->sink_self = sink_self;
	p->kicks = kicks;
	strmap_init(&p->writers);
	p->epoch = epoch;
	p->key = redis_name_key(member->cfg, "push", member->server_id);
	p->lease = redis_name_key(member->cfg, "server", member->server_id);
	if ((rc = redis_new(&redis, &p->redis)) == 0)
		rc = worker_start(&p->worker, "pushes", run, p);
	if (rc < 0) {
		redis_pushes_stop(&p);
		return rc;
	}
	*out = p;
	return 0;
}

bool redis_pushes_is_down(struct redis_pushes *p, int64_t for_ns, char *words, size_t bytes)
{
	OBJ_CHECK(p, REDIS_PUSHES_MAGIC);
	return redis_is_down(p->redis, for_ns, words, bytes);
}

void redis_pushes_stop(struct redis_pushes **pushes)
{
	struct redis_pushes *p = *pushes;

	OBJ_CHECK(p, REDIS_PUSHES_MAGIC);
	worker_ask_to_stop(&p->worker);
	if (p->redis != NULL)
		redis_stop(p->redis);
	worker_stop(&p->worker);
	if (p->redis != NULL)
		redis_free(&p->redis);
	strmap_drop_all(&p->writers, free);
	p->magic = 0;
	free(p);
	*pushes = NULL;
}
