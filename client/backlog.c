/* backlog: see backlog.h. SPDX-License-Identifier: MIT */
#include "client/backlog.h"

#include <errno.h>
#include <stdlib.h>

struct waiting {
	struct waiting *next;
	struct packet p;
};

int backlog_put(struct backlog *b, const struct packet *p)
{
	struct waiting *k;
	int rc;

	if (b->n >= BACKLOG_MAX || p->body_bytes > BACKLOG_BYTES - b->bytes)
		return -ENOBUFS;
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return -ENOMEM;
	k->p = *p;
	if ((rc = packet_keep_body(&k->p)) < 0) {
		free(k);
		return rc;
	}
	if (b->first == NULL)
		b->first = k;
	else
		b->last->next = k;
	b->last = k;
	b->n++;
	b->bytes += p->body_bytes;
	return 0;
}

bool backlog_take(struct backlog *b, struct packet *p)
{
	struct waiting *k = b->first;

	if (k == NULL)
		return false;
	*p = k->p;
	b->first = k->next;
	b->n--;
	b->bytes -= p->body_bytes;
	free(k);
	return true;
}

void backlog_fini(struct backlog *b)
{
	struct packet p;

	while (backlog_take(b, &p))
		packet_drop_body(&p);
}
