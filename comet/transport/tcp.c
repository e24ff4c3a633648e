/* tcp: see tcp.h. SPDX-License-Identifier: MIT */
#include "comet/transport/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "comet/transport/stream.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/peer.h"

struct tcp {
	struct transport base;
	unsigned magic;
#define TCP_MAGIC 0x7c9a11ed
	/* set once */
	uint32_t max_body, max_token;
	/* reader only */
	bool over; /* nothing more is read, but the end of the stream */
	struct stream stream;
};

static struct tcp *tcp_of(const struct transport *t)
{
	struct tcp *tcp = (struct tcp *)t;

	OBJ_CHECK(tcp, TCP_MAGIC);
	return tcp;
}

/* ---- reading ---- */

/* What came is no packet: is it a protocol of another port? */
static void say_foreign(struct transport *t, const uint8_t *head)
{
	static struct log_limit limit = LOG_LIMIT(1);
	const bool is_tls = head[0] == 0x16 && head[1] == 3; /* the record of a ClientHello */
	const bool is_http = memcmp(head, "GET /", 5) == 0 || memcmp(head, "POST /", 6) == 0;
	char peer[64];

	if (!is_tls && !is_http)
		return;
	peer_text(transport_peer(t), true, peer, sizeof(peer));
	LOG_LIMITED(LOG_WARN, &limit, log_str("peer", peer), log_what(EVENT_FOREIGN_PROTOCOL),
		    log_str("speaks", is_tls ? "TLS" : "HTTP"));
}

static int decode(const struct tcp *tcp, struct packet *p)
{
	return packet_allow_token(packet_decode(stream_bytes(&tcp->stream), tcp->max_body, p), p, tcp->max_token);
}

/* What is left unread would reset the connection, and a goodbye be lost. */
static int read_the_end(struct stream *s)
{
	int rc;

	do {
		stream_take_off(s, stream_count(s));
		rc = stream_more(s, 1);
	} while (rc == 0);
	return rc;
}

static int tcp_read(struct transport *t, struct packet *p)
{
	struct tcp *tcp = tcp_of(t);
	struct stream *s = &tcp->stream;
	uint32_t need = PACKET_HEAD_BYTES;
	int rc;

	if (tcp->over)
		return read_the_end(s);
	for (;;) {
		uint32_t have = stream_count(s);

		if (have >= PACKET_HEAD_BYTES) {
			rc = decode(tcp, p);
			tcp->over = rc == -ERR_TOKEN;
			if (rc < 0) {
				say_foreign(t, stream_bytes(s));
				return rc;
			}
			need = PACKET_HEAD_BYTES + p->body_bytes;
		}
		if (have >= need)
			break;
		if ((rc = stream_more(s, need)) < 0)
			return rc == -ERR_EOF && have > 0 ? -ERR_CUT : rc;
	}
	p->body = p->body_bytes > 0 ? stream_bytes(s) + PACKET_HEAD_BYTES : NULL;
	stream_take_off(s, need);
	stream_greeted(s);
	return 0;
}

static int tcp_park(struct transport *t, struct park *park, struct parked *p)
{
	return stream_park(&tcp_of(t)->stream, park, p);
}

static bool tcp_has_packet(const struct transport *t)
{
	const struct tcp *tcp = tcp_of(t);
	uint32_t have = stream_count(&tcp->stream);
	struct packet p;

	if (have < PACKET_HEAD_BYTES)
		return false;
	/* A wrong header is a packet, too: read returns at once. */
	return decode(tcp, &p) < 0 || have >= PACKET_HEAD_BYTES + p.body_bytes;
}

/* ---- writing ---- */

/* A haul laid out for writev: at most a header and a body an item. */
struct layout {
	struct iovec iov[2 * (HAUL_ANSWERS + HAUL_MESSAGES)];
	uint8_t heads[HAUL_ANSWERS][PACKET_HEAD_BYTES];
	unsigned n;
	unsigned n_heads;
};

static void lay(struct layout *l, const void *bytes, size_t n)
{
	if (n == 0)
		return;
	l->iov[l->n++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
}

static void lay_answers(struct layout *l, const struct haul *h)
{
	for (unsigned i = 0; i < h->n_answers; i++) {
		const struct packet *p = h->answers[i];
		uint8_t *head = l->heads[l->n_heads++];

		packet_encode(head, p->ver, p->op, p->seq, p->body_bytes);
		lay(l, head, PACKET_HEAD_BYTES);
		lay(l, p->body, p->body_bytes);
	}
}

static void lay_messages(struct layout *l, const struct haul *h, enum dialect dialect)
{
	for (unsigned i = 0; i < h->n_messages; i++) {
		struct message_piece pieces[MESSAGE_PIECES];
		unsigned n = message_pieces(h->messages[i], dialect, pieces);

		for (unsigned k = 0; k < n; k++)
			lay(l, pieces[k].bytes, pieces[k].n);
	}
}

/* Which items do `written` bytes (skip_bytes included) finish, and how far did the next one get? */
static void account(struct haul *h, enum dialect dialect, size_t written)
{
	unsigned total = h->n_answers + h->n_messages;

	for (unsigned i = 0; i < total; i++) {
		bool is_message = h->messages_first ? i < h->n_messages : i >= h->n_answers;
		size_t bytes = is_message ? message_bytes(h->messages[h->messages_done], dialect)
					  : PACKET_HEAD_BYTES + (size_t)h->answers[h->answers_done]->body_bytes;

		if (written < bytes)
			break;
		written -= bytes;
		if (is_message)
			h->messages_done++;
		else
			h->answers_done++;
	}
	h->begun_bytes = written;
}

/* Answers and messages are parts of their own: when the first item was begun it will be first again, and those of its kind
 * follow in their order, but of the other kind there may be more by then. */
static int tcp_write(struct transport *t, struct haul *h, enum dialect dialect, enum transport_wait wait)
{
	size_t written = h->skip_bytes;
	struct layout layout;
	unsigned ends[2];
	int rc;

	layout.n = 0;
	layout.n_heads = 0;
	if (h->messages_first)
		lay_messages(&layout, h, dialect);
	else
		lay_answers(&layout, h);
	ends[0] = layout.n;
	if (h->messages_first)
		lay_answers(&layout, h);
	else
		lay_messages(&layout, h, dialect);
	ends[1] = layout.n;
	rc = stream_write(&tcp_of(t)->stream, layout.iov, ends, 2, wait, &written);
	account(h, dialect, written);
	return rc;
}

/* ---- ending ---- */

static int tcp_finish_writing(struct transport *t, int code, const char *why, enum transport_wait wait)
{
	(void)code, (void)why, (void)wait;
	stream_finish(&tcp_of(t)->stream);
	return 0;
}

static void tcp_shutdown(struct transport *t)
{
	stream_shutdown(&tcp_of(t)->stream);
}

static void tcp_free(struct transport **t)
{
	struct tcp *tcp = tcp_of(*t);

	stream_fini(&tcp->stream);
	tcp->magic = 0;
	free(tcp);
	*t = NULL;
}

static const struct sockaddr *tcp_peer(const struct transport *t)
{
	return &tcp_of(t)->stream.peer.any;
}

static struct tls *tcp_tls(const struct transport *t)
{
	return tcp_of(t)->stream.tls;
}

static const struct transport_ops tcp_ops = {
	.read = tcp_read,
	.park = tcp_park,
	.has_packet = tcp_has_packet,
	.write = tcp_write,
	.finish_writing = tcp_finish_writing,
	.shutdown = tcp_shutdown,
	.free = tcp_free,
	.peer = tcp_peer,
	.tls = tcp_tls,
	.name = "tcp",
};

int tcp_new(int fd, const struct sockaddr *peer, struct buffers *buffers, const struct tcp_options *opt,
	    struct transport **out)
{
	struct tcp *tcp = calloc(1, sizeof(*tcp));
	int rc;

	if (tcp == NULL)
		return -ENOMEM;
	BUG_UNLESS(buffers->size >= PACKET_HEAD_BYTES + (size_t)opt->max_body &&
		   buffers->size >= PACKET_HEAD_BYTES + (size_t)opt->max_token);
	if ((rc = stream_init(&tcp->stream, fd, peer, buffers, opt->tls, opt->write_timeout_ns, opt->parks)) < 0) {
		free(tcp);
		return rc;
	}
	tcp->base.ops = &tcp_ops;
	tcp->magic = TCP_MAGIC;
	tcp->max_body = opt->max_body;
	tcp->max_token = opt->max_token;
	*out = &tcp->base;
	return 0;
}
