/* Fuzzes the request that opens a WebSocket: any bytes in a row, all at once and byte by byte. Both come to the same, and what
 * the request says of itself lies within it. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/ws_answer.h"
#include "comet/transport/ws_request.h"
#include "common/base/obj.h"
#include "common/config/origins.h"

static const struct origins listed = {.list = "https://*.a.test, null"}, here = {.list = "", .loopback_only = true};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* From a copy of exactly that size, so that the sanitizer sees a read beyond it. */
static int look(struct ws_request *r, const uint8_t *data, size_t bytes)
{
	char *exact = malloc(bytes + (bytes == 0));
	int rc;

	if (bytes > 0)
		memcpy(exact, data, bytes);
	rc = ws_request_read(r, exact, bytes);
	if (rc == WS_FAULT_NONE) {
		char answer[WS_ANSWER_BYTES];

		BUG_UNLESS(r->bytes <= bytes && r->bytes <= WS_REQUEST_BYTES);
		BUG_UNLESS(r->key + WS_KEY_BYTES <= r->bytes && r->origin + r->origin_bytes <= r->bytes);
		BUG_UNLESS(memcmp(exact + r->bytes - 4, "\r\n\r\n", 4) == 0);
		BUG_UNLESS(ws_answer_welcome(answer, exact + r->key, &r->offer) < sizeof(answer));
		BUG_UNLESS(r->host + r->host_bytes <= r->bytes);
		(void)origins_let_in(&listed, exact + r->origin, r->origin_bytes, exact + r->host, r->host_bytes);
		(void)origins_let_in(&here, exact + r->origin, r->origin_bytes, exact + r->host, r->host_bytes);
	}
	free(exact);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct ws_request whole = {0}, slow = {0};
	int rc = look(&whole, data, bytes), slow_rc = -EAGAIN;
	size_t step = bytes > 2000 ? 97 : 1;

	BUG_UNLESS(rc == -EAGAIN || (rc >= WS_FAULT_NONE && rc < WS_FAULTS));
	for (size_t n = 0; n < bytes && slow_rc == -EAGAIN;) {
		n = n + step < bytes ? n + step : bytes;
		slow_rc = look(&slow, data, n);
	}
	BUG_UNLESS(rc == slow_rc);
	BUG_UNLESS(rc != -EAGAIN || bytes < WS_REQUEST_BYTES);
	BUG_UNLESS(rc != WS_FAULT_NONE || whole.bytes == slow.bytes);
	return 0;
}
