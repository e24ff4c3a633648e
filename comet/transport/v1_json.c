/* v1_json: see v1_json.h. A scanner over the text and no tree: bodies are passed on as they came.
 * SPDX-License-Identifier: MIT */
#include "comet/transport/v1_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/utf8.h"

#define DEPTH_MAX 32

struct scan {
	const uint8_t *at;
	const uint8_t *end;
};

/* ---- scanning: each skips what it is named after, or says false ---- */

static bool skip_value(struct scan *s, unsigned depth);

static void skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

static bool skip_byte(struct scan *s, char byte)
{
	if (s->at == s->end || *s->at != (uint8_t)byte)
		return false;
	s->at++;
	return true;
}

static bool skip_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return false;
	s->at += n;
	return true;
}

static bool skip_digits(struct scan *s)
{
	const uint8_t *start = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > start;
}

static bool skip_number(struct scan *s)
{
	(void)skip_byte(s, '-');
	if (!skip_byte(s, '0') && !skip_digits(s))
		return false;
	if (skip_byte(s, '.') && !skip_digits(s))
		return false;
	if (skip_byte(s, 'e') || skip_byte(s, 'E')) {
		if (!skip_byte(s, '+'))
			(void)skip_byte(s, '-');
		return skip_digits(s);
	}
	return true;
}

static bool skip_escape(struct scan *s)
{
	if (s->at == s->end)
		return false;
	if (*s->at != 'u')
		return strchr("\"\\/bfnrt", *s->at) != NULL && *s->at++ != '\0';
	s->at++;
	for (unsigned i = 0; i < 4; i++, s->at++)
		if (s->at == s->end || !strchr("0123456789abcdefABCDEF", *s->at) || *s->at == '\0')
			return false;
	return true;
}

static bool skip_string(struct scan *s)
{
	if (!skip_byte(s, '"'))
		return false;
	while (s->at < s->end && *s->at != '"') {
		if (*s->at == '\\') {
			s->at++;
			if (!skip_escape(s))
				return false;
			continue;
		}
		unsigned bad, n = *s->at < 0x20 ? 0 : utf8_bytes(s->at, s->end, &bad);
		if (n == 0)
			return false;
		s->at += n;
	}
	return skip_byte(s, '"');
}

static bool skip_array(struct scan *s, unsigned depth)
{
	s->at++; /* [ */
	skip_space(s);
	if (skip_byte(s, ']'))
		return true;
	do {
		skip_space(s);
		if (!skip_value(s, depth))
			return false;
		skip_space(s);
	} while (skip_byte(s, ','));
	return skip_byte(s, ']');
}

/* "name" : */
static bool skip_name(struct scan *s)
{
	skip_space(s);
	if (!skip_string(s))
		return false;
	skip_space(s);
	if (!skip_byte(s, ':'))
		return false;
	skip_space(s);
	return true;
}

static bool skip_object(struct scan *s, unsigned depth)
{
	s->at++; /* { */
	skip_space(s);
	if (skip_byte(s, '}'))
		return true;
	do {
		if (!skip_name(s) || !skip_value(s, depth))
			return false;
		skip_space(s);
	} while (skip_byte(s, ','));
	return skip_byte(s, '}');
}

static bool skip_value(struct scan *s, unsigned depth)
{
	if (s->at == s->end || depth == DEPTH_MAX)
		return false;
	switch (*s->at) {
	case '{':
		return skip_object(s, depth + 1);
	case '[':
		return skip_array(s, depth + 1);
	case '"':
		return skip_string(s);
	case 't':
		return skip_word(s, "true");
	case 'f':
		return skip_word(s, "false");
	case 'n':
		return skip_word(s, "null");
	default:
		return skip_number(s);
	}
}

bool v1_json_is_value(const uint8_t *text, size_t text_bytes)
{
	struct scan s;

	if (text_bytes == 0)
		return false; /* text may be NULL then */
	s = (struct scan){text, text + text_bytes};
	skip_space(&s);
	if (!skip_value(&s, 0))
		return false;
	skip_space(&s);
	return s.at == s.end;
}

/* ---- reading ---- */

/* A JSON integer; false for fractions, exponents and numbers that do not fit. */
static bool integer(const uint8_t *text, const uint8_t *end, int64_t min, int64_t max, int64_t *value)
{
	bool negative = text < end && *text == '-';
	int64_t n = 0;

	text += negative;
	if (text == end)
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9' || n > INT32_MAX)
			return false;
		n = n * 10 + (*text - '0');
	}
	*value = negative ? -n : n;
	return *value >= min && *value <= max;
}

static bool is_named(const uint8_t *name, size_t name_bytes, const char *wanted)
{
	return name_bytes == strlen(wanted) + 2 && memcmp(name + 1, wanted, name_bytes - 2) == 0;
}

/* null leaves it 0, as goim's decoder does. */
static bool number(const uint8_t *text, const uint8_t *end, int64_t min, int64_t max, int64_t *value)
{
	*value = 0;
	return *text == 'n' || integer(text, end, min, max, value);
}

/* One member; `name` with its quotes, its value in [value, end). */
static bool take_member(const uint8_t *name, size_t name_bytes, const uint8_t *value, const uint8_t *end,
			struct packet *p, bool *has_op)
{
	int64_t n;

	if (is_named(name, name_bytes, "ver")) {
		if (!number(value, end, INT16_MIN, INT16_MAX, &n))
			return false;
		p->ver = (int16_t)n;
	} else if (is_named(name, name_bytes, "op")) {
		if (!integer(value, end, INT32_MIN, INT32_MAX, &n))
			return false;
		p->op = (int32_t)n;
		*has_op = true;
	} else if (is_named(name, name_bytes, "seq")) {
		if (!number(value, end, INT32_MIN, INT32_MAX, &n))
			return false;
		p->seq = (int32_t)n;
	} else if (is_named(name, name_bytes, "body")) {
		bool is_null = *value == 'n';

		p->body = is_null ? NULL : (uint8_t *)(uintptr_t)value;
		p->body_bytes = is_null ? 0 : (uint32_t)(end - value);
	}
	return true;
}

static bool take_members(struct scan *s, struct packet *p)
{
	bool has_op = false;

	do {
		const uint8_t *name, *name_end, *value;

		skip_space(s);
		name = s->at;
		if (!skip_string(s))
			return false;
		name_end = s->at;
		skip_space(s);
		if (!skip_byte(s, ':'))
			return false;
		skip_space(s);
		value = s->at;
		if (!skip_value(s, 1) || !take_member(name, (size_t)(name_end - name), value, s->at, p, &has_op))
			return false;
		skip_space(s);
	} while (skip_byte(s, ','));
	return has_op;
}

int v1_json_decode(const uint8_t *text, size_t text_bytes, uint32_t max_body, struct packet *p)
{
	struct scan s = {text, text + text_bytes};

	*p = (struct packet){0};
	skip_space(&s);
	if (!skip_byte(&s, '{') || !take_members(&s, p) || !skip_byte(&s, '}'))
		return -ERR_PACKET_JSON;
	skip_space(&s);
	if (s.at != s.end)
		return -ERR_PACKET_JSON;
	return p->body_bytes > max_body ? -ERR_PACKET_BODY : 0;
}

/* ---- writing ---- */

size_t v1_json_max_bytes(size_t body_bytes)
{
	return V1_JSON_AROUND_BYTES + 6 * body_bytes; /* a control character becomes six */
}

static size_t put_string(uint8_t *out, const uint8_t *text, size_t text_bytes)
{
	const uint8_t *end = text + text_bytes;
	uint8_t *at = out;

	*at++ = '"';
	while (text < end) {
		unsigned bad, n = utf8_bytes(text, end, &bad);

		if (n == 0) {
			memcpy(at, "\xef\xbf\xbd", 3);
			at += 3;
			n = bad;
		} else if (*text < 0x20) {
			at += sprintf((char *)at, "\\u%04x", *text);
		} else {
			if (*text == '"' || *text == '\\')
				*at++ = '\\';
			memcpy(at, text, n);
			at += n;
		}
		text += n;
	}
	*at++ = '"';
	return (size_t)(at - out);
}

size_t v1_json_put(uint8_t *out, const struct packet *p, bool empty_is_object)
{
	uint8_t *at = out;

	at += sprintf((char *)at, "{\"ver\":%d,\"op\":%d,\"seq\":%d,\"body\":", p->ver, p->op, p->seq);
	if (p->body_bytes == 0) {
		memcpy(at, empty_is_object ? "{}" : "\"\"", 2);
		at += 2;
	} else if (v1_json_is_value(p->body, p->body_bytes)) {
		memcpy(at, p->body, p->body_bytes);
		at += p->body_bytes;
	} else {
		at += put_string(at, p->body, p->body_bytes);
	}
	*at++ = '}';
	return (size_t)(at - out);
}

const struct message_form *v1_json_of_message(struct message *m)
{
	struct packet p = {.op = OP_SEND_REPLY, .body = m->v2 + PACKET_HEAD_BYTES, .body_bytes = m->body_bytes};
	struct message_form *there = atomic_load_explicit(&m->v1_json, memory_order_acquire), *made, *form;

	if (there != NULL)
		return there;
	if ((made = malloc(sizeof(*made) + v1_json_max_bytes(m->body_bytes))) == NULL)
		return NULL;
	made->bytes = v1_json_put(made->data, &p, false);
	/* Most bodies need no escapes, so most of the space was for nothing. */
	form = realloc(made, sizeof(*made) + made->bytes);
	if (form == NULL)
		form = made;
	/* Of two threads that made it at the same time, the first has made it for all. */
	if (atomic_compare_exchange_strong_explicit(&m->v1_json, &there, form, memory_order_acq_rel,
						    memory_order_acquire))
		return form;
	free(form);
	return there;
}
