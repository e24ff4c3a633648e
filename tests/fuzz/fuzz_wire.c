/* Fuzzes what passes between comet and logic: any bytes as a request, as a reply, as a question who is there and its answer, and as the fields of an entry. What is taken
 * for one must encode to something that is taken for the same. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/obj.h"
#include "common/wire/who.h"
#include "common/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void try_request(const char *text, size_t bytes)
{
	struct wire_request request, again;
	char *encoded;
	size_t n;

	if (wire_request_decode(text, bytes, &request) == 0) {
		BUG_UNLESS(wire_request_encode(&request, &encoded, &n) == 0);
		BUG_UNLESS(wire_request_decode(encoded, n, &again) == 0);
		BUG_UNLESS(again.method == request.method && strcmp(again.seat.key, request.seat.key) == 0);
		BUG_UNLESS(again.connect.token_bytes == request.connect.token_bytes);
		BUG_UNLESS(again.packet.body_bytes == request.packet.body_bytes && again.n_rooms == request.n_rooms);
		wire_request_fini(&again);
		free(encoded);
	}
	wire_request_fini(&request);
}

static void try_reply(const char *text, size_t bytes)
{
	struct wire_reply reply, again;
	char *encoded;
	size_t n;

	if (wire_reply_decode(text, bytes, &reply) == 0) {
		BUG_UNLESS(wire_reply_encode(&reply, &encoded, &n) == 0);
		BUG_UNLESS(wire_reply_decode(encoded, n, &again) == 0);
		BUG_UNLESS(again.rc == reply.rc && strcmp(again.session.key, reply.session.key) == 0);
		wire_reply_fini(&again);
		free(encoded);
	}
	wire_reply_fini(&reply);
}

static void try_question(const char *text, size_t bytes)
{
	struct who_question question, again;
	char *encoded;
	size_t n;

	if (who_question_decode(text, bytes, &question) == 0) {
		BUG_UNLESS(question.query.limit > 0 && question.query.limit <= WHO_LIMIT_MAX);
		BUG_UNLESS(who_question_encode(&question, &encoded, &n) == 0);
		BUG_UNLESS(who_question_decode(encoded, n, &again) == 0);
		BUG_UNLESS(again.query.n_keys == question.query.n_keys && again.query.queued == question.query.queued);
		BUG_UNLESS(strcmp(again.query.after, question.query.after) == 0);
		who_question_fini(&again);
		free(encoded);
	}
	who_question_fini(&question);
}

static void try_answer(const char *text, size_t bytes)
{
	struct who_page page = {0};
	struct who_answer answer;

	if (who_answer_decode(text, bytes, &answer) == 0) {
		BUG_UNLESS(who_page_add(&page, &answer.page) == 0);
		BUG_UNLESS(who_page_sort(&page, 2) == 0 && json_array_size(page.connections) <= 2);
		json_decref(page.connections);
	}
	who_answer_fini(&answer);
}

static bool is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* What is written for a push is read as the same push. */
static void must_come_back(const struct wire_push *push, const struct wire_entry *entry)
{
	struct wire_pushed again;

	BUG_UNLESS(wire_pushed_decode(entry->fields, entry->n, &again) == 0);
	BUG_UNLESS(again.push.target == push->target && again.push.n_keys == push->n_keys);
	BUG_UNLESS(again.push.speed == push->speed && is_same(again.push.room, push->room));
	for (size_t i = 0; i < push->n_keys; i++)
		BUG_UNLESS(strcmp(again.push.keys[i], push->keys[i]) == 0);
	BUG_UNLESS((again.push.message == NULL) == (push->message == NULL));
	if (push->message != NULL) {
		BUG_UNLESS(again.push.message->op == push->message->op);
		BUG_UNLESS(again.push.message->body_bytes == push->message->body_bytes);
		BUG_UNLESS(memcmp(message_body(again.push.message), message_body(push->message),
				  push->message->body_bytes) == 0);
	}
	wire_pushed_fini(&again);
}

/* Names and values, each ended by a zero byte, in turn. */
static void try_entry(const char *text, size_t bytes)
{
	struct wire_field fields[12];
	struct wire_pushed pushed;
	struct wire_entry entry;
	size_t n = 0, at = 0;

	while (at < bytes && n < 12) {
		const char *name = text + at, *value;

		at += strlen(name) + 1;
		value = text + (at < bytes ? at : bytes);
		fields[n++] = (struct wire_field){name, value, strlen(value)};
		at += strlen(value) + 1;
	}
	if (wire_pushed_decode(fields, n, &pushed) == 0) {
		BUG_UNLESS(wire_entry_encode(&pushed.push, &entry) == 0);
		must_come_back(&pushed.push, &entry);
		wire_entry_fini(&entry);
	}
	wire_pushed_fini(&pushed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	/* Of its exact size, so that a read beyond it is seen; the zero byte is for try_entry. */
	char *text = malloc(bytes), *ended = malloc(bytes + 1);

	BUG_UNLESS((text != NULL || bytes == 0) && ended != NULL);
	if (bytes > 0)
		memcpy(text, data, bytes);
	memcpy(ended, data, bytes);
	ended[bytes] = '\0';
	try_request(text, bytes);
	try_reply(text, bytes);
	try_question(text, bytes);
	try_answer(text, bytes);
	try_entry(ended, bytes);
	free(text);
	free(ended);
	return 0;
}
