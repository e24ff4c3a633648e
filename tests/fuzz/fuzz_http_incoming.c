/* Fuzzes requests: any bytes in a row, all at once and in small pieces. Both come to the same requests and the same end, and what
 * a head says of itself lies within it. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/obj.h"
#include "common/http/http_call.h"
#include "common/http/http_incoming.h"

#define MAX_BODY 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Adds up what was read. */
struct sum {
	uint64_t hash;
	unsigned requests;
	int end;
};

static void add(struct sum *sum, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum->hash = (sum->hash ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
}

static void place_is_within(const struct http_head *head, const char *text, uint32_t place)
{
	BUG_UNLESS(place == 0 || place + strlen(text + place) < head->bytes);
}

static void answer(struct http_incoming *in, struct sum *sum)
{
	const struct http_head *head = &in->head;
	char *text = http_incoming_text(in);
	struct http_answer answer = {.idle_seconds = http_head_keeps(head) ? 5 : 0};
	struct http_buffer out = {0};
	struct http_call call;

	BUG_UNLESS(in->body_bytes <= MAX_BODY && head->bytes + in->body_bytes <= http_buffer_count(&in->bytes));
	for (const uint32_t *place = &head->method; place <= &head->content_type; place++)
		place_is_within(head, text, *place);
	add(sum, text + head->method, strlen(text + head->method));
	add(sum, text + head->target, strlen(text + head->target));
	add(sum, text + head->bytes, in->body_bytes);
	(void)http_call_shown_key(head, text);
	BUG_UNLESS(http_call_init(&call, head, text) == 0);
	http_reply_text(&call.reply, 200, call.request.path);
	BUG_UNLESS(http_call_answer(&call.reply, &answer, &out) == 0);
	http_call_fini(&call);
	http_buffer_drop(&out);
	sum->requests++;
}

static struct sum read_all(const uint8_t *data, size_t bytes, size_t step)
{
	struct sum sum = {.hash = 1, .end = -EAGAIN};
	struct http_incoming in = {0};

	for (;;) {
		size_t n = step < bytes ? step : bytes;

		sum.end = 0;
		if (!in.has_head && (sum.end = http_incoming_head(&in)) == 0)
			(void)http_incoming_want(&in, MAX_BODY, true);
		if (in.has_head)
			sum.end = http_incoming_body(&in);
		if (sum.end == 0) {
			answer(&in, &sum);
			http_incoming_next(&in);
			continue;
		}
		if (sum.end != -EAGAIN || n == 0)
			break;
		BUG_UNLESS(http_buffer_reserve(&in.bytes, n) == 0);
		memcpy(in.bytes.bytes + in.bytes.end, data, n);
		in.bytes.end += n;
		data += n;
		bytes -= n;
	}
	http_buffer_drop(&in.bytes);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct sum whole = read_all(data, bytes, bytes + 1), slow = read_all(data, bytes, bytes > 2000 ? 97 : 1);

	BUG_UNLESS(whole.end == -EAGAIN || (whole.end > HTTP_FAULT_NONE && whole.end < HTTP_FAULTS));
	BUG_UNLESS(whole.end == slow.end && whole.requests == slow.requests && whole.hash == slow.hash);
	return 0;
}
