/* bench_source: see bench_source.h. SPDX-License-Identifier: MIT */
#include "bench/bench_source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#define ADDRESSES 65000 /* in a block; then they are taken again from the first */

uint32_t bench_source_lot(void)
{
	unsigned first = 32768, last = 60999; /* the kernel's default */
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (file != NULL) {
		if (fscanf(file, "%u %u", &first, &last) != 2 || last < first)
			first = last = 0;
		fclose(file);
	}
	return (last - first) / 3 + 1;
}

bool bench_source_can_spread(const struct sockaddr *to)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)to;

	return to->sa_family == AF_INET && ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

void bench_source_init(struct bench_source *s, bool spread, unsigned number)
{
	*s = (struct bench_source){.spread = spread, .block = 1 + number, .lot = bench_source_lot()};
}

int bench_source_bind(struct bench_source *s, int fd)
{
	uint32_t host = (uint32_t)(s->used++ / s->lot % ADDRESSES) + 1;
	struct sockaddr_in from = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl((uint32_t)IN_LOOPBACKNET << 24 | s->block << 16 | host)};
	int on = 1;

	if (!s->spread)
		return 0;
	/* The port is chosen at connect(), when the whole quadruple is known: each address then has the whole range. */
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		return -errno;
	return 0;
}
