/* stream: see stream.h. The reader's buffer is 64 bytes inside the connection, enough for heartbeats and small packets; for more
 * it borrows one, and gives it back when it waits with nothing in it, so that an idle connection holds none.
 * SPDX-License-Identifier: MIT */
#include "comet/transport/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/obj.h"

int stream_init(struct stream *s, int fd, const struct sockaddr *peer, struct buffers *buffers, struct tls_server *tls,
		int64_t write_timeout_ns, bool parks)
{
	int rc;

	*s = (struct stream){.fd = fd,
			     .write_timeout_ns = write_timeout_ns,
			     .buffers = buffers,
			     .parks = parks,
			     .greets = parks,
			     .took_all = true};
	peer_set(&s->peer, peer);
	s->buf = s->small;
	s->size = sizeof(s->small);
	if (tls == NULL)
		return 0;
	if ((rc = tls_new(tls, fd, &s->tls)) == 0 && parks)
		tls_sign_in_turn(s->tls);
	return rc;
}

/* ---- reading ---- */

static void give_back(struct stream *s)
{
	if (s->buf != s->small)
		buffers_put(s->buffers, s->buf);
	s->buf = s->small;
	s->size = sizeof(s->small);
	s->start = 0;
	s->end = 0;
}

/* Room for `need` bytes from start on, and some to read into. */
static int make_space(struct stream *s, uint32_t need)
{
	uint32_t have = s->end - s->start;
	uint8_t *into = s->buf;

	if (have == 0 && !s->burst)
		give_back(s);
	/* In a burst a large buffer saves system calls, and so it does at first. One that parks gives it back before it waits. */
	if (s->buf == s->small && (need > sizeof(s->small) || s->burst || s->greets)) {
		if ((into = buffers_get(s->buffers)) == NULL)
			return -ENOMEM;
	} else if (s->start + need <= s->size && s->end < s->size) {
		return 0;
	}
	memmove(into, s->buf + s->start, have);
	if (into != s->buf) {
		s->buf = into;
		s->size = (uint32_t)s->buffers->size;
	}
	/* A read into no space would look like the end of the stream. */
	BUG_UNLESS(need <= s->size && have < s->size);
	s->start = 0;
	s->end = have;
	return 0;
}

/* Bytes of the stream; 0: its end. Without waiting -EAGAIN: none are there. */
static ssize_t take(struct stream *s, bool wait)
{
	uint8_t *into = s->buf + s->end;
	size_t space = s->size - s->end;
	ssize_t n;

	if (s->tls != NULL)
		return tls_read(s->tls, into, space, wait);
	do
		n = recv(s->fd, into, space, wait ? 0 : MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* After a read: that a socket is empty the park finds out by itself, and a client that sends without end shall not keep a thread
 * for longer than one buffer lasts. Bytes inside OpenSSL nobody else tells of. */
static bool has_had_its_turn(const struct stream *s)
{
	if (s->tls != NULL && tls_has_more(s->tls))
		return false;
	return s->buf != s->small || !s->burst;
}

/* What came at once and is more than that takes long: many packets, or a message to be checked and inflated. */
#define LONG_BYTES 2048

/* 0 with nothing read: the burst is over, and the borrowed buffer is to be given back before we wait. */
static int fill(struct stream *s)
{
	bool burst_may_be_over = s->burst && s->start == s->end;
	ssize_t n;

	n = take(s, !burst_may_be_over && !s->parks);
	s->drained = s->parks && n == -EAGAIN;
	/* It was found ready, so that there is nothing is believed the second time, and of the next time it says nothing. */
	s->took_all = n > 0 ? s->end + n < s->size : s->found_none;
	s->found_none = n == -EAGAIN && !s->took_all;
	if (n == -EAGAIN && burst_may_be_over && !s->parks) {
		s->burst = false;
		return 0;
	}
	if (n < 0)
		return (int)n;
	if (n == 0)
		return -ERR_EOF;
	s->end += (uint32_t)n;
	s->burst = s->end == s->size;
	s->drained = s->parks && has_had_its_turn(s);
	if (n >= LONG_BYTES)
		park_go_long();
	count_add(COUNT_BYTES_IN, n);
	return 0;
}

int stream_more(struct stream *s, uint32_t need)
{
	int rc;

	if (s->drained)
		return -EAGAIN;
	rc = make_space(s, need);
	return rc < 0 ? rc : fill(s);
}

/* What is left of a packet moves to where it needs no borrowed buffer, if it fits there. */
static void shrink(struct stream *s)
{
	uint32_t have = s->end - s->start;
	uint8_t *from = s->buf + s->start;

	if (s->buf == s->small || have > sizeof(s->small))
		return;
	memcpy(s->small, from, have);
	give_back(s);
	s->end = have;
}

int stream_park(struct stream *s, struct park *park, struct parked *p)
{
	shrink(s);
	s->burst = false;
	s->drained = false;
	return s->tls != NULL ? tls_park(s->tls, park, p) : park_on_stream(park, p, s->fd, s->took_all);
}

/* ---- writing ---- */

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

/* Send until all is gone, the socket would block (with MSG_DONTWAIT), or the deadline has passed. The socket's SO_SNDTIMEO
 * bounds each call, the deadline bounds a peer that takes a byte at a time. */
static int send_all(struct stream *s, struct msghdr *msg, int flags, size_t *written)
{
	int64_t deadline = 0;

	while (msg->msg_iovlen > 0) {
		ssize_t n = sendmsg(s->fd, msg, flags | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return flags & MSG_DONTWAIT ? -EAGAIN : -ETIMEDOUT;
		if (n < 0) /* ETIMEDOUT: the kernel has given the peer up, which is no matter of our deadline */
			return errno == ETIMEDOUT ? -ECONNRESET : -errno;
		count_add(COUNT_BYTES_OUT, n);
		*written += (size_t)n;
		take_off(msg, (size_t)n);
		if (msg->msg_iovlen == 0)
			break;
		if (deadline == 0)
			deadline = clock_now_ns() + s->write_timeout_ns;
		else if (clock_now_ns() > deadline)
			return -ETIMEDOUT;
	}
	return 0;
}

/* No record has bytes of two parts. If the socket takes it in part, the same bytes must come next (tls.h), and of those behind
 * the part that it is of there may be others by then. */
static int send_all_tls(struct stream *s, const struct msghdr *msg, const struct iovec *iov, const unsigned *ends,
			unsigned n_ends, enum transport_wait wait, size_t *written)
{
	int64_t deadline = wait == TRANSPORT_NOW ? 0 : clock_now_ns() + s->write_timeout_ns;
	const struct iovec *from = msg->msg_iov;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < n_ends; i++) {
		const struct iovec *end = &iov[ends[i]];
		size_t more;

		if (end <= from)
			continue;
		rc = tls_write(s->tls, from, (size_t)(end - from), deadline, &more);
		count_add(COUNT_BYTES_OUT, (int64_t)more);
		*written += more;
		from = end;
	}
	return rc;
}

int stream_write(struct stream *s, struct iovec *iov, const unsigned *ends, unsigned n_ends, enum transport_wait wait,
		 size_t *written)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = ends[n_ends - 1]};

	take_off(&msg, *written);
	if (s->tls != NULL)
		return send_all_tls(s, &msg, iov, ends, n_ends, wait, written);
	return send_all(s, &msg, wait == TRANSPORT_NOW ? MSG_DONTWAIT : 0, written);
}

/* ---- ending ---- */

void stream_finish(struct stream *s)
{
	if (s->tls != NULL)
		tls_finish(s->tls);
	/* Fails only where the peer is gone already, and then there is nothing to finish. */
	(void)shutdown(s->fd, SHUT_WR);
}

short stream_poll(const struct stream *s, short events)
{
	struct pollfd fd = {.fd = s->fd, .events = events};

	return poll(&fd, 1, 0) > 0 ? fd.revents : 0;
}

void stream_shutdown(struct stream *s)
{
	(void)shutdown(s->fd, SHUT_RDWR);
	if (s->tls != NULL)
		tls_shut(s->tls);
}

/* Not copied: tcp(7). Not by recv(), of which TSan believes that it writes there. */
void stream_forget_unread(int fd)
{
	(void)syscall(SYS_recvfrom, fd, NULL, INT32_MAX, MSG_DONTWAIT | MSG_TRUNC, NULL, NULL);
}

void stream_fini(struct stream *s)
{
	give_back(s);
	stream_forget_unread(s->fd);
	if (s->tls != NULL)
		tls_free(&s->tls);
	(void)close(s->fd);
}
