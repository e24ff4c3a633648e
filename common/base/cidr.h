/* cidr: a network as people write it: 10.0.0.0/8, 2001:db8::/32, or one address. Pure; any thread.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_CIDR_H
#define COMMON_BASE_CIDR_H

#include <stdbool.h>
#include <stdint.h>

#define CIDR_BYTES 64 /* longer than any text of one */

struct cidr {
	int family; /* AF_INET or AF_INET6 */
	uint8_t bytes[16];
	unsigned bits; /* so many of the first count */
};

/* NULL: a network can be written so, and *out is it. Otherwise its fault, in words that go on after it. */
const char *cidr_read(const char *text, struct cidr *out);

/* Does it hold this address, which is of this family and as the network's bytes are? */
bool cidr_holds(const struct cidr *c, int family, const uint8_t *bytes);

/* The network of so many bits, at most its own, that it is in. */
void cidr_cut(struct cidr *c, unsigned bits);

/* An IPv4 address mapped into IPv6 becomes the IPv4 address; so does a network of such addresses. */
void cidr_unmap(struct cidr *c);

/* The one text of this network, always with its length. */
void cidr_text(const struct cidr *c, char text[CIDR_BYTES]);

/* How many bits an address of its family has. */
unsigned cidr_bits(const struct cidr *c);

#endif
