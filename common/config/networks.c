/* networks: see networks.h. The list is read anew each time: it is asked about once a connection, and mostly short.
 * SPDX-License-Identifier: MIT */
#include "common/config/networks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"

#define NETWORK_ENTRY_BYTES 64 /* longer than any */

struct network {
	int family;
	uint8_t bytes[16];
	unsigned bits;
};

/* How many bytes of it count, AF_INET: 4. */
static unsigned bytes_of(int family)
{
	return family == AF_INET ? 4 : 16;
}

static bool has_bits_behind(const struct network *n)
{
	for (unsigned bit = n->bits; bit < bytes_of(n->family) * 8; bit++)
		if (n->bytes[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

static const char *read_bits(const char *text, struct network *n)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long bits = strtoul(text, NULL, 10);

	if (digits == 0 || digits > 3 || text[digits] != '\0' || bits > bytes_of(n->family) * 8)
		return "has no length that such a network can have behind its /";
	n->bits = (unsigned)bits;
	return NULL;
}

static const char *read_network(const char *entry, struct network *n)
{
	char address[NETWORK_ENTRY_BYTES];
	size_t length = strcspn(entry, "/");
	const char *fault = NULL;

	if (length >= sizeof(address))
		return "is too long for a network";
	memcpy(address, entry, length);
	address[length] = '\0';
	n->family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	n->bits = bytes_of(n->family) * 8;
	if (inet_pton(n->family, address, n->bytes) != 1)
		return "is no network: write an address, or one with its length, such as 10.0.0.0/8";
	if (entry[length] == '/')
		fault = read_bits(entry + length + 1, n);
	if (fault == NULL && has_bits_behind(n))
		fault = "has bits behind its length: write the network's own address, or a longer length";
	return fault;
}

const char *networks_fault(const char *entry)
{
	struct network n;

	return read_network(entry, &n);
}

/* The bytes of an address; NULL: of another family. */
static const uint8_t *address_bytes(const struct sockaddr *address, int *family)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

	*family = address->sa_family;
	if (address->sa_family == AF_INET)
		return (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
	if (address->sa_family != AF_INET6)
		return NULL;
	if (!IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return v6->sin6_addr.s6_addr;
	*family = AF_INET;
	return &v6->sin6_addr.s6_addr[12];
}

static bool holds(const struct network *n, int family, const uint8_t *bytes)
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;

	return n->family == family && memcmp(n->bytes, bytes, whole) == 0 &&
	       (rest == 0 || ((n->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0);
}

bool networks_hold(const char *list, const struct sockaddr *address)
{
	int family;
	const uint8_t *bytes = address_bytes(address, &family);
	char entry[NETWORK_ENTRY_BYTES];
	struct network n;

	while (bytes != NULL && config_list_next(&list, entry, sizeof(entry)))
		if (read_network(entry, &n) == NULL && holds(&n, family, bytes))
			return true;
	return false;
}
