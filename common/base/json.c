/* json: see json.h. SPDX-License-Identifier: MIT */
#include "common/base/json.h"

#include <stdlib.h>
#include <string.h>

/* jansson reports some failed allocations as wrong JSON, and a token that is no JSON may have another meaning. So it gets
 * its memory from here. */
static __thread bool ran_out;

static void *get_memory(size_t bytes)
{
	void *p = malloc(bytes);

	ran_out = ran_out || p == NULL;
	return p;
}

/* Before main: no thread uses jansson yet. */
__attribute__((constructor)) static void lend_memory(void)
{
	json_set_alloc_funcs(get_memory, free);
}

/* Brackets are counted as jansson would meet them. Where the text is no JSON the count may go astray, but only behind the
 * place at which jansson stops. */
static bool is_shallow(const char *text, size_t n)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < n; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (text[i] == '[' || text[i] == '{')
			depth++;
		else if ((text[i] == ']' || text[i] == '}') && depth > 0)
			depth--;
		if (depth > JSON_DEPTH_MAX)
			return false;
	}
	return true;
}

json_t *json_read(const void *bytes, size_t n, size_t flags)
{
	json_t *value;

	json_watch();
	value = is_shallow(bytes, n) ? json_loadb(bytes, n, flags, NULL) : NULL;
	/* Its lexer leaves out the bytes that it has no memory for, and goes on: 1000 would be read as 100. */
	if (ran_out) {
		json_decref(value);
		value = NULL;
	}
	return value;
}

void json_watch(void)
{
	ran_out = false;
}

void json_watch_on(bool had_run_out)
{
	ran_out = had_run_out;
}

bool json_ran_out(void)
{
	return ran_out;
}

/* json_dumps grows its text as it goes, and where it cannot grow leaves names out without a word. */
char *json_write(const json_t *value, size_t flags, size_t *bytes)
{
	size_t n;
	char *text;

	n = json_dumpb(value, NULL, 0, flags | JSON_COMPACT);
	if (n == 0 || ran_out || (text = malloc(n + 1)) == NULL)
		return NULL;
	if (json_dumpb(value, text, n, flags | JSON_COMPACT) != n) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	*bytes = n;
	return text;
}

json_t *json_hex(const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char *text = get_memory(2 * n + 1);
	json_t *hex;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex = json_stringn_nocheck(text, 2 * n);
	free(text);
	return hex;
}

/* ---- values as they are written; i is always a place in a text that jansson has read ---- */

static size_t skip_space(const char *text, size_t n, size_t i)
{
	while (i < n && strchr(" \t\r\n", text[i]) != NULL)
		i++;
	return i;
}

/* From the opening quote to behind the closing one. */
static size_t skip_string(const char *text, size_t n, size_t i)
{
	for (i++; i < n && text[i] != '"'; i++)
		i += text[i] == '\\';
	return i + 1;
}

/* To the comma or bracket behind a value. */
static size_t skip_value(const char *text, size_t n, size_t i)
{
	unsigned depth = 0;

	while (i < n) {
		if (text[i] == '"') {
			i = skip_string(text, n, i);
			continue;
		}
		if (depth == 0 && strchr(",]}", text[i]) != NULL)
			break;
		if (text[i] == '[' || text[i] == '{')
			depth++;
		else if (text[i] == ']' || text[i] == '}')
			depth--;
		i++;
	}
	return i;
}

const char *json_member_text(const char *text, size_t n, const char *name, size_t *value_bytes)
{
	size_t i = skip_space(text, n, 0), name_bytes = strlen(name);
	const char *found = NULL;

	if (i == n || text[i] != '{')
		return NULL;
	/* i is at the bracket, then at the comma behind each member. */
	while (i < n && text[i] != '}') {
		size_t from = skip_space(text, n, i + 1), value, end;

		if (from >= n || text[from] != '"')
			break; /* an empty object */
		end = skip_string(text, n, from);
		value = skip_space(text, n, skip_space(text, n, end) + 1);
		i = skip_value(text, n, value);
		if (end - from != name_bytes + 2 || memcmp(text + from + 1, name, name_bytes) != 0)
			continue;
		found = text + value;
		*value_bytes = i - value;
		while (*value_bytes > 0 && strchr(" \t\r\n", found[*value_bytes - 1]) != NULL)
			(*value_bytes)--;
	}
	return found;
}
