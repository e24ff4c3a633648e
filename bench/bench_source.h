/* bench_source: source addresses for more connections to one address than the port range has ports. On the loopback
 * network all of 127.0.0.0/8 is ours, so that each further lot of connections comes from the next address.
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_SOURCE_H
#define BENCH_BENCH_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct bench_source {
	bool spread;
	uint32_t block; /* 127.<block>.x.y */
	uint32_t lot;   /* connections from each address */
	uint64_t used;
};

/* How many connections one source address carries to one server: a third of net.ipv4.ip_local_port_range, beyond which
 * the kernel searches long for a free port. */
uint32_t bench_source_lot(void);
/* Is it an address of 127.0.0.0/8? */
bool bench_source_can_spread(const struct sockaddr *to);

/* For the load process of this number; spread only where bench_source_can_spread(). */
void bench_source_init(struct bench_source *s, bool spread, unsigned number);
/* Bind a socket that is not connected yet to the address whose turn it is. 0 or -errno. */
int bench_source_bind(struct bench_source *s, int fd);

#endif
