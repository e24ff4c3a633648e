/* ws_frame: see ws_frame.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_frame.h"

#include <errno.h>
#include <string.h>

#include "common/base/utf8.h"

/* ---- frames in ---- */

struct head {
	bool fin, deflated;
	uint8_t opcode;
	uint8_t bytes; /* of the header itself */
	uint8_t mask[4];
	uint64_t payload;
};

static uint64_t get_big_endian(const uint8_t *in, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n; i++)
		value = value << 8 | in[i];
	return value;
}

static bool is_control(uint8_t opcode)
{
	return opcode >= WS_CLOSE;
}

static bool is_opcode(uint8_t opcode)
{
	return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

/* Faults that the first two bytes alone show: reserved bits and opcodes, no mask, control frames that are long or in pieces. That a
 * message is deflated is said by its first frame alone, and only where it was agreed on. */
static bool is_forbidden(const uint8_t *bytes, bool deflate)
{
	uint8_t opcode = bytes[0] & 0x0f, length = bytes[1] & 0x7f;
	uint8_t reserved = deflate && (opcode == WS_TEXT || opcode == WS_BINARY) ? 0x70 & ~WS_DEFLATED : 0x70;

	if ((bytes[0] & reserved) != 0 || !is_opcode(opcode) || (bytes[1] & 0x80) == 0)
		return true;
	return is_control(opcode) && (length > WS_CONTROL_BYTES || (bytes[0] & 0x80) == 0);
}

/* 0, -EAGAIN (*need: of the header), or a close code. */
static int read_head(const uint8_t *bytes, size_t n, bool deflate, struct head *h, uint32_t *need)
{
	unsigned more = 0;

	*need = 2;
	if (n < 2)
		return -EAGAIN;
	if (is_forbidden(bytes, deflate))
		return WS_CODE_PROTOCOL;
	h->fin = (bytes[0] & 0x80) != 0;
	h->deflated = (bytes[0] & WS_DEFLATED) != 0;
	h->opcode = bytes[0] & 0x0f;
	h->payload = bytes[1] & 0x7f;
	if (h->payload == 126)
		more = 2;
	else if (h->payload == 127)
		more = 8;
	h->bytes = (uint8_t)(2 + more + 4);
	*need = h->bytes;
	if (n < 2 + more)
		return -EAGAIN;
	if (more > 0) {
		h->payload = get_big_endian(bytes + 2, more);
		/* The shortest form only, and never the top bit. */
		if (h->payload < (more == 2 ? 126U : 65536U) || h->payload >> 63 != 0)
			return WS_CODE_PROTOCOL;
	}
	if (n < h->bytes)
		return -EAGAIN;
	memcpy(h->mask, bytes + 2 + more, sizeof(h->mask));
	return 0;
}

/* May this frame come here? 0 or a close code. */
static int judge(const struct ws_in *in, const struct head *h, uint32_t longest)
{
	if (in->frames == WS_MESSAGE_FRAMES && h->opcode != WS_CLOSE)
		return WS_CODE_POLICY;
	if (is_control(h->opcode))
		return 0;
	if ((h->opcode == WS_CONTINUATION) != (in->opcode != 0))
		return WS_CODE_PROTOCOL;
	if (h->payload > longest - in->held)
		return WS_CODE_TOO_BIG;
	if (h->payload == 0 && !h->fin && in->empties == WS_EMPTY_FRAGMENTS)
		return WS_CODE_POLICY;
	return 0;
}

/* The frame behind what is held. 0: it is whole; -EAGAIN: *need bytes in all; or a close code. */
static int look(const struct ws_in *in, const uint8_t *bytes, size_t n, uint32_t longest, struct head *h,
		uint32_t *need)
{
	int rc = read_head(bytes + in->held, n - in->held, in->deflate, h, need);

	*need += in->held;
	if (rc != 0 || (rc = judge(in, h, longest)) != 0)
		return rc;
	*need += (uint32_t)h->payload;
	return n < *need ? -EAGAIN : 0;
}

bool ws_in_is_whole(const struct ws_in *in, const uint8_t *bytes, size_t n, uint32_t longest)
{
	struct head h;
	uint32_t need;

	return look(in, bytes, n, longest, &h, &need) != -EAGAIN;
}

static void unmask(uint8_t *bytes, size_t n, const uint8_t mask[4])
{
	uint64_t eight, wide;
	size_t i = 0;

	memcpy(&wide, mask, 4);
	memcpy((uint8_t *)&wide + 4, mask, 4);
	for (; i + 8 <= n; i += 8) {
		memcpy(&eight, bytes + i, 8);
		eight ^= wide;
		memcpy(bytes + i, &eight, 8);
	}
	for (; i < n; i++)
		bytes[i] ^= mask[i & 3];
}

/* A fragment joins those before it, which move up over its header. */
static int take_data(struct ws_in *in, uint8_t *bytes, const struct head *h, struct ws_event *e)
{
	memmove(bytes + h->bytes, bytes, in->held);
	e->gone = h->bytes;
	if (in->opcode == 0) {
		in->opcode = h->opcode;
		in->deflated = h->deflated;
	}
	in->held += (uint32_t)h->payload;
	in->frames++;
	e->kind = h->fin ? WS_MESSAGE : WS_FRAGMENT;
	if (!h->fin) {
		in->empties += h->payload == 0;
		return 0;
	}
	e->opcode = in->opcode;
	e->bytes = in->held;
	e->deflated = in->deflated;
	*in = (struct ws_in){.deflate = in->deflate};
	return e->opcode == WS_TEXT && !e->deflated ? ws_judge_text(&e->opcode, bytes + e->gone, e->bytes) : 0;
}

int ws_judge_text(uint8_t *opcode, const uint8_t *bytes, size_t n)
{
	if (n > 0 && bytes[0] == 0)
		*opcode = WS_BINARY;
	return *opcode == WS_TEXT && !utf8_is_valid(bytes, n) ? WS_CODE_BAD_DATA : 0;
}

int ws_in_next(struct ws_in *in, uint8_t *bytes, size_t n, uint32_t longest, struct ws_event *e)
{
	uint8_t *payload;
	struct head h;
	int rc = look(in, bytes, n, longest, &h, &e->need);

	if (rc == -EAGAIN) {
		e->kind = WS_NEED;
		e->gone = 0;
		return 0;
	}
	if (rc != 0)
		return rc;
	e->frame_bytes = h.bytes + (uint32_t)h.payload;
	payload = bytes + in->held + h.bytes;
	unmask(payload, (size_t)h.payload, h.mask);
	if (!is_control(h.opcode))
		return take_data(in, bytes, &h, e);
	in->frames += in->opcode != 0 && h.opcode != WS_CLOSE;
	e->kind = WS_CONTROL;
	e->opcode = h.opcode;
	e->bytes = (uint32_t)h.payload;
	e->gone = h.bytes + e->bytes;
	e->control = payload;
	return 0;
}

void ws_in_drop(const struct ws_in *in, uint8_t *bytes, const struct ws_event *e)
{
	memmove(bytes + e->gone, bytes, in->held);
}

int ws_close_answer(const uint8_t *payload, size_t n)
{
	int code;

	if (n == 0)
		return WS_CODE_NORMAL;
	if (n == 1)
		return WS_CODE_PROTOCOL;
	code = payload[0] << 8 | payload[1];
	/* Those that RFC 6455 and the registry of IANA know, and those of libraries and applications. */
	if (code < 1000 || (code > 1003 && code < 1007) || (code > 1014 && code < 3000) || code > 4999)
		return WS_CODE_PROTOCOL;
	return utf8_is_valid(payload + 2, n - 2) ? code : WS_CODE_BAD_DATA;
}

/* ---- frames out ---- */

size_t ws_head_put(uint8_t out[WS_HEAD_OUT_BYTES], enum ws_opcode opcode, uint64_t payload_bytes)
{
	unsigned more = payload_bytes < 126 ? 0 : payload_bytes < 65536 ? 2 : 8;

	out[0] = (uint8_t)(0x80 | opcode);
	out[1] = (uint8_t)(more == 0 ? payload_bytes : more == 2 ? 126 : 127);
	for (unsigned i = 0; i < more; i++)
		out[2 + i] = (uint8_t)(payload_bytes >> 8 * (more - 1 - i));
	return 2 + more;
}

size_t ws_close_put(uint8_t out[2 + WS_CONTROL_BYTES], int code, const char *words)
{
	size_t n = strnlen(words, WS_CONTROL_BYTES - 2);
	size_t at = ws_head_put(out, WS_CLOSE, 2 + n);

	out[at] = (uint8_t)(code >> 8);
	out[at + 1] = (uint8_t)code;
	memcpy(out + at + 2, words, n);
	return at + 2 + n;
}
