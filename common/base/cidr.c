/* cidr: see cidr.h. SPDX-License-Identifier: MIT */
#include "common/base/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned cidr_bits(const struct cidr *c)
{
	return c->family == AF_INET ? 32 : 128;
}

static bool has_bits_behind(const struct cidr *c)
{
	for (unsigned bit = c->bits; bit < cidr_bits(c); bit++)
		if (c->bytes[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

static const char *read_bits(const char *text, struct cidr *c)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long bits = strtoul(text, NULL, 10);

	if (digits == 0 || digits > 3 || text[digits] != '\0' || bits > cidr_bits(c))
		return "has no length that such a network can have behind its /";
	c->bits = (unsigned)bits;
	return NULL;
}

const char *cidr_read(const char *text, struct cidr *out)
{
	char address[CIDR_BYTES];
	size_t length = strcspn(text, "/");
	const char *fault = NULL;

	*out = (struct cidr){0};
	if (length >= sizeof(address))
		return "is too long for a network";
	memcpy(address, text, length);
	address[length] = '\0';
	out->family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
	out->bits = cidr_bits(out);
	if (inet_pton(out->family, address, out->bytes) != 1)
		return "is no network: write an address, or one with its length, such as 10.0.0.0/8";
	if (text[length] == '/')
		fault = read_bits(text + length + 1, out);
	if (fault == NULL && has_bits_behind(out))
		fault = "has bits behind its length: write the network's own address, or a longer length";
	return fault;
}

bool cidr_holds(const struct cidr *c, int family, const uint8_t *bytes)
{
	unsigned whole = c->bits / 8, rest = c->bits % 8;

	return c->family == family && memcmp(c->bytes, bytes, whole) == 0 &&
	       (rest == 0 || ((c->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0);
}

void cidr_cut(struct cidr *c, unsigned bits)
{
	for (unsigned bit = bits; bit < c->bits; bit++)
		c->bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	c->bits = bits;
}

void cidr_unmap(struct cidr *c)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (c->family != AF_INET6 || c->bits < 96 || memcmp(c->bytes, mapped, sizeof(mapped)) != 0)
		return;
	c->family = AF_INET;
	c->bits -= 96;
	memmove(c->bytes, c->bytes + 12, 4);
	memset(c->bytes + 4, 0, 12);
}

void cidr_text(const struct cidr *c, char text[CIDR_BYTES])
{
	char address[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(c->family, c->bytes, address,
			sizeof(address)); /* such a family, and enough space: it cannot fail */
	(void)snprintf(text, CIDR_BYTES, "%s/%u", address, c->bits);
}
