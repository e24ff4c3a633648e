/* fake_transport: see fake_transport.h. Any thread. SPDX-License-Identifier: MIT */
#include "tests/unit/fake_transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "comet/goodbye.h"
#include "common/base/err.h"
#include "common/base/obj.h"

static struct fake_transport *fake_of(const struct transport *t)
{
	return (struct fake_transport *)(void *)(uintptr_t)t;
}

static void lock(struct fake_transport *f)
{
	BUG_UNLESS(pthread_mutex_lock(&f->mutex) == 0);
}

static bool is_readable_locked(const struct fake_transport *f)
{
	return f->shut || f->n_read < f->n_sent || f->read_rc != 0;
}

/* Every change may be what somebody waits for. */
static void unlock(struct fake_transport *f)
{
	eventfd_t times;

	if (is_readable_locked(f))
		(void)eventfd_write(f->bell, 1);
	else
		(void)eventfd_read(f->bell, &times);
	(void)pthread_cond_broadcast(&f->changed);
	BUG_UNLESS(pthread_mutex_unlock(&f->mutex) == 0);
}

/* ---- the face towards the house ---- */

static int fake_read(struct transport *t, struct packet *p)
{
	struct fake_transport *f = fake_of(t);
	int rc = 0;

	lock(f);
	while (!is_readable_locked(f) && !f->parks)
		(void)pthread_cond_wait(&f->changed, &f->mutex);
	if (!is_readable_locked(f)) {
		rc = -EAGAIN;
	} else if (f->shut) {
		rc = -ERR_EOF;
	} else if (f->n_read < f->n_sent) {
		struct fake_packet *from = &f->sent[f->n_read++];

		*p = (struct packet){.ver = from->ver,
				     .op = from->op,
				     .seq = from->seq,
				     .kind = from->kind,
				     .body_bytes = from->body_bytes};
		p->body = p->body_bytes > 0 ? (uint8_t *)from->body : NULL;
		if (p->kind == PACKET_PING)
			rc = packet_keep_body(p);
	} else {
		rc = f->read_rc;
	}
	unlock(f);
	return rc;
}

static int fake_park(struct transport *t, struct park *park, struct parked *p)
{
	return park_on_stream(park, p, fake_of(t)->bell, true);
}

static bool fake_has_packet(const struct transport *t)
{
	struct fake_transport *f = fake_of(t);
	bool has;

	lock(f);
	has = f->n_read < f->n_sent;
	unlock(f);
	return has;
}

static void get(struct fake_transport *f, int16_t ver, int32_t op, int32_t seq, const void *body, uint32_t body_bytes)
{
	struct fake_packet *to = &f->got[f->n_got++];

	BUG_UNLESS(f->n_got <= FAKE_GOT_MAX && body_bytes <= FAKE_BODY_MAX);
	*to = (struct fake_packet){.ver = ver, .op = op, .seq = seq, .body_bytes = body_bytes};
	if (body_bytes > 0)
		memcpy(to->body, body, body_bytes);
	if (f->takes != FAKE_UNLIMITED)
		f->takes--;
}

static void get_message(struct fake_transport *f, const struct message *m, enum dialect dialect)
{
	struct message_piece pieces[MESSAGE_PIECES];
	uint8_t bytes[PACKET_HEAD_BYTES + FAKE_BODY_MAX];
	struct packet p;
	size_t n = 0;

	for (unsigned i = 0, pieces_n = message_pieces(m, dialect, pieces); i < pieces_n; i++) {
		BUG_UNLESS(n + pieces[i].n <= sizeof(bytes));
		memcpy(bytes + n, pieces[i].bytes, pieces[i].n);
		n += pieces[i].n;
	}
	BUG_UNLESS(packet_decode(bytes, FAKE_BODY_MAX, &p) == 0 && n == PACKET_HEAD_BYTES + (size_t)p.body_bytes);
	get(f, p.ver, p.op, p.seq, bytes + PACKET_HEAD_BYTES, p.body_bytes);
}

static void get_next(struct fake_transport *f, struct haul *h, enum dialect dialect, unsigned i)
{
	bool is_message = h->messages_first ? i < h->n_messages : i >= h->n_answers;

	if (is_message) {
		get_message(f, h->messages[h->messages_done++], dialect);
	} else {
		const struct packet *p = h->answers[h->answers_done++];

		get(f, p->ver, p->op, p->seq, p->body, p->body_bytes);
		f->got[f->n_got - 1].kind = p->kind;
	}
}

static int fake_write(struct transport *t, struct haul *h, enum dialect dialect, enum transport_wait wait)
{
	struct fake_transport *f = fake_of(t);
	int rc = 0;

	lock(f);
	f->writes++;
	f->in_write++;
	(void)pthread_cond_broadcast(&f->changed);
	while (f->write_held && !f->shut)
		(void)pthread_cond_wait(&f->changed, &f->mutex);
	for (unsigned i = 0; rc == 0 && i < h->n_answers + h->n_messages; i++) {
		while (wait == TRANSPORT_WAIT && f->takes == 0 && !f->shut && !f->write_late && f->write_rc == 0)
			(void)pthread_cond_wait(&f->changed, &f->mutex);
		if (f->shut || f->finished)
			rc = -EPIPE;
		else if (f->write_rc != 0)
			rc = f->write_rc;
		else if (f->takes == 0)
			rc = wait == TRANSPORT_NOW ? -EAGAIN : -ETIMEDOUT;
		else
			get_next(f, h, dialect, i);
	}
	f->in_write--;
	unlock(f);
	return rc;
}

static int fake_finish_writing(struct transport *t, int code, const char *why, enum transport_wait wait)
{
	struct fake_transport *f = fake_of(t);

	(void)wait;
	lock(f);
	f->finished = true;
	f->finish_code = code;
	(void)snprintf(f->finish_why, sizeof(f->finish_why), "%s", why);
	unlock(f);
	return 0;
}

static void fake_shutdown(struct transport *t)
{
	struct fake_transport *f = fake_of(t);

	lock(f);
	f->shut = true;
	unlock(f);
}

static void fake_free(struct transport **t)
{
	struct fake_transport *f = fake_of(*t);

	lock(f);
	BUG_UNLESS(!f->freed);
	f->freed = true;
	unlock(f);
	*t = NULL;
}

static const struct sockaddr *fake_peer(const struct transport *t)
{
	return &fake_of(t)->peer.any;
}

static const struct transport_ops fake_ops = {
	.read = fake_read,
	.park = fake_park,
	.has_packet = fake_has_packet,
	.write = fake_write,
	.finish_writing = fake_finish_writing,
	.shutdown = fake_shutdown,
	.free = fake_free,
	.peer = fake_peer,
	.name = "fake",
};

void fake_says_goodbye(struct fake_transport *f)
{
	static struct transport_ops ops;

	ops = fake_ops;
	ops.says_goodbye = true;
	f->base.ops = &ops;
}

static int64_t fake_ping_due(const struct transport *t)
{
	return fake_of(t)->ping_due_ns;
}

static int fake_ping(struct transport *t)
{
	struct fake_transport *f = fake_of(t);

	lock(f);
	f->pings++;
	unlock(f);
	return f->ping_rc;
}

void fake_knows_pings(struct fake_transport *f, int64_t due_ns)
{
	static struct transport_ops ops;

	ops = fake_ops;
	ops.ping_due_ns = fake_ping_due;
	ops.ping = fake_ping;
	f->base.ops = &ops;
	f->ping_due_ns = due_ns;
}

/* ---- the face towards the test ---- */

void fake_init(struct fake_transport *f)
{
	memset(f, 0, sizeof(*f));
	f->base.ops = &fake_ops;
	f->peer.v4 = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(1234), .sin_addr.s_addr = htonl(0xc0000201)}; /* 192.0.2.1 */
	f->takes = FAKE_UNLIMITED;
	BUG_UNLESS((f->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0);
	BUG_UNLESS((f->got = calloc(FAKE_GOT_MAX, sizeof(*f->got))) != NULL);
	BUG_UNLESS(pthread_mutex_init(&f->mutex, NULL) == 0);
	BUG_UNLESS(pthread_cond_init(&f->changed, NULL) == 0);
}

void fake_fini(struct fake_transport *f)
{
	(void)pthread_cond_destroy(&f->changed);
	(void)pthread_mutex_destroy(&f->mutex);
	(void)close(f->bell);
	free(f->got);
	f->got = NULL;
}

static void say(struct fake_transport *f, const struct fake_packet *packet, const char *body)
{
	struct fake_packet *p;

	lock(f);
	BUG_UNLESS(f->n_sent < FAKE_SENT_MAX);
	p = &f->sent[f->n_sent++];
	*p = *packet;
	p->body_bytes = (uint32_t)strlen(body);
	(void)snprintf(p->body, sizeof(p->body), "%s", body);
	unlock(f);
}

void fake_send_ver(struct fake_transport *f, int16_t ver, int32_t op, int32_t seq, const char *body)
{
	say(f, &(struct fake_packet){.ver = ver, .op = op, .seq = seq}, body);
}

void fake_send(struct fake_transport *f, int32_t op, int32_t seq, const char *body)
{
	fake_send_ver(f, 1, op, seq, body);
}

void fake_send_kind(struct fake_transport *f, enum packet_kind kind, const char *body)
{
	say(f, &(struct fake_packet){.kind = (uint8_t)kind, .op = OP_AUTH},
	    body); /* which it would be, were it a packet */
}

void fake_end(struct fake_transport *f, int rc)
{
	lock(f);
	f->read_rc = rc;
	unlock(f);
}

void fake_take(struct fake_transport *f, unsigned packets)
{
	lock(f);
	f->takes = packets;
	unlock(f);
}

void fake_hold_writes(struct fake_transport *f, bool held)
{
	lock(f);
	f->write_held = held;
	unlock(f);
}

void fake_fail_writes(struct fake_transport *f, int rc)
{
	lock(f);
	if (rc == -ETIMEDOUT)
		f->write_late = true;
	else
		f->write_rc = rc;
	unlock(f);
}

static unsigned count(struct fake_transport *f, const unsigned *counter)
{
	unsigned n;

	lock(f);
	n = *counter;
	unlock(f);
	return n;
}

unsigned fake_got(struct fake_transport *f)
{
	return count(f, &f->n_got);
}

unsigned fake_got_op(struct fake_transport *f, int32_t op)
{
	unsigned n = 0;

	lock(f);
	for (unsigned i = 0; i < f->n_got; i++)
		n += f->got[i].op == op;
	unlock(f);
	return n;
}

static bool look(struct fake_transport *f, const bool *flag)
{
	bool value;

	lock(f);
	value = *flag;
	unlock(f);
	return value;
}

unsigned fake_pings(struct fake_transport *f)
{
	return count(f, &f->pings);
}

bool fake_is_writing(struct fake_transport *f)
{
	return count(f, &f->in_write) > 0;
}

bool fake_is_finished(struct fake_transport *f)
{
	return look(f, &f->finished);
}

bool fake_is_shut(struct fake_transport *f)
{
	return look(f, &f->shut);
}

bool fake_is_freed(struct fake_transport *f)
{
	return look(f, &f->freed);
}

const struct fake_packet *fake_packet(struct fake_transport *f, unsigned i)
{
	BUG_UNLESS(i < fake_got(f));
	return &f->got[i];
}

struct connection *fake_connection(struct fake_transport *f, const char *key, uint64_t session_id,
				   const struct channel_options *opt)
{
	static struct goodbye nowhere;
	struct connection *c;

	f->options = (struct connection_options){*opt, INT64_C(10000000000), &nowhere, NULL};
	BUG_UNLESS(connection_new(&f->base, &f->options, &c) == 0);
	BUG_UNLESS(seat_copy(&(struct seat){.key = key, .session_id = session_id}, &c->seat) == 0);
	atomic_store(&c->in_handshake, false);
	channel_watch_all(&c->channel);
	return c;
}
