/* wire_entry: see wire.h; the entries of a comet's stream of pushes. Pure functions.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/kept.h"
#include "common/wire/message.h"
#include "common/wire/wire.h"
#include "common/wire/wire_json.h"

/* Of one entry: as many as limits.connections can be. All connections of one user may be here, and a logic of an older release names all
 * that it was asked for at once. */
#define KEYS_MAX 10000000

static const char *const targets[WIRE_TARGETS] = {
	[WIRE_KEYS] = "keys",   [WIRE_ROOM] = "room", [WIRE_ALL] = "all",     [WIRE_KICK] = "kick",
	[WIRE_CLEAR] = "clear", [WIRE_JOIN] = "join", [WIRE_LEAVE] = "leave",
};

static const char *const reasons[WIRE_REASONS] = {
	[WIRE_KICKED] = "kicked", [WIRE_REPLACED] = "replaced", [WIRE_PER_USER] = "per_user"};

/* A stand-in for a target, see wire_entry_had. */
static const char lost[] = "lost";

/* ---- writing ---- */

static void add(struct wire_entry *e, const char *name, const void *value, size_t bytes)
{
	e->fields[e->n++] = (struct wire_field){name, value, bytes};
}

static int keys_text(const struct wire_push *push, char **text, size_t *bytes)
{
	json_t *array = json_array();

	for (size_t i = 0; array != NULL && i < push->n_keys; i++) {
		json_t *key = json_string(push->keys[i]);

		if (key == NULL) {
			json_decref(array);
			return json_ran_out() ? -ENOMEM : -EINVAL;
		}
		if (json_array_append_new(array, key) < 0) {
			json_decref(array);
			return -ENOMEM;
		}
	}
	return wire_json_write(array, 0, text, bytes);
}

static int sessions_text(const struct wire_push *push, char **text, size_t *bytes)
{
	json_t *array = json_array();

	for (size_t i = 0; array != NULL && i < push->n_keys; i++)
		if (json_array_append_new(array, json_integer((json_int_t)push->sessions[i])) < 0) {
			json_decref(array);
			return -ENOMEM;
		}
	return wire_json_write(array, 0, text, bytes);
}

static int add_keys(const struct wire_push *push, struct wire_entry *e)
{
	size_t bytes;
	int rc = keys_text(push, &e->owned[0], &bytes);

	if (rc < 0)
		return rc;
	add(e, "keys", e->owned[0], bytes);
	if (push->sessions == NULL)
		return 0;
	if ((rc = sessions_text(push, &e->owned[1], &bytes)) < 0)
		return rc;
	add(e, "sessions", e->owned[1], bytes);
	return 0;
}

int wire_entry_encode(const struct wire_push *push, struct wire_entry *out)
{
	int rc = 0;

	json_watch();
	*out = (struct wire_entry){0};
	add(out, "target", targets[push->target], strlen(targets[push->target]));
	if (push->message != NULL && !push->message->notice) {
		int n = snprintf(out->op_text, sizeof(out->op_text), "%d", push->message->op);

		add(out, "op", out->op_text, (size_t)n);
		add(out, "body", message_body(push->message), push->message->body_bytes);
	}
	if (push->target == WIRE_ALL && push->speed > 0) {
		int n = snprintf(out->speed_text, sizeof(out->speed_text), "%u", push->speed);

		add(out, "speed", out->speed_text, (size_t)n);
	}
	if (push->room != NULL)
		add(out, "room", push->room, strlen(push->room));
	if (push->stream != NULL)
		add(out, "user", push->stream + 1, strlen(push->stream + 1));
	if (push->target == WIRE_KICK)
		add(out, "reason", reasons[push->reason], strlen(reasons[push->reason]));
	if (push->n_keys > 0)
		rc = add_keys(push, out);
	if (rc < 0)
		wire_entry_fini(out);
	return rc;
}

void wire_entry_had(uint64_t had, uint64_t epoch, struct wire_entry *out)
{
	*out = (struct wire_entry){0};
	add(out, "target", lost, sizeof(lost) - 1);
	(void)snprintf(out->had_text, sizeof(out->had_text), "%llu", (unsigned long long)had);
	add(out, "had", out->had_text, strlen(out->had_text));
	(void)snprintf(out->epoch_text, sizeof(out->epoch_text), "%llu", (unsigned long long)epoch);
	add(out, "epoch", out->epoch_text, strlen(out->epoch_text));
}

void wire_entry_fini(struct wire_entry *entry)
{
	free(entry->owned[0]);
	free(entry->owned[1]);
	*entry = (struct wire_entry){0};
}

/* ---- reading ---- */

/* Everything of an entry, before it is looked into. */
struct raw {
	const struct wire_field *target, *op, *body, *keys, *sessions, *room, *speed, *reason, *from, *seq, *number,
		*had, *base, *generation, *pos, *user;
};

static void sort_fields(const struct wire_field *fields, size_t n, struct raw *raw)
{
	const struct {
		const char *name;
		const struct wire_field **slot;
	} slots[] = {
		{"target", &raw->target},     {"op", &raw->op},
		{"body", &raw->body},         {"keys", &raw->keys},
		{"sessions", &raw->sessions}, {"room", &raw->room},
		{"speed", &raw->speed},       {"reason", &raw->reason},
		{"from", &raw->from},         {"seq", &raw->seq},
		{"n", &raw->number},          {"had", &raw->had},
		{"base", &raw->base},         {"generation", &raw->generation},
		{"pos", &raw->pos},           {"user", &raw->user},
	};

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sizeof(slots) / sizeof(slots[0]); k++)
			if (strcmp(fields[i].name, slots[k].name) == 0)
				*slots[k].slot = &fields[i];
}

/* A decimal number between 0 (or -max - 1, if it may be negative) and max; a field that is absent is 0. */
static bool number(const struct wire_field *field, bool negative, uint64_t max, int64_t *out)
{
	char text[24], *end;
	long long value;

	*out = 0;
	if (field == NULL)
		return true;
	if (field->value_bytes == 0 || field->value_bytes >= sizeof(text))
		return false;
	memcpy(text, field->value, field->value_bytes);
	text[field->value_bytes] = '\0';
	if (strspn(text, "-0123456789") != field->value_bytes)
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	*out = value;
	return value < 0 ? negative && (uint64_t) - (value + 1) <= max : (uint64_t)value <= max;
}

static bool is_word(const struct wire_field *field, const char *word)
{
	return field != NULL && strlen(word) == field->value_bytes &&
	       memcmp(word, field->value, field->value_bytes) == 0;
}

static bool target_of(const struct wire_field *field, enum wire_target *out)
{
	for (int i = 0; i < WIRE_TARGETS; i++)
		if (is_word(field, targets[i])) {
			*out = (enum wire_target)i;
			return true;
		}
	return false;
}

/* A copy with a zero byte at its end; empty or with zero bytes inside: -EBADMSG. */
static int text_of(const struct wire_field *field, size_t space, void **owned)
{
	char *copy;

	if (field == NULL || field->value_bytes == 0 || field->value_bytes >= space ||
	    memchr(field->value, '\0', field->value_bytes) != NULL)
		return -EBADMSG;
	if ((copy = malloc(field->value_bytes + 1)) == NULL)
		return -ENOMEM;
	memcpy(copy, field->value, field->value_bytes);
	copy[field->value_bytes] = '\0';
	*owned = copy;
	return 0;
}

/* The name of a user's stream. */
static int get_stream(const struct wire_field *user, struct wire_pushed *out)
{
	char *name;
	int rc = text_of(user, USER_ESCAPED_BYTES, &out->owned[3]);

	if (rc < 0)
		return rc;
	if ((name = realloc(out->owned[3], user->value_bytes + 2)) == NULL)
		return -ENOMEM;
	memmove(name + 1, name, user->value_bytes + 1);
	name[0] = KEPT_USER;
	out->push.stream = out->owned[3] = name;
	return 0;
}

/* 0, -EBADMSG or -ENOMEM, which are not the same: an entry that is none is left out, the other is read again. */
static int load_array(const struct wire_field *field, json_t **array)
{
	*array = field != NULL ? json_read(field->value, field->value_bytes, 0) : NULL;
	if (json_is_array(*array))
		return 0;
	json_decref(*array);
	*array = NULL;
	return field != NULL && json_ran_out() ? -ENOMEM : -EBADMSG;
}

static int get_keys(const struct wire_field *field, struct wire_pushed *out)
{
	const char **keys;
	json_t *array;
	size_t n;
	int rc;

	if ((rc = load_array(field, &array)) < 0)
		return rc;
	out->owned[0] = array;
	n = json_array_size(array);
	if (n == 0 || n > KEYS_MAX)
		return -EBADMSG;
	if ((keys = calloc(n, sizeof(*keys))) == NULL)
		return -ENOMEM;
	out->owned[1] = keys;
	for (size_t i = 0; i < n; i++) {
		const json_t *key = json_array_get(array, i);

		keys[i] = json_string_value(key);
		if (keys[i] == NULL || strlen(keys[i]) != json_string_length(key) ||
		    json_string_length(key) >= WIRE_KEY_BYTES)
			return -EBADMSG;
	}
	out->push.keys = keys;
	out->push.n_keys = n;
	return 0;
}

static int get_sessions(const struct wire_field *field, struct wire_pushed *out)
{
	uint64_t *sessions = calloc(out->push.n_keys, sizeof(*sessions));
	json_t *array = NULL;
	int rc = sessions == NULL ? -ENOMEM : load_array(field, &array);

	if (rc == 0 && json_array_size(array) != out->push.n_keys)
		rc = -EBADMSG;

	for (size_t i = 0; rc == 0 && i < out->push.n_keys; i++) {
		const json_t *id = json_array_get(array, i);

		if (!json_is_integer(id) || json_integer_value(id) < 0)
			rc = -EBADMSG;
		else
			sessions[i] = (uint64_t)json_integer_value(id);
	}
	json_decref(array);
	out->owned[2] = sessions;
	out->push.sessions = sessions;
	return rc;
}

static int get_message(const struct raw *raw, struct wire_pushed *out)
{
	int64_t op;

	if (raw->op == NULL || !number(raw->op, true, INT32_MAX, &op) ||
	    (raw->body != NULL && raw->body->value_bytes > INT32_MAX - 32))
		return -EBADMSG;
	return message_new((int32_t)op, raw->body != NULL ? raw->body->value : "",
			   raw->body != NULL ? (uint32_t)raw->body->value_bytes : 0, &out->push.message);
}

/* With words that we do not know, or none, it is a kick like any other. */
static enum wire_reason get_reason(const struct wire_field *field)
{
	enum wire_reason reason = WIRE_REASONS - 1;

	while (reason > WIRE_KICKED && !is_word(field, reasons[reason]))
		reason--;
	return reason;
}

static int get_room(const struct raw *raw, struct wire_pushed *out)
{
	int rc = text_of(raw->room, WIRE_ROOM_BYTES, &out->owned[3]);

	out->push.room = out->owned[3];
	return rc;
}

/* The fields that the target needs beside its message. */
static int get_target(const struct raw *raw, struct wire_pushed *out)
{
	struct wire_push *push = &out->push;
	int64_t speed;
	int rc;

	if (raw->user != NULL && (push->target == WIRE_KEYS || push->target == WIRE_CLEAR) &&
	    ((rc = get_stream(raw->user, out)) < 0 || push->target == WIRE_CLEAR))
		return rc;
	switch (push->target) {
	case WIRE_ROOM:
	case WIRE_CLEAR:
		return get_room(raw, out);
	case WIRE_JOIN:
	case WIRE_LEAVE:
		if ((rc = get_room(raw, out)) < 0)
			return rc;
		return get_keys(raw->keys, out);
	case WIRE_ALL:
		if (!number(raw->speed, false, UINT32_MAX, &speed))
			return -EBADMSG;
		push->speed = (uint32_t)speed;
		return 0;
	case WIRE_KICK:
		if (raw->reason != NULL && raw->reason->value_bytes == 0)
			return -EBADMSG;
		push->reason = get_reason(raw->reason);
		break;
	default:
		break;
	}
	rc = get_keys(raw->keys, out);
	return rc == 0 && raw->sessions != NULL ? get_sessions(raw->sessions, out) : rc;
}

int wire_pushed_decode(const struct wire_field *fields, size_t n, struct wire_pushed *out)
{
	struct raw raw = {0};
	int64_t seq, count, had, base, generation, pos;
	int rc;

	*out = (struct wire_pushed){.from = ""};
	sort_fields(fields, n, &raw);
	if (!number(raw.seq, false, INT64_MAX, &seq) || !number(raw.number, false, INT64_MAX, &count) ||
	    !number(raw.had, false, INT64_MAX, &had) || !number(raw.base, false, INT64_MAX, &base) ||
	    !number(raw.generation, false, INT64_MAX, &generation) ||
	    !number(raw.pos, false, MESSAGE_NUMBERS_END - 1, &pos))
		return -EBADMSG;
	out->seq = (uint64_t)seq;
	out->number = (uint64_t)count;
	if (raw.from != NULL && raw.seq != NULL) {
		out->from = raw.from->value;
		out->from_bytes = raw.from->value_bytes;
	}
	if (is_word(raw.target, lost)) {
		out->had = (uint64_t)had;
		out->base = (uint64_t)base;
		out->generation = (uint64_t)generation;
		return had > 0 ? 0 : -EBADMSG;
	}
	if (!target_of(raw.target, &out->push.target))
		return -EBADMSG;
	if ((rc = get_target(&raw, out)) < 0)
		return rc;
	if (out->push.target == WIRE_KICK || out->push.target == WIRE_LEAVE)
		return 0;
	rc = out->push.target == WIRE_CLEAR || out->push.target == WIRE_JOIN ? message_new_notice(&out->push.message)
									     : get_message(&raw, out);
	if (rc == 0)
		out->push.message->number = (uint64_t)pos;
	return rc;
}

void wire_pushed_fini(struct wire_pushed *pushed)
{
	json_decref(pushed->owned[0]);
	for (int i = 1; i < 4; i++)
		free(pushed->owned[i]);
	if (pushed->push.message != NULL)
		message_unref(&pushed->push.message);
	*pushed = (struct wire_pushed){0};
}
