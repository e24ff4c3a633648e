/* forwarded: see forwarded.h. SPDX-License-Identifier: MIT */
#include "common/http/forwarded.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "common/base/address.h"
#include "common/config/networks.h"
#include "common/http/http_text.h"

#define NODE_BYTES 64 /* [v6]:port is shorter */

const char *forwarded_name(enum forwarded_header header)
{
	return header == FORWARDED_X_FOR ? "X-Forwarded-For" : "Forwarded";
}

struct forwarded forwarded_start(enum forwarded_header header, const char *trusted)
{
	return (struct forwarded){.header = header, .trusted = trusted};
}

/* 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80. AF_UNSPEC: none of these, such as "unknown" or "_name". */
static struct sockaddr_storage address_of(const char *node)
{
	struct sockaddr_storage out = {.ss_family = AF_UNSPEC};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out;
	struct address a;

	if (address_parse(node, &a) < 0)
		return out;
	if (inet_pton(AF_INET, a.host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)(a.number > 0 ? a.number : 0));
	} else if (inet_pton(AF_INET6, a.host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)(a.number > 0 ? a.number : 0));
	}
	return out;
}

/* One hop, as it was written, without quotes. */
static void take_node(struct forwarded *f, const char *text, size_t n)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	char node[NODE_BYTES];

	if (n < sizeof(node)) {
		memcpy(node, text, n);
		node[n] = '\0';
		address = address_of(node);
	}
	/* Whoever wrote it knew no better: of those before it nothing is certain. */
	if (address.ss_family == AF_UNSPEC)
		f->client = f->first = address;
	else if (!networks_hold(f->trusted, (struct sockaddr *)&address))
		f->client = address;
	else if (f->first.ss_family == AF_UNSPEC)
		f->first = address;
}

/* The piece before the first such byte, without spaces around it; it is taken off *rest. Quotes protect no comma here: no address
 * has one in it, and a stranger's quote that nobody closes must not hide the address that a proxy has written behind it. */
static const char *next_piece(const char **rest, const char *end, char byte, size_t *piece_bytes)
{
	const char *from = *rest, *to = memchr(from, byte, (size_t)(end - from));

	if (to == NULL)
		to = end;
	*rest = to + (to < end);
	*piece_bytes = (size_t)(to - from);
	http_trim(&from, piece_bytes);
	return from;
}

/* for=192.0.2.1;proto=https, for="[2001:db8::1]:80". An element without for= is a hop that nothing is known of. */
static void take_element(struct forwarded *f, const char *element, size_t n)
{
	const char *end = element + n;

	while (element < end) {
		size_t bytes;
		const char *pair = next_piece(&element, end, ';', &bytes);

		if (bytes < 4 || strncasecmp(pair, "for=", 4) != 0)
			continue;
		pair += 4;
		bytes -= 4;
		if (bytes >= 2 && pair[0] == '"' && pair[bytes - 1] == '"') {
			pair++;
			bytes -= 2;
		}
		take_node(f, pair, bytes);
		return;
	}
	take_node(f, "", 0);
}

void forwarded_take(struct forwarded *f, const char *value, size_t value_bytes)
{
	const char *end = value + value_bytes;

	while (value < end) {
		size_t n;
		const char *element = next_piece(&value, end, ',', &n);

		if (n == 0)
			continue; /* an empty one is none: RFC 9110, section 5.6.1 */
		if (f->header == FORWARDED_X_FOR)
			take_node(f, element, n);
		else
			take_element(f, element, n);
	}
}

const struct sockaddr *forwarded_client(const struct forwarded *f)
{
	if (f->client.ss_family != AF_UNSPEC)
		return (const struct sockaddr *)&f->client;
	return f->first.ss_family != AF_UNSPEC ? (const struct sockaddr *)&f->first : NULL;
}
