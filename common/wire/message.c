/* message: see message.h. SPDX-License-Identifier: MIT */
#include "common/wire/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/obj.h"

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
	atomic_init(&m->v1_json, NULL);
	packet_encode(m->v1_head, 0, OP_SEND_REPLY, 0, body_bytes);
	packet_encode(m->v2, 1, op, 0, body_bytes);
	if (body_bytes > 0)
		memcpy(m->v2 + PACKET_HEAD_BYTES, body, body_bytes);
	*out = m;
	return 0;
}

struct message *message_ref(struct message *m)
{
	OBJ_CHECK(m, MESSAGE_MAGIC);
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void message_unref(struct message **message)
{
	struct message *m = *message;

	OBJ_CHECK(m, MESSAGE_MAGIC);
	*message = NULL;
	if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) > 1)
		return;
	free(atomic_load(&m->v1_json));
	m->magic = 0;
	free(m);
}
