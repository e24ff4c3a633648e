/* errand: see errand.h. SPDX-License-Identifier: MIT */
#include "comet/errand.h"

#include "common/base/counters.h"
#include "common/base/ranges.h"

static bool is_join(const struct connection *c, int32_t op)
{
	return c->joins != NULL && (op == OP_JOIN || op == OP_LEAVE);
}

bool errand_is_join(const struct connection *c, const struct packet *p)
{
	return p->kind == PACKET_WHOLE && is_join(c, p->op);
}

static bool is_ack(const struct connection *c, int32_t op)
{
	return c->joins != NULL && op == OP_ACK;
}

bool errand_is_ack(const struct connection *c, const struct packet *p)
{
	return p->kind == PACKET_WHOLE && is_ack(c, p->op);
}

bool errand_goes_up(const struct server *s, const struct connection *c, int32_t op)
{
	const struct ranges *wanted = &s->upstream_ops->ops;
	bool ours = op == OP_HEARTBEAT || op == OP_AUTH || op == OP_CHANGE_ROOM || op == OP_SUB || op == OP_UNSUB ||
		    is_join(c, op) || is_ack(c, op);

	return dialect_is_v2(c->dialect) && !ours && (wanted->n == 0 || ranges_have(wanted, op));
}

/* In a cluster for Redis, where rooms are written down and histories are read; else for a back end that is asked for passes. */
static bool join_waits(const struct server *s)
{
	return s->logic.waits_to_tell || (s->logic.waits_to_ask && s->cfg->auth_rooms != CONFIG_ROOMS_OPEN);
}

bool errand_waits(const struct server *s, const struct connection *c, const struct packet *p)
{
	if (p->kind != PACKET_WHOLE || p->op == OP_HEARTBEAT || p->op == OP_SUB || p->op == OP_UNSUB ||
	    is_ack(c, p->op))
		return false;
	if (is_join(c, p->op))
		return p->op == OP_JOIN && join_waits(s);
	if (p->op == OP_AUTH)
		return s->logic.waits_to_ask && connection_expires(c);
	if (p->op == OP_CHANGE_ROOM && s->cfg->auth_rooms == CONFIG_ROOMS_WEBHOOK)
		return true;
	return s->logic.waits_to_tell && dialect_is_v2(c->dialect);
}

/* comet_packets_in_total goes by the ops of the table, in its order; those that are not ours come last. */
static const int32_t ops[] = {
#define op(NAME, number, from, dialects, words) (number),
#include "common/wire/ops.def"
#undef op
};
#define N_OPS (sizeof(ops) / sizeof(ops[0]))

static const char *const op_names[N_OPS + 1] = {
#define op(NAME, number, from, dialects, words) (words),
#include "common/wire/ops.def"
#undef op
	"application",
};

COUNTER_LABELS(PACKETS_IN, op_names, N_OPS + 1);

void errand_count(const struct connection *c, int32_t op)
{
	unsigned i = 0;

	while (i < N_OPS && ops[i] != op)
		i++;
	if (c->joins == NULL && op >= OP_JOIN && op <= OP_ACK)
		i = N_OPS;
	count_by(COUNT_PACKETS_IN, i);
}
