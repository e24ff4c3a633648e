/* proxy: see proxy.h. The format is haproxy's doc/proxy-protocol.txt. SPDX-License-Identifier: MIT */
#include "comet/door/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V1_BYTES 107 /* the longest line with its CR LF */

static const uint8_t v2_signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static void set_v4(struct sockaddr_storage *client, const void *address, uint16_t port_be)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)client;

	v4->sin_family = AF_INET;
	v4->sin_port = port_be;
	memcpy(&v4->sin_addr, address, sizeof(v4->sin_addr));
}

static void set_v6(struct sockaddr_storage *client, const void *address, uint16_t port_be)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)client;

	v6->sin6_family = AF_INET6;
	v6->sin6_port = port_be;
	memcpy(&v6->sin6_addr, address, sizeof(v6->sin6_addr));
}

/* ---- version 1 ---- */

static bool read_port(const char *text, uint16_t *port_be)
{
	size_t n = strspn(text, "0123456789");
	long port = strtol(text, NULL, 10);

	if (n == 0 || n > 5 || text[n] != '\0' || port > 65535)
		return false;
	*port_be = htons((uint16_t)port);
	return true;
}

/* The next word of a line whose words stand one space apart; NULL: there is none. */
static char *next_word(char **rest)
{
	char *word = strsep(rest, " ");

	return word != NULL && word[0] != '\0' ? word : NULL;
}

static int parse_line(char *line, struct sockaddr_storage *client)
{
	uint8_t address[16], other[16];
	uint16_t port, other_port;
	char *words[6], *rest = line;
	int family;

	for (unsigned i = 0; i < 6; i++) {
		words[i] = next_word(&rest);
		/* The bytes after UNKNOWN are to be ignored. */
		if (i == 1 && words[1] != NULL && strcmp(words[1], "UNKNOWN") == 0)
			return 0;
		if (words[i] == NULL)
			return -EBADMSG;
	}
	family = strcmp(words[1], "TCP4") == 0 ? AF_INET : AF_INET6;
	if ((family == AF_INET6 && strcmp(words[1], "TCP6") != 0) || rest != NULL ||
	    inet_pton(family, words[2], address) != 1 || inet_pton(family, words[3], other) != 1 ||
	    !read_port(words[4], &port) || !read_port(words[5], &other_port))
		return -EBADMSG;
	if (family == AF_INET)
		set_v4(client, address, port);
	else
		set_v6(client, address, port);
	return 0;
}

static int parse_v1(const uint8_t *bytes, size_t n, struct sockaddr_storage *client, size_t *header_bytes)
{
	static const char start[] = "PROXY ";
	size_t seen = n < V1_BYTES ? n : V1_BYTES;
	const uint8_t *end = memchr(bytes, '\n', seen);
	char line[V1_BYTES + 1];
	size_t length;

	if (memcmp(bytes, start, n < 6 ? n : 6) != 0)
		return -EBADMSG;
	if (end == NULL)
		return n < V1_BYTES ? -EAGAIN : -EBADMSG;
	length = (size_t)(end - bytes);
	if (length < 6 || bytes[length - 1] != '\r' || memchr(bytes, '\0', length) != NULL)
		return -EBADMSG;
	memcpy(line, bytes, length - 1);
	line[length - 1] = '\0';
	*header_bytes = length + 1;
	return parse_line(line, client);
}

/* ---- version 2 ---- */

/* Signature, version and command, family and protocol, length: 16 bytes; then the addresses, then what we do not need. */
static int parse_v2(const uint8_t *bytes, size_t n, struct sockaddr_storage *client, size_t *header_bytes)
{
	enum { HEAD = 16, V4 = 12, V6 = 36 };
	const uint8_t *addresses = bytes + HEAD;
	uint16_t port;
	size_t length;

	if (n < HEAD)
		return -EAGAIN;
	length = (size_t)bytes[14] << 8 | bytes[15];
	if (bytes[12] >> 4 != 2 || (bytes[12] & 15) > 1 || length > PROXY_HEADER_BYTES - HEAD)
		return -EBADMSG;
	/* A header that says less than its family needs is wrong, and need not be waited for. */
	if ((bytes[12] & 15) == 1 && ((bytes[13] == 0x11 && length < V4) || (bytes[13] == 0x21 && length < V6)))
		return -EBADMSG;
	if (n < HEAD + length)
		return -EAGAIN;
	*header_bytes = HEAD + length;
	if ((bytes[12] & 15) == 0)
		return 0; /* LOCAL: the balancer itself */
	if (bytes[13] == 0x11) {
		memcpy(&port, addresses + 8, sizeof(port));
		set_v4(client, addresses, port);
	} else if (bytes[13] == 0x21) {
		memcpy(&port, addresses + 32, sizeof(port));
		set_v6(client, addresses, port);
	}
	return 0; /* other families have no address that we could use */
}

int proxy_parse(const uint8_t *bytes, size_t n, struct sockaddr_storage *client, size_t *header_bytes)
{
	memset(client, 0, sizeof(*client));
	client->ss_family = AF_UNSPEC;
	*header_bytes = 0;
	if (n == 0)
		return -EAGAIN;
	if (memcmp(bytes, v2_signature, n < sizeof(v2_signature) ? n : sizeof(v2_signature)) == 0)
		return parse_v2(bytes, n, client, header_bytes);
	return parse_v1(bytes, n, client, header_bytes);
}
