/* redis_who: see redis_who.h. A thread listens on the channel of this comet's questions, and works on them itself: so a walk through
 * all connections takes at most one core, and what waited for too long behind another is not begun. SPDX-License-Identifier: MIT */
#include "logic_client/redis_who.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/thread.h"
#include "common/redis/redis_listen.h"
#include "common/redis/redis_name.h"

struct redis_who {
	unsigned magic;
#define REDIS_WHO_MAGIC 0x3a0e4edc
	/* set once */
	struct redis_who_options opt;
	struct redis_name channel; /* of questions */
	struct redis *redis;       /* the listener's */
	struct thread *listener;
};

static void answer(struct redis_who *w, const struct who_question *question)
{
	static struct log_limit limit = LOG_LIMIT(1);
	struct who_answer a = {.id = question->id, .server = w->opt.server_id};
	char *text;
	size_t bytes;
	int rc;

	a.failed = w->opt.list(w->opt.list_self, &question->query, &a.page) < 0;
	if ((rc = who_answer_encode(&a, &text, &bytes)) == 0) {
		rc = redis_pipe_post(w->opt.pipe, clock_now_ns() + w->opt.cfg->logic_timeout * CLOCK_MS,
				     "PUBLISH %s %b", question->reply, text, bytes);
		free(text);
	}
	if (rc < 0)
		LOG_LIMITED(LOG_WARN, &limit, log_str("channel", question->reply), log_what(EVENT_CONNECTIONS_UNSENT),
			    log_str("error", err_text(rc)));
}

static void take_text(struct redis_who *w, const char *text, size_t bytes)
{
	static struct log_limit limit = LOG_LIMIT(1);
	struct who_question question;
	int rc = who_question_decode(text, bytes, &question);

	if (rc < 0) {
		count(COUNT_LOGIC_BAD_MESSAGES);
		LOG_LIMITED(LOG_WARN, &limit, log_what(EVENT_QUESTION_UNREADABLE), log_i64("bytes", (int64_t)bytes),
			    log_str("error", err_text(rc)));
	} else if (question.expires_ms > 0 && redis_clock_ms(w->opt.clock) > question.expires_ms) {
		count(COUNT_REQUESTS_EXPIRED);
	} else {
		answer(w, &question);
	}
	who_question_fini(&question);
}

static void take_message(void *self, struct redisReply *m)
{
	struct redis_who *w = self;
	const struct redisReply *text = redis_listen_text(m);

	if (text != NULL)
		take_text(w, text->str, (size_t)text->len);
	freeReplyObject(m);
}

static void *listen_for_questions(void *arg)
{
	struct redis_who *w = arg;

	OBJ_CHECK(w, REDIS_WHO_MAGIC);
	redis_listen(w->redis, &(struct redis_listener){.channel = w->channel.text, .take = take_message, .self = w});
	return NULL;
}

/* ---- start and stop ---- */

int redis_who_start(const struct redis_who_options *opt, struct redis_who **out)
{
	const struct redis_options redis = redis_options_of(opt->cfg, "who");
	struct redis_who *w = calloc(1, sizeof(*w));
	int rc;

	if (w == NULL)
		return -ENOMEM;
	w->magic = REDIS_WHO_MAGIC;
	w->opt = *opt;
	w->channel = redis_name_channel(opt->cfg, "who", opt->server_id);
	if ((rc = redis_new(&redis, &w->redis)) == 0)
		rc = thread_spawn(THREAD_SERVICE, "who", listen_for_questions, w, &w->listener);
	if (rc < 0) {
		redis_who_stop(&w);
		return rc;
	}
	*out = w;
	return 0;
}

void redis_who_stop(struct redis_who **who)
{
	struct redis_who *w = *who;

	OBJ_CHECK(w, REDIS_WHO_MAGIC);
	if (w->redis != NULL)
		redis_stop(w->redis);
	if (w->listener != NULL)
		thread_join(&w->listener);
	if (w->redis != NULL)
		redis_free(&w->redis);
	w->magic = 0;
	free(w);
	*who = NULL;
}
