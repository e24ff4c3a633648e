/* message: see message.h. SPDX-License-Identifier: MIT */
#include "common/wire/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/obj.h"

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
	struct message *m = *message;
	struct message_form *form;

	OBJ_CHECK(m, MESSAGE_MAGIC);
	*message = NULL;
	if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) > 1)
		return;
	free(atomic_load(&m->v1_json));
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
