/* bench_push: see bench_push.h. SPDX-License-Identifier: MIT */
#include "bench/bench_push.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/bench_body.h"
#include "cli/query.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/obj.h"
#include "common/base/thread.h"

/* How long after the end a push that was due before it may still go out: a hiccup of the machine is no rate that is too high. */
#define GRACE_NS CLOCK_SEC

struct bench_push {
	unsigned magic;
#define BENCH_PUSH_MAGIC 0x70757368
	/* set once, read by both threads */
	const struct bench_options *opt;
	struct bench_memory *memory;
	struct http_client *http;
	char *path;
	char *body;
	int stop_fd; /* readable: leave */
	int done_fd; /* readable: has left */
	struct thread *thread;
	/* both */
	atomic_uint_fast64_t accepted;
	/* the pushing thread's, until it is joined */
	struct bench_push_result result;
};

/* Sleep up to this time; true if told to leave. */
static bool told_to_leave(const struct bench_push *p, int64_t until_ns)
{
	struct pollfd fd = {p->stop_fd, POLLIN, 0};

	for (;;) {
		int64_t left_ns = until_ns - clock_now_ns();
		struct timespec left = {left_ns > 0 ? left_ns / CLOCK_SEC : 0, left_ns > 0 ? left_ns % CLOCK_SEC : 0};
		int n = ppoll(&fd, 1, &left, NULL);

		if (n > 0)
			return true;
		if (n == 0)
			return false;
	}
}

/* Did the API take it? An answer without "code":0 is a refusal, whatever its status. */
static bool is_accepted(const struct http_answer *answer)
{
	json_t *said = json_loadb(answer->body, answer->body_bytes, 0, NULL);
	const json_t *code = json_object_get(said, "code");
	bool accepted = answer->status == 200 && json_is_integer(code) && json_integer_value(code) == 0;

	json_decref(said);
	return accepted;
}

static void push_one(struct bench_push *p, uint32_t n)
{
	int64_t sent_ns = clock_now_ns();
	struct http_answer answer;
	int rc;

	bench_body_write(p->body, (size_t)p->opt->body_bytes, p->opt->run, n, sent_ns);
	rc = http_client_call(p->http, p->path, p->body, (size_t)p->opt->body_bytes, &answer);
	histogram_add(&p->result.calls, clock_now_ns() - sent_ns);
	p->result.sent++;
	if (rc == 0 && is_accepted(&answer)) {
		p->memory->accepted[n / 64] |= UINT64_C(1) << n % 64;
		bench_count(&p->accepted, 1);
		return;
	}
	if (rc == 0)
		p->result.refused++;
	else
		p->result.unknown++;
	if (p->result.words[0] == '\0')
		snprintf(p->result.words, sizeof(p->result.words), "%.200s", rc < 0 ? answer.words : answer.body);
}

static void *push_all(void *arg)
{
	struct bench_push *p = arg;
	int64_t start_ns = clock_now_ns(), end_ns, one_ns;
	uint64_t one = 1;

	OBJ_CHECK(p, BENCH_PUSH_MAGIC);
	end_ns = start_ns + p->opt->duration_ns;
	one_ns = (int64_t)((double)CLOCK_SEC / p->opt->rate);
	p->result.due = p->memory->pushes_max;
	for (uint32_t n = 0; n < p->memory->pushes_max; n++) {
		int64_t due_ns = start_ns + one_ns * n, late_ns;

		if (told_to_leave(p, due_ns) || clock_now_ns() > end_ns + GRACE_NS)
			break;
		late_ns = clock_now_ns() - due_ns;
		if (late_ns > p->result.latest_ns)
			p->result.latest_ns = late_ns;
		push_one(p, n);
	}
	BUG_UNLESS(write(p->done_fd, &one, sizeof(one)) == sizeof(one));
	return NULL;
}

static char *room_path(const struct bench_options *opt)
{
	struct query q;

	query_begin(&q, "/goim/push/room");
	query_add_number(&q, "operation", opt->op);
	query_add(&q, "type", BENCH_ROOM_TYPE);
	query_add(&q, "room", opt->run);
	return query_end(&q);
}

static void push_free(struct bench_push *p)
{
	if (p->stop_fd >= 0)
		close(p->stop_fd);
	if (p->done_fd >= 0)
		close(p->done_fd);
	http_client_free(&p->http);
	free(p->path);
	free(p->body);
	p->magic = 0;
	free(p);
}

int bench_push_start(const struct bench_options *opt, struct bench_memory *memory, struct bench_push **out,
		     int *done_fd)
{
	struct http_client_options http = api_http(&opt->api);
	struct bench_push *p = calloc(1, sizeof(*p));
	int rc = -ENOMEM;

	if (p == NULL)
		return -ENOMEM;
	p->magic = BENCH_PUSH_MAGIC;
	p->opt = opt;
	p->memory = memory;
	p->stop_fd = eventfd(0, EFD_CLOEXEC);
	p->done_fd = eventfd(0, EFD_CLOEXEC);
	p->path = room_path(opt);
	p->body = malloc((size_t)opt->body_bytes);
	if (p->stop_fd < 0 || p->done_fd < 0)
		rc = -EMFILE;
	else if (p->path != NULL && p->body != NULL)
		rc = http_client_new(&http, &p->http);
	if (rc == 0)
		rc = thread_spawn(THREAD_SERVICE, "push", push_all, p, &p->thread);
	if (rc < 0) {
		push_free(p);
		return rc;
	}
	*done_fd = p->done_fd;
	*out = p;
	return 0;
}

void bench_push_stop(struct bench_push **p, struct bench_push_result *out)
{
	uint64_t one = 1;

	BUG_UNLESS(write((*p)->stop_fd, &one, sizeof(one)) == sizeof(one));
	thread_join(&(*p)->thread);
	*out = (*p)->result;
	out->accepted = bench_read(&(*p)->accepted);
	push_free(*p);
	*p = NULL;
}
