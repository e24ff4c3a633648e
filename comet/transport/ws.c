/* ws: see ws.h. The bytes that were read lie in the stream: half a request, half a frame, the fragments of a message. Beside it
 * there is only what cannot be read there again, so that the reader may stop at any byte. SPDX-License-Identifier: MIT */
#include "comet/transport/ws.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "comet/transport/stream.h"
#include "comet/transport/v1_json.h"
#include "comet/transport/ws_answer.h"
#include "comet/transport/ws_frame.h"
#include "comet/transport/ws_message.h"
#include "comet/transport/ws_out.h"
#include "comet/transport/ws_ping.h"
#include "comet/transport/ws_request.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/obj.h"

enum speech { SPEECH_UNKNOWN, SPEECH_BINARY, SPEECH_TEXT };

struct ws {
	struct transport base;
	unsigned magic;
#define WS_MAGIC 0x0eb50cc3
	/* set once */
	uint32_t max_body, max_token, longest;
	const struct origins *origins;
	const struct ws_proxies *proxies;
	const char *upgrade_headers;
	bool deflate;
	/* set by the reader while it holds the baton */
	bool open;          /* the handshake is over, */
	bool refused;       /* or has come to nothing */
	enum speech speech; /* by the first message */
	/* reader only */
	bool over; /* nothing more is read but the end */
	struct stream stream;
	struct ws_ping ping;
	struct ws_request request;
	struct ws_in in;
	struct ws_message message; /* the last one */
	uint32_t taken;            /* bytes that ws_taken has not told */
	/* the baton's holder only */
	struct ws_out out;
	int close;            /* what the close frame says, */
	size_t close_written; /* and how much of it is written */
	/* set by the reader, read by the thread that finishes writing */
	atomic_int code; /* to close with; 0: none but the goodbye's own */
};

static struct ws *ws_of(const struct transport *t)
{
	struct ws *ws = (struct ws *)t;

	OBJ_CHECK(ws, WS_MAGIC);
	return ws;
}

/* Of a message, whatever it holds: JSON needs more than its packet does, and what cannot be deflated gets longer by that. */
static uint32_t longest(uint32_t max_body)
{
	return max_body + max_body / 1024 + V1_JSON_AROUND_BYTES;
}

size_t ws_buffer_bytes(uint32_t max_body)
{
	size_t frame = (size_t)longest(max_body) + WS_BEHIND_BYTES;

	return frame > WS_REQUEST_BYTES ? frame : WS_REQUEST_BYTES;
}

static int write_on(struct ws *ws, const void *bytes, size_t n, enum transport_wait wait, size_t *written)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
	const unsigned end = 1;

	return stream_write(&ws->stream, &iov, &end, 1, wait, written);
}

static int write_bytes(struct ws *ws, const void *bytes, size_t n, enum transport_wait wait)
{
	size_t written = 0;

	return write_on(ws, bytes, n, wait, &written);
}

/* ---- the handshake ---- */

/* Its answers are the first bytes of a connection, and go at once, or the peer reads nothing: with parking no thread waits for that. */
static int write_first(struct ws *ws, const char *answer, size_t n)
{
	int rc = write_bytes(ws, answer, n, ws->stream.parks ? TRANSPORT_NOW : TRANSPORT_WAIT);

	return rc == -ETIMEDOUT || rc == -EAGAIN ? -ETIME : rc;
}

static int refuse(struct ws *ws, enum ws_fault fault)
{
	const char *text = (const char *)stream_bytes(&ws->stream);
	char answer[WS_ANSWER_BYTES];

	ws->refused = true;
	ws->over = true;
	ws_answer_log(&ws->request, text, fault, &ws->stream.peer.any);
	(void)write_first(ws, answer, ws_answer_refuse(answer, fault, ws_request_is_head(&ws->request)));
	return fault == WS_FAULT_ORIGIN ? -ERR_ORIGIN : -ERR_UPGRADE;
}

static int welcome(struct ws *ws)
{
	const char *text = (const char *)stream_bytes(&ws->stream);
	struct ws_offer *offer = &ws->request.offer;
	char answer[WS_ANSWER_BYTES];
	int rc;

	offer->taken = offer->taken && ws->deflate;
	if ((rc = write_first(ws, answer, ws_answer_welcome(answer, text + ws->request.key, offer))) < 0)
		return rc;
	ws->in.deflate = offer->taken;
	ws->out.window_bytes = offer->taken ? ws_offer_window(offer) : 0;
	stream_take_off(&ws->stream, ws->request.bytes);
	ws->taken += ws->request.bytes;
	ws->open = true;
	ws_ping_heard(&ws->ping);
	return 0;
}

/* Of a request that a trusted proxy has brought. */
static int take_client(struct ws *ws)
{
	struct forwarded f = forwarded_start(ws->proxies->header, ws->proxies->networks);
	const struct sockaddr *client;
	int rc = 0;

	ws_request_forwarded(&ws->request, (char *)stream_bytes(&ws->stream), &f);
	client = forwarded_client(&f);
	if (client != NULL && (rc = ws->base.named(ws->base.named_arg, client)) != -ENOMEM)
		peer_set(&ws->stream.peer, client);
	ws->over = rc < 0;
	return rc;
}

/* A function of its own, so that a reader which waits for frames has none of this on its stack. */
__attribute__((noinline)) static int shake_hands(struct ws *ws)
{
	struct stream *s = &ws->stream;
	const struct ws_request *r = &ws->request;
	const char *text;
	int rc, named;

	while ((rc = ws_request_read(&ws->request, (char *)stream_bytes(s), stream_count(s))) == -EAGAIN)
		if ((rc = stream_more(s, stream_count(s) + 1)) < 0)
			return rc == -ERR_EOF ? -ERR_CUT : rc;
	if (ws->proxies != NULL && r->bytes > 0 && (named = take_client(ws)) < 0)
		return named;
	text = (char *)stream_bytes(s);
	if (rc == WS_FAULT_NONE && r->origin > 0 &&
	    !origins_let_in(ws->origins, text + r->origin, r->origin_bytes, text + r->host, r->host_bytes))
		rc = WS_FAULT_ORIGIN;
	if (rc == WS_FAULT_NONE && ws->upgrade_headers != NULL &&
	    (rc = ws_request_gather(r, text, ws->upgrade_headers, &ws->base.upgrade)) < 0)
		return rc;
	return rc == WS_FAULT_NONE ? welcome(ws) : refuse(ws, (enum ws_fault)rc);
}

/* ---- reading ---- */

/* Nothing more is read, but the end of the stream. code: to close with, 0 for that of the goodbye. Returns rc. */
static int give_up(struct ws *ws, int code, int rc)
{
	ws->over = true;
	ws->message.left = 0;
	atomic_store(&ws->code, code);
	return rc;
}

/* For a close code that ws_frame or ws_message came to, or for -ENOMEM. */
static int refuse_message(struct ws *ws, int code)
{
	if (code < 0)
		return give_up(ws, 0, code);
	return give_up(ws, code, code == WS_CODE_TOO_BIG ? -ERR_PACKET_BODY : -ERR_FRAME);
}

/* The next frame. */
static int read_frame(struct ws *ws, struct ws_event *e)
{
	struct stream *s = &ws->stream;
	int rc;

	for (;;) {
		int code = ws_in_next(&ws->in, stream_bytes(s), stream_count(s), ws->longest, e);

		if (code != 0)
			return refuse_message(ws, code);
		if (e->kind != WS_NEED)
			break;
		if ((rc = stream_more(s, e->need)) < 0)
			return rc == -ERR_EOF ? -ERR_CUT : rc;
		ws_ping_heard(&ws->ping);
	}
	ws->taken += e->frame_bytes;
	return 0;
}

static int next_packet(struct ws *ws, struct packet *p)
{
	int rc;

	p->kind = PACKET_WHOLE;
	if (ws->speech == SPEECH_TEXT)
		rc = ws_message_text(&ws->message, ws->max_body, ws->max_token, p);
	else
		rc = ws_message_packet(&ws->message, ws->max_body, ws->max_token, p);
	return rc < 0 ? give_up(ws, 0, rc) : 0;
}

static int take_message(struct ws *ws, struct ws_event *e, struct packet *p)
{
	uint8_t *bytes = stream_bytes(&ws->stream);
	enum speech speech;
	int rc;

	stream_take_off(&ws->stream, e->bytes);
	stream_greeted(&ws->stream);
	if ((rc = ws_message_take(&ws->message, ws->stream.buffers, e, bytes, ws->longest)) != 0)
		return refuse_message(ws, rc);
	/* What there is more of it now counts as if it had come so. */
	if (ws->message.left > e->bytes)
		ws->taken += ws->message.left - e->bytes;
	speech = e->opcode == WS_TEXT ? SPEECH_TEXT : SPEECH_BINARY;
	if (ws->speech == SPEECH_UNKNOWN)
		ws->speech = speech;
	else if (ws->speech != speech)
		return give_up(ws, WS_CODE_UNSUPPORTED, -ERR_FRAME);
	return next_packet(ws, p);
}

static int take_control(struct ws *ws, const struct ws_event *e, struct packet *p)
{
	if (e->opcode == WS_CLOSE)
		return give_up(ws, ws_close_answer(e->control, e->bytes), -ERR_EOF);
	if (e->opcode == WS_PONG)
		return 0;
	p->kind = PACKET_PING;
	return packet_set_body(p, e->control, e->bytes);
}

static int read_the_end(struct ws *ws)
{
	int rc;

	do {
		stream_take_off(&ws->stream, stream_count(&ws->stream));
		rc = stream_more(&ws->stream, 1);
	} while (rc == 0);
	return rc;
}

static int ws_read(struct transport *t, struct packet *p)
{
	struct ws *ws = ws_of(t);
	struct ws_event e;
	int rc;

	*p = (struct packet){0};
	if (ws->message.left > 0)
		return next_packet(ws, p);
	ws_message_drop(&ws->message, ws->stream.buffers);
	if (ws->over)
		return read_the_end(ws);
	if (!ws->open && (rc = shake_hands(ws)) < 0)
		return rc;
	if ((rc = read_frame(ws, &e)) < 0)
		return rc;
	p->kind = PACKET_NOTHING;
	if (e.kind == WS_CONTROL) {
		rc = take_control(ws, &e, p);
		ws_in_drop(&ws->in, stream_bytes(&ws->stream), &e);
	}
	stream_take_off(&ws->stream, e.gone);
	return e.kind == WS_MESSAGE ? take_message(ws, &e, p) : rc;
}

static int ws_park(struct transport *t, struct park *park, struct parked *p)
{
	return stream_park(&ws_of(t)->stream, park, p);
}

static bool ws_has_packet(const struct transport *t)
{
	const struct ws *ws = ws_of(t);
	const struct stream *s = &ws->stream;

	return ws->message.left > 0 || ws_in_is_whole(&ws->in, stream_bytes(s), stream_count(s), ws->longest);
}

static bool ws_is_text(const struct transport *t)
{
	return ws_of(t)->speech == SPEECH_TEXT;
}

static uint32_t ws_taken(struct transport *t)
{
	struct ws *ws = ws_of(t);
	uint32_t taken = ws->taken;

	ws->taken = 0;
	return taken;
}

/* ---- writing ---- */

/* A client that has not asked yet is told in HTTP: for example, there was no thread for it. */
__attribute__((noinline)) static int write_goodbye(struct ws *ws, struct haul *h, enum transport_wait wait)
{
	const struct packet *p = h->answers[0];
	char answer[WS_ANSWER_BYTES + WS_GOODBYE_BYTES];

	BUG_UNLESS(h->n_answers == 1 && h->n_messages == 0);
	h->answers_done = 1;
	if (ws->refused)
		return -EPIPE;
	return write_bytes(ws, answer, ws_answer_full(answer, sizeof(answer), (const char *)p->body, p->body_bytes),
			   wait);
}

static int ws_write(struct transport *t, struct haul *h, enum dialect dialect, enum transport_wait wait)
{
	struct ws *ws = ws_of(t);

	if (!ws->open)
		return write_goodbye(ws, h, wait);
	return ws_out_write(&ws->out, &ws->stream, h, dialect, ws->speech == SPEECH_TEXT, wait);
}

static int64_t ws_ping_due(const struct transport *t)
{
	return ws_ping_due_ns(&ws_of(t)->ping);
}

static int ws_send_ping(struct transport *t)
{
	struct ws *ws = ws_of(t);
	int rc = ws->out.torn ? -EAGAIN : ws_ping_send(&ws->ping, &ws->stream);

	ws->out.torn |= rc == -EPIPE;
	return rc;
}

/* ---- ending ---- */

static int ws_finish_writing(struct transport *t, int code, const char *why, enum transport_wait wait)
{
	struct ws *ws = ws_of(t);
	uint8_t frame[2 + WS_CONTROL_BYTES];
	int own = atomic_load(&ws->code);

	if (ws->close == 0)
		ws->close = own != 0 ? own : code; /* the same bytes, should they go in two parts */
	if (ws->open && !ws->out.torn &&
	    write_on(ws, frame, ws_close_put(frame, ws->close, why), wait, &ws->close_written) == -EAGAIN)
		return -EAGAIN;
	stream_finish(&ws->stream);
	return 0;
}

static void ws_shutdown(struct transport *t)
{
	stream_shutdown(&ws_of(t)->stream);
}

static void ws_free(struct transport **t)
{
	struct ws *ws = ws_of(*t);

	ws_message_drop(&ws->message, ws->stream.buffers);
	stream_fini(&ws->stream);
	upgrade_drop(&ws->base.upgrade);
	ws->magic = 0;
	free(ws);
	*t = NULL;
}

static const struct sockaddr *ws_peer(const struct transport *t)
{
	return &ws_of(t)->stream.peer.any;
}

static struct tls *ws_tls(const struct transport *t)
{
	return ws_of(t)->stream.tls;
}

static const struct transport_ops ws_ops = {
	.read = ws_read,
	.park = ws_park,
	.has_packet = ws_has_packet,
	.is_text = ws_is_text,
	.taken = ws_taken,
	.write = ws_write,
	.ping_due_ns = ws_ping_due,
	.ping = ws_send_ping,
	.finish_writing = ws_finish_writing,
	.shutdown = ws_shutdown,
	.free = ws_free,
	.peer = ws_peer,
	.tls = ws_tls,
	.name = "websocket",
	.says_goodbye = true,
};

int ws_new(int fd, const struct sockaddr *peer, struct buffers *buffers, const struct ws_options *opt,
	   struct transport **out)
{
	struct ws *ws = calloc(1, sizeof(*ws));
	int rc;

	if (ws == NULL)
		return -ENOMEM;
	BUG_UNLESS(buffers->size >= ws_buffer_bytes(opt->max_body) && buffers->size >= ws_buffer_bytes(opt->max_token));
	if ((rc = stream_init(&ws->stream, fd, peer, buffers, opt->tls, opt->write_timeout_ns, opt->parks)) < 0) {
		free(ws);
		return rc;
	}
	ws->base.ops = &ws_ops;
	ws->magic = WS_MAGIC;
	ws->max_body = opt->max_body;
	ws->max_token = opt->max_token;
	ws->longest = longest(opt->max_token > opt->max_body ? opt->max_token : opt->max_body);
	ws->origins = opt->origins;
	ws->ping.times = opt->ping;
	ws->proxies = opt->proxies;
	ws->upgrade_headers = opt->upgrade_headers;
	ws->deflate = opt->deflate;
	*out = &ws->base;
	return 0;
}
