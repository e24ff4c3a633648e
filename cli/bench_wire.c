/* bench_wire: see bench_wire.h. Pure. SPDX-License-Identifier: MIT */
#include "cli/bench_wire.h"

#include <string.h>

#include "common/obj.h"

static size_t tcp_wrap(uint8_t *out, int32_t op, int32_t seq, const void *body, uint32_t body_bytes)
{
	BUG_UNLESS(PACKET_HEAD_BYTES + (size_t)body_bytes <= BENCH_WIRE_WRAP_BYTES);
	packet_encode(out, 1, op, seq, body_bytes);
	if (body_bytes > 0)
		memcpy(out + PACKET_HEAD_BYTES, body, body_bytes);
	return PACKET_HEAD_BYTES + (size_t)body_bytes;
}

static ssize_t tcp_feed(uint8_t *bytes, size_t n, bench_wire_take *take, void *arg)
{
	size_t done = 0;

	while (n - done >= PACKET_HEAD_BYTES) {
		struct packet p;
		int rc = packet_decode(bytes + done, BENCH_WIRE_BODY_MAX, &p);

		if (rc < 0)
			return rc;
		if (n - done < PACKET_HEAD_BYTES + (size_t)p.body_bytes)
			break;
		p.body = bytes + done + PACKET_HEAD_BYTES;
		if ((rc = take(arg, &p)) < 0)
			return rc;
		done += PACKET_HEAD_BYTES + (size_t)p.body_bytes;
	}
	return (ssize_t)done;
}

static const struct bench_wire wires[] = {
	{"tcp", NULL, NULL, tcp_wrap, tcp_feed},
};

const struct bench_wire *bench_wire_find(const char *name)
{
	for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++)
		if (strcmp(name, wires[i].name) == 0)
			return &wires[i];
	return NULL;
}
