/* redis_pipe: see redis_pipe.h. One thread writes and reads; callers queue commands and sleep.
 * SPDX-License-Identifier: MIT */
#include "common/redis/redis_pipe.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "common/base/thread.h"
#include "common/redis/redis_batch.h"
#include "common/redis/redis_call.h"
#include "common/redis/redis_inner.h"
#include "common/redis/redis_ready.h"
#include "common/redis/redis_words.h"

/* Bounds on waiting calls. A few seconds without Redis at full load stay below them; beyond them callers are told at once. */
#define CALLS_MAX 65536
#define BYTES_MAX (64u << 20)
/* One batch: enough to make the round trip cheap, not so much that its first answer waits for its last command. */
#define BATCH_CALLS 1024
#define BATCH_BYTES (1u << 20)

struct redis_pipe {
	unsigned magic;
#define REDIS_PIPE_MAGIC 0x4ed191be
	/* set once */
	struct redis *redis;
	struct thread *thread;
	/* the thread's */
	struct redis_scripts scripts;
	/* under lock */
	struct lock lock;
	pthread_cond_t work;
	struct call_list waiting;
	bool stop;
};

/* ---- the thread ---- */

/* End the calls that wait in vain: nobody is there for them, or they timed out. */
static void expire_locked(struct redis_pipe *p) NEEDS(p->lock)
{
	struct call_list all = p->waiting;
	struct redis_call *call;
	int64_t now = clock_now_ns();

	p->waiting = (struct call_list){0};
	while ((call = call_list_take(&all)) != NULL) {
		if (call->deadline_ns > now)
			call_list_add(&p->waiting, call);
		else
			redis_call_finish(call, -ETIMEDOUT, NULL);
	}
}

/* The next batch; its calls belong to the thread until they are finished or put back. */
static struct call_list take_batch(struct redis_pipe *p)
{
	struct call_list batch = {0};

	lock_take(&p->lock);
	expire_locked(p);
	while (p->waiting.first != NULL && batch.n < BATCH_CALLS && batch.bytes < BATCH_BYTES)
		call_list_add(&batch, call_list_take(&p->waiting));
	lock_drop(&p->lock);
	return batch;
}

/* The connection broke with these unanswered: first in the queue again, or failed. */
static void put_back(struct redis_pipe *p, struct call_list *batch, int rc)
{
	struct call_list front = {0};
	struct redis_call *call;

	lock_take(&p->lock);
	while ((call = call_list_take(batch)) != NULL) {
		call->was_sent = true;
		if (call->repeat == REDIS_AGAIN)
			call_list_add(&front, call);
		else
			redis_call_finish(call, rc, NULL);
	}
	while ((call = call_list_take(&p->waiting)) != NULL)
		call_list_add(&front, call);
	p->waiting = front;
	lock_drop(&p->lock);
}

static void do_batch(struct redis_pipe *p)
{
	struct call_list batch = take_batch(p);
	int rc;

	if (batch.first == NULL)
		return;
	if ((rc = redis_batch_send(p->redis, &p->scripts, &batch)) < 0 ||
	    (rc = redis_batch_read(p->redis, &p->scripts, &batch)) < 0)
		put_back(p, &batch, rc);
}

/* Something to do, or the end: false. */
static bool wait_for_work(struct redis_pipe *p)
{
	bool stop;

	lock_take(&p->lock);
	/* redis_pipe_stop ends this wait at the latest. */
	while (!p->stop && p->waiting.first == NULL)
		lock_wait(&p->work, &p->lock);
	expire_locked(p);
	stop = p->stop;
	lock_drop(&p->lock);
	return !stop;
}

static void *run(void *arg)
{
	const int64_t look_around_ns = 100 * CLOCK_MS; /* how late the deadline of a posted command may be noticed */
	struct redis_pipe *p = arg;
	bool fresh;

	OBJ_CHECK(p, REDIS_PIPE_MAGIC);
	while (wait_for_work(p)) {
		/* Bytes sent into a connection that the peer has closed would be lost or sent twice. */
		if (redis_is_connected(p->redis) && redis_is_stale(p->redis))
			continue;
		if (redis_ready(p->redis, clock_now_ns() + look_around_ns, &fresh) < 0)
			continue;
		if (fresh)
			redis_scripts_forget(&p->scripts, NULL);
		do_batch(p);
	}
	return NULL;
}

/* ---- the callers ---- */

/* Takes command over. */
static int submit(struct redis_pipe *p, const struct redis_script *script, char *command, int bytes,
		  enum redis_repeat repeat, int64_t deadline_ns, bool abandoned, struct redis_call **out)
{
	struct redis_call *call;
	int rc = 0;

	OBJ_CHECK(p, REDIS_PIPE_MAGIC);
	if (bytes < 0)
		return -ENOMEM;
	if ((call = calloc(1, sizeof(*call))) == NULL) {
		redisFreeCommand(command);
		return -ENOMEM;
	}
	call->script = script;
	call->command = command;
	call->bytes = (size_t)bytes;
	call->repeat = repeat;
	call->deadline_ns = deadline_ns;
	atomic_init(&call->state, abandoned ? REDIS_CALL_ABANDONED : REDIS_CALL_WAITED_FOR);
	(void)sem_init(&call->done, 0, 0); /* which does not fail for this value */
	lock_take(&p->lock);
	if (p->stop)
		rc = -ESHUTDOWN;
	else if (p->waiting.n >= CALLS_MAX || p->waiting.bytes >= BYTES_MAX)
		rc = -EAGAIN;
	else
		call_list_add(&p->waiting, call);
	lock_drop(&p->lock);
	if (rc < 0) {
		redis_call_free(call);
		return rc;
	}
	(void)pthread_cond_signal(&p->work);
	*out = call;
	return 0;
}

int redis_pipe_end(struct redis_pipe *p, struct redis_call *call, struct redisReply **reply)
{
	int rc;

	OBJ_CHECK(p, REDIS_PIPE_MAGIC);
	/* Each that is served meanwhile may take as long as this may. */
	while (!redis_call_is_done(call) && clock_now_ns() < call->deadline_ns && park_serve_another())
		;
	if (!redis_call_is_done(call)) {
		park_wait_begin();
		rc = redis_call_wait(call);
		park_wait_end();
	} else {
		rc = redis_call_wait(call);
	}
	if (rc < 0)
		return rc;
	rc = call->rc;
	if (reply != NULL) {
		*reply = call->reply;
		call->reply = NULL;
	}
	redis_call_free(call);
	return rc;
}

int redis_pipe_beginv(struct redis_pipe *p, enum redis_repeat repeat, int64_t deadline_ns, struct redis_call **out,
		      int argc, const char **argv, const size_t *bytes)
{
	char *command = NULL;
	int n = redis_words(argc, argv, bytes, &command);

	return submit(p, NULL, command, n, repeat, deadline_ns, false, out);
}

int redis_pipe_begin_script(struct redis_pipe *p, const struct redis_script *script, int64_t deadline_ns,
			    struct redis_call **out, char *command, int bytes)
{
	return submit(p, script, command, bytes, script->repeat, deadline_ns, false, out);
}

static int begin_va(struct redis_pipe *p, enum redis_repeat repeat, int64_t deadline_ns, bool abandoned,
		    struct redis_call **out, const char *format, va_list args)
{
	char *command = NULL;
	int n = redisvFormatCommand(&command, format, args);

	return submit(p, NULL, command, n, repeat, deadline_ns, abandoned, out);
}

int redis_pipe_begin(struct redis_pipe *p, enum redis_repeat repeat, int64_t deadline_ns, struct redis_call **out,
		     const char *format, ...)
{
	va_list args;
	int rc;

	va_start(args, format);
	rc = begin_va(p, repeat, deadline_ns, false, out, format, args);
	va_end(args);
	return rc;
}

int redis_pipe_call(struct redis_pipe *p, enum redis_repeat repeat, int64_t deadline_ns, struct redisReply **reply,
		    const char *format, ...)
{
	struct redis_call *call;
	va_list args;
	int rc;

	va_start(args, format);
	rc = begin_va(p, repeat, deadline_ns, false, &call, format, args);
	va_end(args);
	return rc < 0 ? rc : redis_pipe_end(p, call, reply);
}

int redis_pipe_post(struct redis_pipe *p, int64_t deadline_ns, const char *format, ...)
{
	struct redis_call *call;
	va_list args;
	int rc;

	va_start(args, format);
	rc = begin_va(p, REDIS_ONCE, deadline_ns, true, &call, format, args);
	va_end(args);
	return rc;
}

void redis_pipe_words(struct redis_pipe *p, char *words, size_t bytes)
{
	OBJ_CHECK(p, REDIS_PIPE_MAGIC);
	redis_said_get(&p->redis->said, words, bytes);
}

/* ---- start and stop ---- */

int redis_pipe_start(const struct redis_options *opt, struct redis_pipe **out)
{
	struct redis_pipe *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->magic = REDIS_PIPE_MAGIC;
	p->scripts.key = redis_name_beginning(opt->prefix);
	lock_init(&p->lock, LOCK_POOL);
	lock_cond_init(&p->work);
	if ((rc = redis_new(opt, &p->redis)) < 0)
		goto free_pipe;
	if ((rc = thread_spawn(THREAD_SERVICE, opt->name, run, p, &p->thread)) < 0)
		goto free_redis;
	*out = p;
	return 0;

free_redis:
	redis_free(&p->redis);
free_pipe:
	(void)pthread_cond_destroy(&p->work);
	lock_fini(&p->lock);
	free(p);
	return rc;
}

void redis_pipe_stop(struct redis_pipe **pipe)
{
	struct redis_pipe *p = *pipe;
	struct redis_call *call;

	OBJ_CHECK(p, REDIS_PIPE_MAGIC);
	lock_take(&p->lock);
	p->stop = true;
	lock_drop(&p->lock);
	redis_stop(p->redis);
	(void)pthread_cond_signal(&p->work);
	thread_join(&p->thread);
	lock_take(&p->lock);
	while ((call = call_list_take(&p->waiting)) != NULL)
		redis_call_finish(call, -ESHUTDOWN, NULL);
	lock_drop(&p->lock);
	redis_free(&p->redis);
	(void)pthread_cond_destroy(&p->work);
	lock_fini(&p->lock);
	p->magic = 0;
	free(p);
	*pipe = NULL;
}
