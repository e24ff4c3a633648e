/* auth: see auth.h. SPDX-License-Identifier: MIT */
#include "logic/auth.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "common/wire.h"

void auth_identity_fini(struct auth_identity *who)
{
	free(who->key);
	free(who->room);
	free(who->platform);
	free(who->accepts);
	who->key = NULL;
	who->room = NULL;
	who->platform = NULL;
	who->accepts = NULL;
	who->n_accepts = 0;
}

static int refuse(struct auth_identity *who, const char *words)
{
	(void)snprintf(who->refusal, sizeof(who->refusal), "%s", words);
	return -ERR_REFUSED;
}

/* ---- v1 ---- */

/* The body is a decimal user id, and the room is 1. */
static bool is_user_id(const uint8_t *token, size_t token_bytes, int64_t *uid)
{
	char text[20]; /* the digits of INT64_MAX, and a zero byte */
	size_t n = 0;

	for (; n < token_bytes && n + 1 < sizeof(text) && isdigit(token[n]); n++)
		text[n] = (char)token[n];
	text[n] = '\0';
	if (n == 0 || n != token_bytes)
		return false;
	errno = 0;
	*uid = strtoll(text, NULL, 10);
	return errno == 0;
}

static int take_v1(struct auth_identity *who, int64_t uid, const char *room)
{
	who->dialect = DIALECT_V1;
	who->mid = uid;
	who->key = strdup("");
	who->room = strdup(room);
	return who->key != NULL && who->room != NULL ? 0 : -ENOMEM;
}

/* ---- v2 ---- */

static bool is_v2(const json_t *token)
{
	static const char *const fields[] = {"mid", "key", "room_id", "platform", "accepts"};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (json_object_get(token, fields[i]) != NULL)
			return true;
	return false;
}

/* No control characters, and short enough for every place that keeps it. */
static bool is_name(const char *text, size_t bytes_max)
{
	size_t n = 0;

	for (; text[n] != '\0'; n++)
		if (iscntrl((unsigned char)text[n]))
			return false;
	return n < bytes_max;
}

/* A string that may be missing or null. */
static int read_string(const json_t *token, const char *field, size_t bytes_max, char **out, struct auth_identity *who)
{
	const json_t *value = json_object_get(token, field);
	char words[96];

	if (value != NULL && !json_is_null(value) && !json_is_string(value)) {
		(void)snprintf(words, sizeof(words), "%s is not a string", field);
		return refuse(who, words);
	}
	if (json_is_string(value) && (strlen(json_string_value(value)) != json_string_length(value) ||
				      !is_name(json_string_value(value), bytes_max))) {
		(void)snprintf(words, sizeof(words), "%s is too long or has control characters", field);
		return refuse(who, words);
	}
	*out = strdup(json_is_string(value) ? json_string_value(value) : "");
	return *out != NULL ? 0 : -ENOMEM;
}

static int read_accepts(const json_t *token, struct auth_identity *who)
{
	const json_t *list = json_object_get(token, "accepts"), *op;
	size_t i;

	if (list == NULL || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return refuse(who, "accepts is not a list of operations");
	if (json_array_size(list) > WIRE_ACCEPTS_MAX)
		return refuse(who, "accepts has too many operations");
	if (json_array_size(list) == 0)
		return 0;
	if ((who->accepts = calloc(json_array_size(list), sizeof(*who->accepts))) == NULL)
		return -ENOMEM;
	json_array_foreach(list, i, op)
	{
		json_int_t value = json_integer_value(op);

		if (!json_is_integer(op) || value < INT32_MIN || value > INT32_MAX)
			return refuse(who, "accepts is not a list of operations");
		who->accepts[who->n_accepts++] = (int32_t)value;
	}
	return 0;
}

static int take_v2(struct auth_identity *who, const json_t *token)
{
	const json_t *mid = json_object_get(token, "mid");
	int rc;

	who->dialect = DIALECT_V2;
	if (mid != NULL && !json_is_null(mid) && !json_is_integer(mid))
		return refuse(who, "mid is not a whole number");
	who->mid = json_integer_value(mid);
	if ((rc = read_string(token, "key", WIRE_KEY_BYTES, &who->key, who)) < 0 ||
	    (rc = read_string(token, "room_id", WIRE_ROOM_BYTES, &who->room, who)) < 0 ||
	    (rc = read_string(token, "platform", WIRE_TEXT_BYTES, &who->platform, who)) < 0)
		return rc;
	return read_accepts(token, who);
}

/* ---- the mode open ---- */

/* Believes what the client says: docs/protocol.md tells the forms. */
static int check_open(const uint8_t *bytes, size_t n, struct auth_identity *who)
{
	json_t *token;
	int64_t uid;
	int rc;

	if (is_user_id(bytes, n, &uid))
		return take_v1(who, uid, "1");
	token = json_read(bytes, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL);
	if (token == NULL && json_ran_out())
		return -ENOMEM;
	rc = token != NULL && json_is_object(token) && is_v2(token) ? take_v2(who, token) : take_v1(who, 0, "");
	json_decref(token);
	return rc;
}

int auth_check(const struct config *cfg, const uint8_t *token, size_t token_bytes, struct auth_identity *who)
{
	int rc;

	*who = (struct auth_identity){0};
	switch (cfg->auth_mode) {
	case CONFIG_AUTH_OPEN:
		rc = check_open(token, token_bytes, who);
		break;
	default:
		rc = refuse(who, "the server's auth.mode is not supported");
		break;
	}
	if (rc < 0)
		auth_identity_fini(who);
	return rc;
}
