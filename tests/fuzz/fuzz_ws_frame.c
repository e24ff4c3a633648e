/* Fuzzes WebSocket frames: any bytes as what a client sends after its handshake, first as they are, then cut at places that they
 * say themselves. What comes out is the same however they are cut; nothing is read or written beyond what has come, and each
 * message is as a reader of the simplest kind puts it together. SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/ws_frame.h"
#include "common/base/obj.h"

#define LONGEST 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What comes out, and a sum of all of it. */
struct story {
	unsigned events;
	int rc;
	uint64_t sum;
};

static void add(struct story *s, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->sum = (s->sum ^ bytes[i]) * UINT64_C(1099511628211);
}

/* What has come and was not taken off, in memory that ends where it does. */
struct line {
	uint8_t *bytes;
	size_t n;
};

static void take_off(struct line *l, size_t n)
{
	BUG_UNLESS(n <= l->n);
	l->n -= n;
	memmove(l->bytes, l->bytes + n, l->n);
}

static void come(struct line *l, const uint8_t *bytes, size_t n)
{
	uint8_t *more = malloc(l->n + n + (l->n + n == 0));

	if (l->n > 0)
		memcpy(more, l->bytes, l->n);
	if (n > 0)
		memcpy(more + l->n, bytes, n);
	free(l->bytes);
	l->bytes = more;
	l->n += n;
}

/* False: no more comes of these bytes. */
static bool next(struct ws_in *in, struct line *l, struct story *s)
{
	bool whole = ws_in_is_whole(in, l->bytes, l->n, LONGEST);
	struct ws_event e;
	uint8_t kind;

	s->rc = ws_in_next(in, l->bytes, l->n, LONGEST, &e);
	BUG_UNLESS(whole == (s->rc != 0 || e.kind != WS_NEED));
	if (s->rc != 0)
		return false;
	if (e.kind == WS_NEED) {
		BUG_UNLESS(e.need > l->n && e.need <= LONGEST + WS_BEHIND_BYTES && e.gone == 0);
		return false;
	}
	s->events++;
	kind = (uint8_t)(e.kind << 4 | (e.kind == WS_FRAGMENT ? 0 : e.opcode));
	if (e.kind == WS_MESSAGE && e.deflated)
		BUG_UNLESS(in->deflate);
	add(s, &kind, 1);
	if (e.kind == WS_CONTROL) {
		BUG_UNLESS(e.bytes <= WS_CONTROL_BYTES);
		add(s, e.control, e.bytes);
		if (e.opcode == WS_CLOSE)
			BUG_UNLESS(ws_close_answer(e.control, e.bytes) >= 1000);
		ws_in_drop(in, l->bytes, &e);
	}
	take_off(l, e.gone);
	BUG_UNLESS(in->held <= l->n && in->held <= LONGEST && in->empties <= WS_EMPTY_FRAGMENTS &&
		   in->frames <= WS_MESSAGE_FRAMES);
	if (e.kind == WS_MESSAGE) {
		BUG_UNLESS(e.bytes <= LONGEST && in->held == 0 && in->opcode == 0);
		add(s, l->bytes, e.bytes);
		take_off(l, e.bytes);
	}
	return true;
}

/* In pieces as long as the bytes of `cuts` say, or all at once. */
static struct story tell(const uint8_t *data, size_t bytes, const uint8_t *cuts, size_t n_cuts)
{
	struct ws_in in = {.deflate = bytes > 0 && (data[bytes - 1] & 1) != 0};
	struct line l = {0};
	struct story s = {0};

	for (size_t at = 0, i = 0; at < bytes && s.rc == 0; i++) {
		size_t n = n_cuts == 0 ? bytes - at : 1U + cuts[i % n_cuts] % 40;

		if (n > bytes - at)
			n = bytes - at;
		come(&l, data + at, n);
		at += n;
		while (next(&in, &l, &s))
			;
	}
	free(l.bytes);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct story whole = tell(data, bytes, NULL, 0), cut = tell(data, bytes, data, bytes);

	BUG_UNLESS(whole.rc == cut.rc && whole.events == cut.events && whole.sum == cut.sum);
	return 0;
}
