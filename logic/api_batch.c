/* api_batch: /goim/batch, many pushes in one call, a line of JSON each. A line is a call of its own, which goes the way of the single
 * ones (api_push); over a cluster the next ones set off before the first has been answered. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/obj.h"
#include "common/http/http_buffer.h"
#include "common/http/http_guard.h"
#include "logic/api_body.h"
#include "logic/api_push.h"

/* Lines of one call. */
#define LINES_MAX 10000
/* So many at one time between their halves. */
#define UNDER_WAY_MAX 128
/* Lines that have not set off by then are refused: each may wait for a queue, or for Redis. */
#define BATCH_NS (10 * CLOCK_SEC)

struct line {
	struct api_body body; /* its request, and what its parameters point into */
	struct api_call call;
	struct http_reply reply;
	struct api_push push;
	bool is_push;
};

struct batch {
	struct api_call *call;
	struct line *lines; /* a ring of n_lines, of which `under_way` are from `first` on */
	size_t n_lines, first, under_way;
	size_t n; /* lines of the call so far */
	int64_t deadline_ns;
	struct http_buffer answers;
	bool ran_out; /* of memory for answers */
};

/* ---- answers ---- */

static void append(struct batch *b, const char *text, size_t bytes)
{
	struct http_buffer *out = &b->answers;

	if (http_buffer_reserve(out, bytes) < 0) {
		b->ran_out = true;
		return;
	}
	memcpy(out->bytes + out->end, text, bytes);
	out->end += bytes;
}

/* The answer of the single call, with the header that it may have as a member. */
static void append_answer(struct batch *b, const struct http_reply *reply)
{
	static const char no_memory[] = "{\"code\":-500,\"message\":\"out of memory\"}";
	const char *text = reply->body != NULL ? reply->body : no_memory;
	size_t bytes = reply->body != NULL ? reply->body_bytes : sizeof(no_memory) - 1;
	char member[HTTP_EXTRA_BYTES + 20];

	/* Without its last brace, and the newline that refusals have behind it. */
	while (bytes > 0 && text[--bytes] != '}')
		;
	append(b, text, bytes);
	if (reply->extra_value == reply->extra_text) {
		const bool is_position = strcmp(reply->extra_header, "Comet-Position") == 0;
		int n = snprintf(member, sizeof(member), ",\"%s\":%s", is_position ? "position" : "retry_after",
				 reply->extra_value);

		append(b, member, (size_t)n);
	}
	append(b, "}\n", 2);
}

/* ---- lines ---- */

/* Wait for the oldest, and answer it. */
static void end_first(struct batch *b)
{
	struct line *line = &b->lines[b->first];

	if (line->is_push)
		api_push_end(&line->push, &line->call);
	api_inner_done(&line->call);
	append_answer(b, &line->reply);
	api_body_fini(&line->body);
	free(line->reply.body);
	b->first = --b->under_way > 0 ? (b->first + 1) % b->n_lines : 0; /* the memory that was used last */
}

/* The call's own rate has let the first one in. */
static bool pass_rate(const struct batch *b, const struct line *line, struct http_reply *reply)
{
	struct http_guard *guard = line->body.request.guard;

	return b->n == 0 || guard == NULL || http_guard_pass_rate(guard, &line->body.request, reply);
}

/* What the parameters of the line ask for. NULL: it is answered. */
static const struct api_push_kind *judge(struct batch *b, struct line *line)
{
	struct http_request *request = &line->body.request;
	const struct api_push_kind *kind = api_push_kind_of(request);

	if (kind == NULL) {
		api_v2_reply_bad(&line->call, "the line must name one of keys, mids, users, room (with type) and all");
		return NULL;
	}
	request->path = api_push_path(kind);
	request->idempotency_key = http_param(request, "idempotency_key");
	if (!api_inner_may(&line->call) || !pass_rate(b, line, &line->reply))
		return NULL;
	if (clock_now_ns() < b->deadline_ns)
		return kind;
	api_v2_reply_words(&line->call, 200, -500, "the batch takes too long; not tried");
	return NULL;
}

static void begin_line(struct batch *b, const char *text, size_t bytes)
{
	struct line *line = &b->lines[(b->first + b->under_way++) % b->n_lines];
	const struct api_push_kind *kind;
	struct http_request request = *b->call->request;
	int rc;

	request.body = (const uint8_t *)text;
	request.body_bytes = bytes;
	line->reply = (struct http_reply){.status = 500};
	line->call = (struct api_call){.logic = b->call->logic,
				       .request = &line->body.request,
				       .reply = &line->reply,
				       .targets = 1,
				       .in_batch = true};
	line->is_push = false;
	rc = api_body_init_json(&line->body, &request);
	if (rc == -EINVAL || rc == -EDOM)
		api_v2_reply_bad(&line->call,
				 "the line is no JSON object of texts, whole numbers, true, false, or lists of them");
	else if (rc == 0 && (kind = judge(b, line)) != NULL) {
		line->is_push = true;
		api_push_begin(&line->push, &line->call, kind, true);
	}
	b->n++;
}

static bool may_end_first(const struct batch *b)
{
	const struct line *line = &b->lines[b->first];

	return b->under_way > 0 && !(line->is_push && api_push_is_under_way(&line->push));
}

static void do_lines(struct batch *b)
{
	const char *at = (const char *)b->call->request->body, *end = at + b->call->request->body_bytes;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline != NULL ? newline : end;

		if (b->under_way == b->n_lines)
			end_first(b);
		begin_line(b, at, (size_t)(stop - at));
		while (may_end_first(b))
			end_first(b);
		at = newline != NULL ? newline + 1 : end;
	}
	while (b->under_way > 0)
		end_first(b);
}

/* ---- the call ---- */

static size_t count_lines(const uint8_t *body, size_t bytes)
{
	size_t n = bytes > 0 && body[bytes - 1] != '\n';

	for (const uint8_t *at = body, *end = body + bytes; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
		n++;
	return n;
}

static void reply_lines(struct batch *b)
{
	struct http_reply *reply = b->call->reply;

	if (b->ran_out) { /* as the reply came, 500: it is not known what became of it */
		http_buffer_drop(&b->answers);
		return;
	}
	BUG_UNLESS(b->answers.bytes != NULL); /* each line has one */
	reply->status = 200;
	reply->content_type = "application/x-ndjson";
	b->answers.bytes[b->answers.end] = '\0'; /* as all bodies end */
	reply->body = b->answers.bytes;
	reply->body_bytes = http_buffer_count(&b->answers);
}

void api_batch(struct api_call *call)
{
	struct batch b = {.call = call, .deadline_ns = clock_now_ns() + BATCH_NS};
	const size_t n = count_lines(call->request->body, call->request->body_bytes);

	call->targets = n;
	if (n == 0) {
		api_v2_reply_bad(call, "the body must have a line of JSON for each push");
	} else if (n > LINES_MAX) {
		api_v2_reply_words(call, 413, -413, "more than 10000 lines");
	} else {
		b.n_lines = n < UNDER_WAY_MAX ? n : UNDER_WAY_MAX;
		if ((b.lines = calloc(b.n_lines, sizeof(*b.lines))) == NULL)
			return; /* 500, as the reply came */
		do_lines(&b);
		free(b.lines);
		reply_lines(&b);
	}
}
