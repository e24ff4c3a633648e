/* message: see message.h. SPDX-License-Identifier: MIT */
#include "common/wire/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/obj.h"

/* A push to a client with streams: this `ver`, and before the body the high half of the number, and the room. */
#define V2S_NUMBER_BYTES 4

struct message_form message_as_it_is;

int message_new(int32_t op, const void *body, uint32_t body_bytes, struct message **out)
{
	struct message *m;

	if (body_bytes > INT32_MAX - 2 * PACKET_HEAD_BYTES)
		return -EMSGSIZE;
	if ((m = malloc(sizeof(*m) + PACKET_HEAD_BYTES + body_bytes)) == NULL)
		return -ENOMEM;
	m->magic = MESSAGE_MAGIC;
	atomic_init(&m->refs, 1);
	m->op = op;
	m->body_bytes = body_bytes;
	m->born_ns = clock_now_ns();
	m->number = 0;
	m->notice = false;
	atomic_init(&m->v1_json, NULL);
	atomic_init(&m->v2s_head, NULL);
	atomic_init(&m->unnumbered, NULL);
	for (unsigned i = 0; i < DIALECTS; i++) {
		atomic_init(&m->deflated[i], NULL);
		atomic_init(&m->stored[i], NULL);
	}
	lock_init(&m->lock, LOCK_POOL);
	packet_encode(m->v1_head, 0, OP_SEND_REPLY, 0, body_bytes);
	packet_encode(m->v2, 1, op, 0, body_bytes);
	if (body_bytes > 0)
		memcpy(m->v2 + PACKET_HEAD_BYTES, body, body_bytes);
	*out = m;
	return 0;
}

int message_new_notice(struct message **out)
{
	int rc = message_new(0, NULL, 0, out);

	if (rc == 0)
		(*out)->notice = true;
	return rc;
}

struct message *message_ref(struct message *m)
{
	OBJ_CHECK(m, MESSAGE_MAGIC);
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void message_unref(struct message **message)
{
	struct message *m = *message, *twin;
	struct message_form *form;

	OBJ_CHECK(m, MESSAGE_MAGIC);
	*message = NULL;
	if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) > 1)
		return;
	free(atomic_load(&m->v1_json));
	free(atomic_load(&m->v2s_head));
	if ((twin = atomic_load(&m->unnumbered)) != NULL)
		message_unref(&twin);
	for (unsigned i = 0; i < DIALECTS; i++) {
		if ((form = atomic_load(&m->deflated[i])) != &message_as_it_is)
			free(form);
		if ((form = atomic_load(&m->stored[i])) != &message_as_it_is)
			free(form);
	}
	lock_fini(&m->lock);
	m->magic = 0;
	free(m);
}

int message_answer(int32_t op, int32_t seq, const void *body, uint32_t body_bytes, struct message **out)
{
	int rc = message_new(op, body, body_bytes, out);

	if (rc == 0)
		packet_encode((*out)->v2, 1, op, seq, body_bytes);
	return rc;
}

/* ---- for clients with streams ---- */

int message_number_it(struct message *m, const char *room)
{
	struct message_form *form, *there = atomic_load_explicit(&m->v2s_head, memory_order_acquire);
	size_t room_bytes, before;

	if (there != NULL)
		return 0;
	room_bytes = strlen(room);
	before = V2S_NUMBER_BYTES + 1 + room_bytes;
	BUG_UNLESS(room_bytes <= UINT8_MAX);
	if ((form = malloc(sizeof(*form) + PACKET_HEAD_BYTES + before)) == NULL)
		return -ENOMEM;
	form->bytes = PACKET_HEAD_BYTES + before;
	packet_encode(form->data, PACKET_VER_PUSH, m->op, (int32_t)(uint32_t)m->number,
		      (uint32_t)before + m->body_bytes);
	packet_put_i32(form->data + PACKET_HEAD_BYTES, (int32_t)(m->number >> 32));
	form->data[PACKET_HEAD_BYTES + V2S_NUMBER_BYTES] = (uint8_t)room_bytes;
	memcpy(form->data + PACKET_HEAD_BYTES + V2S_NUMBER_BYTES + 1, room, room_bytes);
	/* Of two threads that made it at the same time, the first has made it for all. */
	if (!atomic_compare_exchange_strong_explicit(&m->v2s_head, &there, form, memory_order_acq_rel,
						     memory_order_acquire))
		free(form);
	return 0;
}

struct message *message_unnumbered(struct message *m)
{
	struct message *made, *there = atomic_load_explicit(&m->unnumbered, memory_order_acquire);

	if (m->number == 0 || there != NULL)
		return m->number == 0 ? m : there;
	if (message_new(m->op, message_body(m), m->body_bytes, &made) < 0)
		return NULL;
	made->born_ns = m->born_ns;
	if (atomic_compare_exchange_strong_explicit(&m->unnumbered, &there, made, memory_order_acq_rel,
						    memory_order_acquire))
		return made;
	message_unref(&made);
	return there;
}

/* ---- on the wire ---- */

unsigned message_pieces(const struct message *m, enum dialect dialect, struct message_piece pieces[MESSAGE_PIECES])
{
	const struct message_form *head = NULL;

	if (dialect == DIALECT_V2S)
		head = atomic_load_explicit(&m->v2s_head, memory_order_acquire);
	if (dialect_is_v2(dialect) && head == NULL) {
		pieces[0] = (struct message_piece){m->v2, PACKET_HEAD_BYTES + (size_t)m->body_bytes};
		return 1;
	}
	pieces[0] = (struct message_piece){m->v1_head, PACKET_HEAD_BYTES};
	if (head != NULL)
		pieces[0] = (struct message_piece){head->data, head->bytes};
	pieces[1] = (struct message_piece){message_body(m), m->body_bytes};
	return 2;
}

size_t message_bytes(const struct message *m, enum dialect dialect)
{
	struct message_piece pieces[MESSAGE_PIECES];
	unsigned n = message_pieces(m, dialect, pieces);

	return pieces[0].n + (n > 1 ? pieces[1].n : 0);
}
