/* Fuzzes the JSON dialect: any bytes as a client's message and as a pushed body. What was taken must be written so that it
 * is taken again, and whatever is written must be JSON. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "comet/transport/v1_json.h"
#include "common/base/obj.h"
#include "common/base/utf8.h"

#define MAX_BODY 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void must_come_back(const struct packet *p)
{
	uint8_t *text = malloc(v1_json_max_bytes(p->body_bytes));
	size_t n = v1_json_put(text, p, false);
	struct packet again;

	BUG_UNLESS(n <= v1_json_max_bytes(p->body_bytes) && v1_json_is_value(text, n));
	BUG_UNLESS(v1_json_decode(text, n, MAX_BODY, &again) == 0);
	BUG_UNLESS(again.ver == p->ver && again.op == p->op && again.seq == p->seq);
	if (p->body_bytes > 0)
		BUG_UNLESS(again.body_bytes == p->body_bytes && memcmp(again.body, p->body, p->body_bytes) == 0);
	free(text);
}

static void must_become_json(const uint8_t *data, size_t bytes)
{
	struct packet p = {.body = (uint8_t *)(uintptr_t)data, .body_bytes = (uint32_t)bytes};
	uint8_t *text = malloc(v1_json_max_bytes(bytes));
	size_t n = v1_json_put(text, &p, bytes % 2 == 0);

	/* A body as deep as allowed is one level too deep once it stands in an element. */
	BUG_UNLESS(n <= v1_json_max_bytes(bytes) && (v1_json_is_value(text, n) || v1_json_is_value(data, bytes)));
	BUG_UNLESS(utf8_is_valid(text, n));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct packet p;

	if (v1_json_decode(data, bytes, MAX_BODY, &p) == 0) {
		BUG_UNLESS(p.body_bytes == 0 || (p.body >= data && p.body + p.body_bytes <= data + bytes &&
						 v1_json_is_value(p.body, p.body_bytes)));
		must_come_back(&p);
	}
	must_become_json(data, bytes);
	return 0;
}
