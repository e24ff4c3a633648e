/* ws_offer: permessage-deflate as a client offers it in Sec-WebSocket-Extensions (RFC 7692, section 7.1). Pure.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_OFFER_H
#define COMET_TRANSPORT_WS_OFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The offer that is taken; all zero at first. Of those that bound the client's own window nothing is kept: a message is inflated
 * whole, so any window will do. */
struct ws_offer {
	bool taken;
	uint8_t server_bits; /* the client inflates with a window of 2^server_bits; 0: it does not say, 15 that is */
};

/* In bytes. */
static inline size_t ws_offer_window(const struct ws_offer *o)
{
	return (size_t)1 << (o->server_bits > 0 ? o->server_bits : 15);
}

/* The value of one such header line: take the first offer of it that can be taken, unless one was taken before. Declined is what
 * has another name, a parameter that is unknown, comes twice, or has a value that it may not have, and a window of 8 bits,
 * which zlib cannot write. Of a line that breaks off the list's grammar nothing more is taken from there on. */
void ws_offer_read(struct ws_offer *o, const char *list, size_t n);

#endif
