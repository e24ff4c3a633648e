/* ws_link: see ws_link.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_link.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/drop_reason.h"
#include "comet/transport/peer.h"
#include "comet/transport/v1_json.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/utf8.h"

/* How long a writer that must not wait for the peer waits for the service thread, which only has not had its turn. */
#define TURN_NS CLOCK_SEC

/* A frame of several pushes is not grown beyond this. */
#define FRAME_BYTES 65536

enum kind { KIND_UNKNOWN, KIND_BINARY, KIND_TEXT };

struct ws_link {
	struct transport base;
	unsigned magic;
#define WS_LINK_MAGIC 0x11c4ed55
	atomic_uint refs;
	/* set once */
	uint32_t max_body;
	int64_t write_timeout_ns;
	void (*ask)(void *service, struct ws_link *link);
	void *service;
	struct peer peer;
	_Atomic enum kind kind; /* by the first message */
	/* under the service's lock */
	struct ws_link *next_asking;
	/* service thread only */
	void *tag;
	struct ws_block *partial;         /* the message that is being read */
	unsigned answers_out, pushes_out; /* in frames that were given out, and are not known to be written */
	/* reader only */
	struct ws_block *current; /* the message whose body the reader works on */
	/* under lock */
	struct lock lock;
	pthread_cond_t readable;
	pthread_cond_t space;
	unsigned wishes;
	int close_code;
	int why;      /* of ended */
	bool ended;   /* nothing comes and nothing goes any more */
	bool killed;  /* shut down: what has come is not read either */
	bool closing; /* finish_writing: a close frame follows the outbox */
	bool choked;  /* the socket is full */
	bool paused;  /* the service thread was told that the inbox is full */
	enum dialect dialect;
	struct ws_block *inbox, **inbox_last;
	unsigned inbox_count;
	unsigned out_head, out_count;
	size_t out_bytes;
	struct ws_item outbox[WS_LINK_OUTBOX];
};

static struct ws_link *link_of(const struct transport *t)
{
	struct ws_link *link = (struct ws_link *)t;

	OBJ_CHECK(link, WS_LINK_MAGIC);
	return link;
}

/* ---- wishes ---- */

/* True: the service must be asked, once the lock is dropped. */
static bool wish_locked(struct ws_link *link, enum ws_wish wish) NEEDS(link->lock)
{
	bool first = link->wishes == 0;

	link->wishes |= wish;
	return first;
}

unsigned ws_link_wishes(struct ws_link *link)
{
	unsigned wishes;

	OBJ_CHECK(link, WS_LINK_MAGIC);
	lock_take(&link->lock);
	wishes = link->wishes;
	link->wishes = 0;
	lock_drop(&link->lock);
	return wishes;
}

/* ---- reading: the service thread's side ---- */

static int refuse(struct ws_link *link, int code, int why)
{
	lock_take(&link->lock);
	link->close_code = code;
	lock_drop(&link->lock);
	ws_link_end(link, why);
	return why;
}

/* A text message has a packet as JSON, which needs more room than the packet itself. */
static size_t longest(const struct ws_link *link, bool is_text)
{
	return (size_t)link->max_body + (is_text ? V1_JSON_AROUND_BYTES : PACKET_HEAD_BYTES);
}

/* Room for n more bytes in the message that is being read. */
static int make_room(struct ws_link *link, size_t n)
{
	struct ws_block *b = link->partial;
	size_t have = b != NULL ? b->bytes : 0;
	size_t room = have + n < 64 ? 64 : have + n;

	if (b != NULL && have + n <= b->room)
		return 0;
	if (b != NULL && room < 2 * b->room)
		room = 2 * b->room; /* a message of a thousand fragments is not copied a thousand times */
	if ((b = realloc(b, sizeof(*b) + room)) == NULL)
		return -ENOMEM;
	b->next = NULL;
	b->bytes = have;
	b->room = room;
	b->is_text = false; /* of no use here */
	link->partial = b;
	return 0;
}

static bool put_into_inbox(struct ws_link *link)
{
	bool full;

	lock_take(&link->lock);
	*link->inbox_last = link->partial;
	link->inbox_last = &link->partial->next;
	link->partial = NULL;
	link->inbox_count++;
	full = link->inbox_count >= WS_LINK_INBOX;
	link->paused |= full;
	lock_drop(&link->lock);
	(void)pthread_cond_signal(&link->readable);
	return full;
}

int ws_link_receive(struct ws_link *link, const void *bytes, size_t n, bool first, bool last, bool is_text,
		    uint64_t rest)
{
	enum kind kind = is_text ? KIND_TEXT : KIND_BINARY, known = atomic_load(&link->kind);
	size_t have;

	OBJ_CHECK(link, WS_LINK_MAGIC);
	count_add(COUNT_BYTES_IN, (int64_t)n);
	if (known == KIND_UNKNOWN)
		atomic_store(&link->kind, kind);
	else if (first && known != kind)
		return refuse(link, WS_CLOSE_UNSUPPORTED, -ERR_FRAME);
	have = link->partial != NULL ? link->partial->bytes : 0;
	/* By what the frame announces, before it is read: who announces gigabytes need not send them. */
	if (n > longest(link, is_text) - have || rest > longest(link, is_text) - have - n)
		return refuse(link, WS_CLOSE_TOO_BIG, -ERR_PACKET_BODY);
	if (make_room(link, n) < 0)
		return refuse(link, WS_CLOSE_INTERNAL, -ENOMEM);
	if (n > 0)
		memcpy(link->partial->data + have, bytes, n);
	link->partial->bytes += n;
	if (!last)
		return 0;
	if (is_text && !utf8_is_valid(link->partial->data, link->partial->bytes))
		return refuse(link, WS_CLOSE_NOT_CONSISTENT, -ERR_FRAME);
	return put_into_inbox(link);
}

static void end_locked(struct ws_link *link, int why) NEEDS(link->lock)
{
	if (!link->ended) {
		link->ended = true;
		link->why = why;
	}
}

void ws_link_end(struct ws_link *link, int why)
{
	OBJ_CHECK(link, WS_LINK_MAGIC);
	lock_take(&link->lock);
	end_locked(link, why == 0 ? -ERR_EOF : why);
	lock_drop(&link->lock);
	(void)pthread_cond_broadcast(&link->readable);
	(void)pthread_cond_broadcast(&link->space);
}

/* ---- reading: the reader's side ---- */

/* The next message, or why there is none. The wait ends when the peer, or the connection's deadline by ws_shutdown, ends
 * the link. */
static int take_from_inbox(struct ws_link *link, struct ws_block **out)
{
	bool ask = false;
	int rc = 0;

	lock_take(&link->lock);
	while (link->inbox == NULL && !link->ended)
		lock_wait(&link->readable, &link->lock);
	if (link->killed || link->inbox == NULL) {
		rc = link->why;
		goto drop;
	}
	*out = link->inbox;
	link->inbox = link->inbox->next;
	if (link->inbox == NULL)
		link->inbox_last = &link->inbox;
	link->inbox_count--;
	/* Not for each message: half of the inbox in one go. */
	if (link->paused && link->inbox_count <= WS_LINK_INBOX / 2 && !link->ended) {
		link->paused = false;
		ask = wish_locked(link, WS_WISH_READ);
	}
drop:
	lock_drop(&link->lock);
	if (ask)
		link->ask(link->service, link);
	return rc;
}

static int decode(struct ws_link *link, const struct ws_block *b, struct packet *p)
{
	int rc;

	if (atomic_load(&link->kind) == KIND_TEXT)
		return v1_json_decode(b->data, b->bytes, link->max_body, p);
	if (b->bytes < PACKET_HEAD_BYTES)
		return -ERR_PACKET_LENGTH;
	if ((rc = packet_decode(b->data, link->max_body, p)) < 0)
		return rc;
	/* What the length promises beyond the message's end is nobody's to read. */
	if (b->bytes != PACKET_HEAD_BYTES + (size_t)p->body_bytes)
		return -ERR_PACKET_LENGTH;
	p->body = p->body_bytes > 0 ? (uint8_t *)(uintptr_t)b->data + PACKET_HEAD_BYTES : NULL;
	return 0;
}

static int ws_read(struct transport *t, struct packet *p)
{
	struct ws_link *link = link_of(t);
	int rc;

	free(link->current);
	link->current = NULL;
	if ((rc = take_from_inbox(link, &link->current)) < 0)
		return rc;
	*p = (struct packet){0};
	if ((rc = decode(link, link->current, p)) < 0) {
		lock_take(&link->lock);
		link->close_code = rc == -ERR_PACKET_BODY ? WS_CLOSE_TOO_BIG : WS_CLOSE_POLICY;
		lock_drop(&link->lock);
	}
	return rc;
}

static bool ws_has_packet(const struct transport *t)
{
	struct ws_link *link = link_of(t);
	bool has;

	lock_take(&link->lock);
	has = link->inbox != NULL || link->ended;
	lock_drop(&link->lock);
	return has;
}

static bool ws_is_text(const struct transport *t)
{
	return atomic_load(&link_of(t)->kind) == KIND_TEXT;
}

/* ---- writing: the side of who holds the baton ---- */

static bool is_outbox_full_locked(const struct ws_link *link) NEEDS(link->lock)
{
	return link->out_count == WS_LINK_OUTBOX || link->out_bytes >= WS_LINK_OUTBOX_BYTES;
}

static void put_locked(struct ws_link *link, struct ws_item out) NEEDS(link->lock)
{
	link->outbox[(link->out_head + link->out_count) % WS_LINK_OUTBOX] = out;
	link->out_count++;
	link->out_bytes += ws_item_bytes(&out);
}

static struct ws_item take_locked(struct ws_link *link) NEEDS(link->lock)
{
	struct ws_item out = link->outbox[link->out_head];

	link->out_head = (link->out_head + 1) % WS_LINK_OUTBOX;
	link->out_count--;
	link->out_bytes -= ws_item_bytes(&out);
	return out;
}

/* As much of the haul as finds room. True: all of it. */
static bool put_into_outbox_locked(struct ws_link *link, struct haul *h, int *rc) NEEDS(link->lock)
{
	bool is_text = atomic_load(&link->kind) == KIND_TEXT;

	for (; h->answers_done < h->n_answers && !is_outbox_full_locked(link); h->answers_done++) {
		struct ws_block *b = ws_block_of_answer(h->answers[h->answers_done], is_text);

		if (b == NULL) {
			*rc = -ENOMEM;
			return false;
		}
		put_locked(link, (struct ws_item){.answer = b});
	}
	for (; h->messages_done < h->n_messages && !is_outbox_full_locked(link); h->messages_done++)
		put_locked(link, (struct ws_item){.message = message_ref(h->messages[h->messages_done])});
	return h->answers_done == h->n_answers && h->messages_done == h->n_messages;
}

/* Sleep until the outbox has room. The service thread makes it, unless the socket is choked by a peer that does not read:
 * then it is only worth waiting for with TRANSPORT_WAIT. */
static int wait_for_space_locked(struct ws_link *link, enum transport_wait wait, int64_t deadline) NEEDS(link->lock)
{
	while (!link->ended && !link->closing && is_outbox_full_locked(link)) {
		if (wait == TRANSPORT_NOW && link->choked)
			return -EAGAIN;
		if (!lock_wait_until(&link->space, &link->lock, deadline))
			return wait == TRANSPORT_NOW ? -EAGAIN : -ETIMEDOUT;
	}
	if (link->ended && link->why == -ETIME)
		return -ETIMEDOUT;
	return link->ended || link->closing ? -EPIPE : 0;
}

static int ws_write(struct transport *t, struct haul *h, enum dialect dialect, enum transport_wait wait)
{
	struct ws_link *link = link_of(t);
	int64_t deadline = clock_now_ns() + (wait == TRANSPORT_NOW ? TURN_NS : link->write_timeout_ns);
	int rc = 0;

	BUG_UNLESS(h->skip_bytes == 0);
	h->answers_done = 0;
	h->messages_done = 0;
	h->begun_bytes = 0;
	for (bool done = false; rc == 0 && !done;) {
		bool ask = false;

		lock_take(&link->lock);
		link->dialect = dialect;
		rc = wait_for_space_locked(link, wait, deadline);
		if (rc == 0) {
			done = put_into_outbox_locked(link, h, &rc);
			ask = wish_locked(link, WS_WISH_WRITE);
		}
		lock_drop(&link->lock);
		if (ask)
			link->ask(link->service, link);
	}
	return rc;
}

/* ---- writing: the service thread's side ---- */

void ws_link_frames_written(struct ws_link *link)
{
	count_add(COUNT_ANSWERED, link->answers_out);
	count_add(COUNT_DELIVERED, link->pushes_out);
	link->answers_out = 0;
	link->pushes_out = 0;
}

void ws_link_set_choked(struct ws_link *link, bool choked)
{
	lock_take(&link->lock);
	link->choked = choked;
	lock_drop(&link->lock);
	if (choked)
		(void)pthread_cond_broadcast(&link->space);
}

/* What is written at once, taken off the outbox. */
struct batch {
	struct ws_item items[WS_LINK_OUTBOX];
	unsigned n;
	bool is_answer;
	enum dialect dialect;
};

/* An answer goes alone, messages go together. */
static enum ws_next take_batch(struct ws_link *link, struct batch *b)
{
	enum ws_next next = WS_NEXT_FRAME;
	size_t bytes = 0;

	b->n = 0;
	b->is_answer = false;
	lock_take(&link->lock);
	b->dialect = link->dialect;
	while (link->out_count > 0 && bytes < FRAME_BYTES) {
		struct ws_item *out = &link->outbox[link->out_head];

		if (b->n > 0 && out->answer != NULL)
			break;
		b->items[b->n++] = take_locked(link);
		b->is_answer = out->answer != NULL;
		if (b->is_answer)
			break;
		bytes += PACKET_HEAD_BYTES + out->message->body_bytes;
	}
	if (b->n == 0)
		next = link->closing ? WS_NEXT_CLOSE : WS_NEXT_NOTHING;
	lock_drop(&link->lock);
	if (b->n > 0)
		(void)pthread_cond_signal(&link->space);
	return next;
}

/* From here a frame goes to the socket, or waits in the library for it. */
static void count_frame(const struct batch *b)
{
	int64_t now_ns = clock_now_ns();

	count_observe(COUNT_BATCH, b->n);
	for (unsigned i = 0; i < b->n && !b->is_answer; i++)
		count_observe(COUNT_PUSH_WRITE, now_ns - b->items[i].message->born_ns);
}

static void drop_batch(struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++)
		ws_item_drop(&b->items[i]);
}

enum ws_next ws_link_next_frame(struct ws_link *link, size_t front, struct ws_frame *frame)
{
	struct batch batch;
	enum ws_next next = take_batch(link, &batch);
	bool good;

	if (next != WS_NEXT_FRAME)
		return next;
	if (batch.is_answer)
		good = ws_frame_of_answer(frame, front, batch.items[0].answer);
	else
		good = ws_frame_of_messages(frame, front, batch.items, batch.n, batch.dialect,
					    atomic_load(&link->kind) == KIND_TEXT);
	if (good)
		count_frame(&batch);
	drop_batch(&batch);
	if (batch.is_answer)
		link->answers_out++;
	else
		link->pushes_out += batch.n;
	if (good) {
		count_add(COUNT_BYTES_OUT, (int64_t)frame->bytes);
		return WS_NEXT_FRAME;
	}
	/* A gap in what the peer gets would go unseen: better that it connects again. */
	(void)refuse(link, WS_CLOSE_INTERNAL, -ENOMEM);
	return WS_NEXT_CLOSE;
}

bool ws_link_is_closing(struct ws_link *link)
{
	bool closing;

	lock_take(&link->lock);
	closing = link->closing;
	lock_drop(&link->lock);
	return closing;
}

int ws_link_close_code(struct ws_link *link)
{
	int code;

	lock_take(&link->lock);
	code = link->close_code;
	lock_drop(&link->lock);
	return code;
}

/* ---- ending ---- */

static void ws_finish_writing(struct transport *t)
{
	struct ws_link *link = link_of(t);
	bool ask = false;

	lock_take(&link->lock);
	if (!link->closing && !link->killed) {
		link->closing = true;
		ask = wish_locked(link, WS_WISH_WRITE);
	}
	lock_drop(&link->lock);
	if (ask)
		link->ask(link->service, link);
}

static void ws_shutdown(struct transport *t)
{
	struct ws_link *link = link_of(t);
	bool ask = false;

	lock_take(&link->lock);
	if (!link->killed) {
		link->killed = true;
		ask = wish_locked(link, WS_WISH_KILL);
		end_locked(link, -ERR_EOF);
	}
	lock_drop(&link->lock);
	(void)pthread_cond_broadcast(&link->readable);
	(void)pthread_cond_broadcast(&link->space);
	if (ask)
		link->ask(link->service, link);
}

static void ws_free(struct transport **t)
{
	struct ws_link *link = link_of(*t);

	*t = NULL;
	ws_link_unref(&link);
}

static const struct sockaddr *ws_peer(const struct transport *t)
{
	return &link_of(t)->peer.any;
}

/* ---- from birth to death ---- */

static const struct transport_ops ws_ops = {
	.read = ws_read,
	.has_packet = ws_has_packet,
	.is_text = ws_is_text,
	.write = ws_write,
	.finish_writing = ws_finish_writing,
	.shutdown = ws_shutdown,
	.free = ws_free,
	.peer = ws_peer,
	.name = "websocket",
	.writes_later = true,
};

int ws_link_new(const struct sockaddr *peer, const struct ws_link_options *opt, struct ws_link **out,
		struct transport **transport)
{
	struct ws_link *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return -ENOMEM;
	link->base.ops = &ws_ops;
	link->magic = WS_LINK_MAGIC;
	atomic_init(&link->refs, 2);
	link->max_body = opt->max_body;
	link->write_timeout_ns = opt->write_timeout_ns;
	link->ask = opt->ask;
	link->service = opt->service;
	peer_set(&link->peer, peer);
	lock_init(&link->lock, LOCK_CHANNEL);
	lock_cond_init(&link->readable);
	lock_cond_init(&link->space);
	link->close_code = WS_CLOSE_NORMAL;
	link->dialect = DIALECT_V2;
	link->inbox_last = &link->inbox;
	*out = link;
	*transport = &link->base;
	return 0;
}

struct ws_link *ws_link_ref(struct ws_link *link)
{
	OBJ_CHECK(link, WS_LINK_MAGIC);
	atomic_fetch_add_explicit(&link->refs, 1, memory_order_relaxed);
	return link;
}

void ws_link_unref(struct ws_link **reference)
{
	struct ws_link *link = *reference;
	struct batch left;

	OBJ_CHECK(link, WS_LINK_MAGIC);
	*reference = NULL;
	if (atomic_fetch_sub_explicit(&link->refs, 1, memory_order_acq_rel) > 1)
		return;
	while (link->inbox != NULL) {
		struct ws_block *b = link->inbox;
		link->inbox = b->next;
		free(b);
	}
	free(link->partial);
	free(link->current);
	while (take_batch(link, &left) == WS_NEXT_FRAME) {
		link->pushes_out += left.is_answer ? 0 : left.n;
		drop_batch(&left);
	}
	count_by_add(COUNT_DROPPED, DROP_CLOSED, link->pushes_out);
	(void)pthread_cond_destroy(&link->readable);
	(void)pthread_cond_destroy(&link->space);
	lock_fini(&link->lock);
	link->magic = 0;
	free(link);
}

struct ws_link **ws_link_next_asking(struct ws_link *link)
{
	return &link->next_asking;
}

void ws_link_set_tag(struct ws_link *link, void *tag)
{
	link->tag = tag;
}

void *ws_link_tag(const struct ws_link *link)
{
	return link->tag;
}
