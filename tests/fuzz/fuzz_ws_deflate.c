/* Fuzzes permessage-deflate: any bytes as a Sec-WebSocket-Extensions line, whole and cut in two lines, then as a deflated message.
 * Nothing is read or written beyond its end; what one agrees to can be kept; what comes out is no longer than allowed, and is the
 * same where there is more space. What can be inflated comes back when it is pushed. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/ws_answer.h"
#include "comet/transport/ws_deflate.h"
#include "comet/transport/ws_frame.h"
#include "common/base/obj.h"

#define MOST 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* In memory of exactly that size, so that the sanitizer sees a read beyond it. */
static uint8_t *exact(const uint8_t *data, size_t bytes)
{
	uint8_t *copy = malloc(bytes + (bytes == 0));

	BUG_UNLESS(copy != NULL);
	if (bytes > 0)
		memcpy(copy, data, bytes);
	return copy;
}

static void offer(struct ws_offer *o, const uint8_t *data, size_t bytes)
{
	uint8_t *line = exact(data, bytes);

	ws_offer_read(o, (char *)line, bytes);
	free(line);
}

static void negotiate(const uint8_t *data, size_t bytes)
{
	struct ws_offer one = {0}, two = {0}, first;
	char answer[WS_ANSWER_BYTES];
	size_t cut = bytes > 0 ? data[0] % bytes : 0;

	offer(&one, data, bytes);
	BUG_UNLESS(!one.taken || one.server_bits == 0 || (one.server_bits > 8 && one.server_bits <= 15));
	BUG_UNLESS(ws_answer_welcome(answer, "dGhlIHNhbXBsZSBub25jZQ==", &one) < sizeof(answer));
	offer(&two, data, cut);
	first = two;
	offer(&two, data + cut, bytes - cut);
	BUG_UNLESS(!first.taken || (two.taken && two.server_bits == first.server_bits));
}

static int inflate_to(const uint8_t *data, size_t bytes, uint32_t most, uint8_t **out, uint32_t *n)
{
	uint8_t *in = exact(data, bytes);
	int rc;

	*out = malloc(most + 1);
	BUG_UNLESS(*out != NULL);
	rc = ws_inflate(in, bytes, *out, most, n);
	free(in);
	BUG_UNLESS(rc == 0 || rc == WS_CODE_BAD_DATA || rc == WS_CODE_TOO_BIG);
	BUG_UNLESS(*n <= most + 1 && (rc == WS_CODE_TOO_BIG) == (*n == most + 1));
	return rc;
}

/* Version 1 has it with its header only before it. */
static void push(const uint8_t *body, uint32_t body_bytes)
{
	const struct message_form *form;
	struct message *m;
	uint8_t *out;
	uint32_t n;

	BUG_UNLESS(message_new(1000, body, body_bytes, &m) == 0);
	if ((form = ws_deflated(m, DIALECT_V1, SIZE_MAX)) != NULL) {
		BUG_UNLESS(form->bytes < PACKET_HEAD_BYTES + body_bytes);
		BUG_UNLESS(inflate_to(form->data, form->bytes, MOST + PACKET_HEAD_BYTES, &out, &n) == 0);
		BUG_UNLESS(n == PACKET_HEAD_BYTES + body_bytes &&
			   memcmp(out + PACKET_HEAD_BYTES, body, body_bytes) == 0);
		free(out);
	}
	for (enum dialect d = DIALECT_V1; d <= DIALECT_V1_JSON; d++)
		(void)ws_deflated(m, d, 512);
	message_unref(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t *out, *little;
	uint32_t n, less;

	negotiate(data, bytes);
	if (inflate_to(data, bytes, MOST, &out, &n) == 0) {
		BUG_UNLESS(inflate_to(data, bytes, n, &little, &less) == 0 && less == n && memcmp(out, little, n) == 0);
		free(little);
		if (n > 0) {
			BUG_UNLESS(inflate_to(data, bytes, n - 1, &little, &less) == WS_CODE_TOO_BIG);
			free(little);
		}
		push(out, n);
	}
	free(out);
	return 0;
}
