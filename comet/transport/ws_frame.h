/* ws_frame: the frames of RFC 6455, both ways. Pure: no socket, no lock; the state can stop at any byte and go on.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_FRAME_H
#define COMET_TRANSPORT_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_HEAD_IN_BYTES  14 /* the longest header, with its mask */
#define WS_HEAD_OUT_BYTES 10 /* the longest without */
#define WS_CONTROL_BYTES  125

/* The most that stands behind the bytes of a message: a control frame, which is longer than any header. */
#define WS_BEHIND_BYTES (2 + 4 + WS_CONTROL_BYTES)

/* Fragments with nothing in them that one message may have. */
#define WS_EMPTY_FRAGMENTS 64

/* Frames that one message may have, control frames in between among them: each moves all that there is of it. */
#define WS_MESSAGE_FRAMES 2048

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* Close codes of RFC 6455, section 7.4.1, as far as frames have them; close_reason.def has those of goodbyes. */
enum ws_code {
	WS_CODE_NORMAL = 1000,
	WS_CODE_PROTOCOL = 1002,
	WS_CODE_UNSUPPORTED = 1003,
	WS_CODE_BAD_DATA = 1007, /* no UTF-8, or not deflated as it says */
	WS_CODE_POLICY = 1008,
	WS_CODE_TOO_BIG = 1009,
};

/* ---- frames in ---- */

/* The state of a message that is not whole yet. All zero at first, but for deflate. */
struct ws_in {
	uint32_t held;   /* bytes of its fragments so far: they stand, unmasked, before whatever comes next */
	uint8_t opcode;  /* of its first fragment; 0: none has come */
	bool deflated;   /* it says so */
	bool deflate;    /* set once: that was agreed on */
	uint8_t empties; /* fragments with nothing in them */
	uint16_t frames; /* since then, with those in between */
};

enum ws_kind {
	WS_NEED,     /* the frame is not whole: come again with `need` bytes, or with as many as there are */
	WS_FRAGMENT, /* one of a message that goes on */
	WS_MESSAGE, /* its last, or its only one: all of it is `bytes` bytes, from the front on once `gone` are taken off */
	WS_CONTROL, /* `opcode`, with `bytes` bytes at `control`: look at them, then ws_in_drop */
};

struct ws_event {
	enum ws_kind kind;
	uint8_t opcode; /* WS_TEXT, WS_BINARY of a message; WS_CLOSE, WS_PING, WS_PONG */
	bool deflated;  /* the message is to be inflated, and then ws_judge_text'ed if it is text */
	uint32_t need;
	uint32_t gone;        /* so many bytes are to be taken off the front */
	uint32_t frame_bytes; /* of the frame, with its header */
	uint32_t bytes;
	const uint8_t *control;
};

/* Look at the next frame of a client in bytes[0..n), which begin with the in->held bytes of the fragments so far; takes masks
 * off, and headers out of a message. `longest`: bytes of a message.
 *   0     *e says what came
 *   other  it is forbidden: the code to close with. WS_CODE_TOO_BIG is said by what a header announces. */
int ws_in_next(struct ws_in *in, uint8_t *bytes, size_t n, uint32_t longest, struct ws_event *e);

/* Take a control frame out from between the fragments of a message; its e->gone bytes may then be taken off the front. */
void ws_in_drop(const struct ws_in *in, uint8_t *bytes, const struct ws_event *e);

/* Would ws_in_next return anything but WS_NEED? Changes nothing. */
bool ws_in_is_whole(const struct ws_in *in, const uint8_t *bytes, size_t n, uint32_t longest);

/* Of a text message, which is whole. Text that begins with a zero byte is packets, as no JSON begins so: *opcode becomes WS_BINARY.
 * 0, or the code to close with. */
int ws_judge_text(uint8_t *opcode, const uint8_t *bytes, size_t n);

/* The code to answer a close frame with, which may carry anything. */
int ws_close_answer(const uint8_t *payload, size_t n);

/* ---- frames out ---- */

/* In the first byte of a header: the message is deflated. */
#define WS_DEFLATED 0x40

/* To a client that takes messages deflated all of them go so, since libwebsockets' client (4.1 to 4.3) reads one that does not again
 * and again, without end. What is not worth deflating is then one stored block, with a header, and a byte behind it. */
#define WS_STORED_HEAD_BYTES 5
#define WS_STORED_MAX        65535

/* The header of a whole message, or of a control frame; how many bytes. */
size_t ws_head_put(uint8_t out[WS_HEAD_OUT_BYTES], enum ws_opcode opcode, uint64_t payload_bytes);

/* A close frame; the words are cut to fit. How many bytes. */
size_t ws_close_put(uint8_t out[2 + WS_CONTROL_BYTES], int code, const char *words);

#endif
