/* ws_request: the request that opens a WebSocket, read strictly: GET, /sub, HTTP/1.1, and the headers of RFC 6455. Pure; it may
 * stop at any byte and go on, and looks at each byte once. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_REQUEST_H
#define COMET_TRANSPORT_WS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comet/transport/ws_offer.h"
#include "common/http/forwarded.h"
#include "common/wire/upgrade.h"

/* The longest that is read, with its last line end. */
#define WS_REQUEST_BYTES 16384

#define WS_KEY_BYTES 24

/* Why a request is answered with a status and not with a WebSocket. */
enum ws_fault {
	WS_FAULT_NONE,
#define fault(NAME, status, phrase, words) WS_FAULT_##NAME,
#include "comet/transport/ws_fault.def"
#undef fault
	WS_FAULTS
};

/* All zero at first. Places are those in the text. */
struct ws_request {
	uint16_t line;    /* where the line begins that is being read */
	uint16_t scanned; /* there is no line end before */
	uint16_t bytes;   /* of the request, once it is whole */
	uint16_t key;
	uint16_t host, host_bytes;
	uint16_t origin, origin_bytes; /* 0: none was sent */
	uint16_t seen;                 /* what the lines so far have said */
	struct ws_offer offer;
	uint8_t fault;
};

/* Look at text[0..n): all bytes that have come, those that were looked at before included.
 *   -EAGAIN         more is to come
 *   WS_FAULT_NONE   an upgrade to a WebSocket, r->bytes long
 *   other           a fault: to be answered, then the end */
int ws_request_read(struct ws_request *r, const char *text, size_t n);

/* Tell f what the request, which is whole, says of the client that a proxy brings. */
void ws_request_forwarded(const struct ws_request *r, const char *text, struct forwarded *f);

/* What the request, which is whole, has for a back end: its query, and those headers that `names` lists, with commas, by the names of
 * the list. WS_FAULT_NONE, and *out owns it; WS_FAULT_UPGRADE_TOO_LONG; -ENOMEM. */
int ws_request_gather(const struct ws_request *r, const char *text, const char *names, struct upgrade *out);

/* Did it ask for no upgrade at all? So do balancers and people who look whether somebody is there. */
bool ws_request_is_probe(const struct ws_request *r);

/* Is the answer to have no body? */
bool ws_request_is_head(const struct ws_request *r);

#endif
