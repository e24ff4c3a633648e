/* tcp: see tcp.h. The reader's buffer is 64 bytes inside the connection, enough for heartbeats and small packets; for more
 * it borrows one, and gives it back when it waits at a packet boundary, so that an idle connection holds none.
 * SPDX-License-Identifier: MIT */
#include "comet/transport/tcp.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "comet/transport/peer.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/obj.h"

struct tcp {
	struct transport base;
	unsigned magic;
#define TCP_MAGIC 0x7c9a11ed
	/* set once */
	int fd;
	uint32_t max_body;
	int64_t write_timeout_ns;
	struct buffers *buffers;
	struct tls *tls; /* or NULL */
	struct peer peer;
	/* reader only */
	uint8_t *buf; /* small, or borrowed */
	uint32_t size;
	uint32_t start; /* read and not yet handed out: [start, end) */
	uint32_t end;
	bool burst; /* the last read filled the buffer: more is likely to come at once */
	uint8_t small[64];
};

static struct tcp *tcp_of(const struct transport *t)
{
	struct tcp *tcp = (struct tcp *)t;

	OBJ_CHECK(tcp, TCP_MAGIC);
	return tcp;
}

/* ---- reading ---- */

static void give_back(struct tcp *tcp)
{
	if (tcp->buf != tcp->small)
		buffers_put(tcp->buffers, tcp->buf);
	tcp->buf = tcp->small;
	tcp->size = sizeof(tcp->small);
	tcp->start = 0;
	tcp->end = 0;
}

/* Room for `need` bytes from start on, and some to read into. */
static int make_room(struct tcp *tcp, uint32_t need)
{
	uint32_t have = tcp->end - tcp->start;
	uint8_t *into = tcp->buf;

	if (have == 0 && !tcp->burst)
		give_back(tcp);
	/* In a burst a large buffer saves system calls. */
	if (tcp->buf == tcp->small && (need > sizeof(tcp->small) || tcp->burst)) {
		if ((into = buffers_get(tcp->buffers)) == NULL)
			return -ENOMEM;
	} else if (tcp->start + need <= tcp->size && tcp->end < tcp->size) {
		return 0;
	}
	memmove(into, tcp->buf + tcp->start, have);
	if (into != tcp->buf) {
		tcp->buf = into;
		tcp->size = (uint32_t)tcp->buffers->size;
	}
	tcp->start = 0;
	tcp->end = have;
	return 0;
}

/* Bytes of the stream; 0: its end. Without waiting -EAGAIN: none are there. */
static ssize_t take(struct tcp *tcp, bool wait)
{
	uint8_t *into = tcp->buf + tcp->end;
	size_t room = tcp->size - tcp->end;
	ssize_t n;

	if (tcp->tls != NULL)
		return tls_read(tcp->tls, into, room, wait);
	do
		n = recv(tcp->fd, into, room, wait ? 0 : MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Read more; at least one byte. -ERR_EOF is judged by the caller, who knows whether a packet has begun. 0 with nothing
 * read: the burst is over, and the borrowed buffer is to be given back before we wait. */
static int fill(struct tcp *tcp)
{
	bool burst_may_be_over = tcp->burst && tcp->start == tcp->end;
	ssize_t n;

	n = take(tcp, !burst_may_be_over);
	if (n == -EAGAIN && burst_may_be_over) {
		tcp->burst = false;
		return 0;
	}
	if (n < 0)
		return (int)n;
	if (n == 0)
		return -ERR_EOF;
	tcp->end += (uint32_t)n;
	tcp->burst = tcp->end == tcp->size;
	count_add(COUNT_BYTES_IN, n);
	return 0;
}

static int tcp_read(struct transport *t, struct packet *p)
{
	struct tcp *tcp = tcp_of(t);
	uint32_t need = PACKET_HEAD_BYTES;
	int rc;

	for (;;) {
		uint32_t have = tcp->end - tcp->start;

		if (have >= PACKET_HEAD_BYTES) {
			if ((rc = packet_decode(tcp->buf + tcp->start, tcp->max_body, p)) < 0)
				return rc;
			need = PACKET_HEAD_BYTES + p->body_bytes;
		}
		if (have >= need)
			break;
		if ((rc = make_room(tcp, need)) < 0)
			return rc;
		if ((rc = fill(tcp)) < 0)
			return rc == -ERR_EOF && have > 0 ? -ERR_CUT : rc;
	}
	p->body = p->body_bytes > 0 ? tcp->buf + tcp->start + PACKET_HEAD_BYTES : NULL;
	tcp->start += need;
	return 0;
}

static bool tcp_has_packet(const struct transport *t)
{
	const struct tcp *tcp = tcp_of(t);
	uint32_t have = tcp->end - tcp->start;
	struct packet p;

	if (have < PACKET_HEAD_BYTES)
		return false;
	/* A wrong header is a packet, too: read has something to say at once. */
	return packet_decode(tcp->buf + tcp->start, tcp->max_body, &p) < 0 || have >= PACKET_HEAD_BYTES + p.body_bytes;
}

/* ---- writing ---- */

/* A haul laid out for writev: at most a header and a body an item. */
struct layout {
	struct iovec iov[2 * (HAUL_ANSWERS + HAUL_MESSAGES)];
	uint8_t heads[HAUL_ANSWERS][PACKET_HEAD_BYTES];
	unsigned n;
	unsigned n_first; /* of the kind that comes first: messages or answers */
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
		const struct message *m = h->messages[i];

		if (dialect == DIALECT_V2) {
			lay(l, m->v2, PACKET_HEAD_BYTES + m->body_bytes);
		} else {
			lay(l, m->v1_head, PACKET_HEAD_BYTES);
			lay(l, message_body(m), m->body_bytes);
		}
	}
}

/* Take n written bytes off the front. */
static void take_off(struct msghdr *msg, size_t n)
{
	for (; n > 0; msg->msg_iov++, msg->msg_iovlen--) {
		struct iovec *first = msg->msg_iov;

		BUG_UNLESS(msg->msg_iovlen > 0);
		if (n < first->iov_len) {
			first->iov_base = (char *)first->iov_base + n;
			first->iov_len -= n;
			return;
		}
		n -= first->iov_len;
	}
}

/* Which items do `written` bytes (skip_bytes included) finish, and how far did the next one get? */
static void account(struct haul *h, size_t written)
{
	unsigned total = h->n_answers + h->n_messages;

	for (unsigned i = 0; i < total; i++) {
		bool is_message = h->messages_first ? i < h->n_messages : i >= h->n_answers;
		size_t body = is_message ? h->messages[h->messages_done]->body_bytes
					 : h->answers[h->answers_done]->body_bytes;

		if (written < PACKET_HEAD_BYTES + body)
			break;
		written -= PACKET_HEAD_BYTES + body;
		if (is_message)
			h->messages_done++;
		else
			h->answers_done++;
	}
	h->begun_bytes = written;
}

/* Send until all is gone, the socket would block (with MSG_DONTWAIT), or the deadline has passed. The socket's SO_SNDTIMEO
 * bounds each call, the deadline bounds a peer that takes a byte at a time. */
static int send_all(struct tcp *tcp, struct msghdr *msg, int flags, size_t *written)
{
	int64_t deadline = 0;

	while (msg->msg_iovlen > 0) {
		ssize_t n = sendmsg(tcp->fd, msg, flags | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return flags & MSG_DONTWAIT ? -EAGAIN : -ETIMEDOUT;
		if (n < 0)
			return -errno;
		count_add(COUNT_BYTES_OUT, n);
		*written += (size_t)n;
		take_off(msg, (size_t)n);
		if (msg->msg_iovlen == 0)
			break;
		if (deadline == 0)
			deadline = clock_now_ns() + tcp->write_timeout_ns;
		else if (clock_now_ns() > deadline)
			return -ETIMEDOUT;
	}
	return 0;
}

/* Several items go into one record. If the socket takes it in part, the same bytes must come next: the first item was then
 * begun and will be first again, and those of its kind follow in their order. Of the other kind there may be more by then,
 * hence no record with both. */
static int send_all_tls(struct tcp *tcp, const struct layout *l, const struct msghdr *msg, enum transport_wait wait,
			size_t *written)
{
	int64_t deadline = wait == TRANSPORT_NOW ? 0 : clock_now_ns() + tcp->write_timeout_ns;
	const struct iovec *from = msg->msg_iov, *ends[] = {&l->iov[l->n_first], &l->iov[l->n]};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < 2; i++) {
		size_t more;

		rc = tls_write(tcp->tls, from, (size_t)(ends[i] - from), deadline, &more);
		count_add(COUNT_BYTES_OUT, (int64_t)more);
		*written += more;
		from = ends[i];
	}
	return rc;
}

static int tcp_write(struct transport *t, struct haul *h, enum dialect dialect, enum transport_wait wait)
{
	struct tcp *tcp = tcp_of(t);
	struct layout layout;
	struct msghdr msg = {0};
	size_t written = h->skip_bytes;
	int rc;

	layout.n = 0;
	layout.n_heads = 0;
	if (h->messages_first)
		lay_messages(&layout, h, dialect);
	else
		lay_answers(&layout, h);
	layout.n_first = layout.n;
	if (h->messages_first)
		lay_answers(&layout, h);
	else
		lay_messages(&layout, h, dialect);
	msg.msg_iov = layout.iov;
	msg.msg_iovlen = layout.n;
	take_off(&msg, h->skip_bytes);
	if (tcp->tls != NULL)
		rc = send_all_tls(tcp, &layout, &msg, wait, &written);
	else
		rc = send_all(tcp, &msg, wait == TRANSPORT_NOW ? MSG_DONTWAIT : 0, &written);
	account(h, written);
	return rc;
}

/* ---- ending ---- */

static void tcp_finish_writing(struct transport *t)
{
	struct tcp *tcp = tcp_of(t);

	if (tcp->tls != NULL)
		tls_finish(tcp->tls);
	/* Fails only where the peer is gone already, and then there is nothing to finish. */
	(void)shutdown(tcp->fd, SHUT_WR);
}

static void tcp_shutdown(struct transport *t)
{
	(void)shutdown(tcp_of(t)->fd, SHUT_RDWR);
}

static void tcp_free(struct transport **t)
{
	struct tcp *tcp = tcp_of(*t);

	give_back(tcp);
	/* Bytes left unread would make the close a reset, and that may overtake what was just said to a client for whom there
	 * was no thread. What came is forgotten, not copied: tcp(7). Not by recv(), of which TSan believes that it writes
	 * there. */
	(void)syscall(SYS_recvfrom, tcp->fd, NULL, INT32_MAX, MSG_DONTWAIT | MSG_TRUNC, NULL, NULL);
	if (tcp->tls != NULL)
		tls_free(&tcp->tls);
	(void)close(tcp->fd);
	tcp->magic = 0;
	free(tcp);
	*t = NULL;
}

static void tcp_peer(const struct transport *t, bool with_port, char *text, size_t text_bytes)
{
	peer_text(&tcp_of(t)->peer.any, with_port, text, text_bytes);
}

static const struct transport_ops tcp_ops = {
	.read = tcp_read,
	.has_packet = tcp_has_packet,
	.write = tcp_write,
	.finish_writing = tcp_finish_writing,
	.shutdown = tcp_shutdown,
	.free = tcp_free,
	.peer = tcp_peer,
	.name = "tcp",
};

int tcp_new(int fd, const struct sockaddr *peer, struct buffers *buffers, const struct tcp_options *opt,
	    struct transport **out)
{
	struct tcp *tcp = calloc(1, sizeof(*tcp));

	if (tcp == NULL)
		return -ENOMEM;
	BUG_UNLESS(buffers->size >= PACKET_HEAD_BYTES + (size_t)opt->max_body);
	tcp->base.ops = &tcp_ops;
	tcp->magic = TCP_MAGIC;
	tcp->fd = fd;
	tcp->max_body = opt->max_body;
	tcp->write_timeout_ns = opt->write_timeout_ns;
	tcp->buffers = buffers;
	peer_set(&tcp->peer, peer);
	tcp->buf = tcp->small;
	tcp->size = sizeof(tcp->small);
	if (opt->tls != NULL && tls_new(opt->tls, fd, &tcp->tls) < 0) {
		free(tcp);
		return -ENOMEM;
	}
	*out = &tcp->base;
	return 0;
}
