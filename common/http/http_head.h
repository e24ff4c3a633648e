/* http_head: the head of a request, read strictly (RFC 9112): its first line and the headers that matter here. Pure; it may stop at
 * any byte and go on, and looks at each byte once. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_HEAD_H
#define COMMON_HTTP_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/http/forwarded.h"

/* The longest first line, goim's bound for lists, and the longest headers behind it; with their line ends. */
#define HTTP_FIRST_LINE_BYTES 1048576
#define HTTP_HEADERS_BYTES    16384

enum http_fault {
	HTTP_FAULT_NONE,
#define fault(NAME, status, words) HTTP_FAULT_##NAME,
#include "common/http/http_fault.def"
#undef fault
	HTTP_FAULTS
};
int http_fault_status(enum http_fault fault);
const char *http_fault_words(enum http_fault fault);

enum http_seen {
	HTTP_SEEN_HTTP_1_1 = 1, /* the version on the first line */
	HTTP_SEEN_HOST = 2,
	HTTP_SEEN_LENGTH = 4,
	HTTP_SEEN_ENCODING = 8,  /* a Transfer-Encoding; the body comes in chunks */
	HTTP_SEEN_CLOSE = 16,    /* Connection: close, */
	HTTP_SEEN_KEEP = 32,     /* or keep-alive */
	HTTP_SEEN_CONTINUE = 64, /* it waits for 100 before it sends the body */
	HTTP_SEEN_COMPRESSED = 128,
	HTTP_SEEN_TELL = 256, /* Comet-Tell: 1 */
};

/* All zero at first. Places are those in the text, where a zero byte ends each; 0: it was not sent. */
struct http_head {
	uint32_t line;           /* where the line begins that is being read */
	uint32_t scanned;        /* there is no line end before */
	uint32_t headers;        /* where the first header begins */
	uint32_t bytes;          /* of the head, once it is whole */
	uint32_t method, target; /* the target is a path with its query, or "*" */
	uint32_t host;           /* of the target, where that has one */
	uint32_t api_key, authorization, accept, origin, site, content_type, idempotency_key;
	uint32_t seen;
	uint64_t length; /* of the body, as Content-Length says */
};

/* Look at text[0..n): all bytes that have come, those that were looked at before included. Writes zero bytes behind what it has
 * found, and may move a target's host within the first line.
 *   -EAGAIN          more is to come
 *   HTTP_FAULT_NONE  the head is whole, h->bytes long
 *   other            an enum http_fault: to be answered, then the end */
int http_head_read(struct http_head *h, char *text, size_t n);

/* Tell f what the head, which is whole, says of the client that a proxy brings. */
void http_head_forwarded(const struct http_head *h, const char *text, struct forwarded *f);

/* Does the connection stay for a next request? */
bool http_head_keeps(const struct http_head *h);

#endif
