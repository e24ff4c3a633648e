/* auth_identity: see auth_identity.h. SPDX-License-Identifier: MIT */
#include "logic/auth_identity.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/utf8.h"
#include "common/wire/wire.h"

static const char *const words_of[AUTH_CAUSES] = {
#define cause(NAME, name, words) [AUTH_##NAME] = (words),
#include "logic/auth_cause.def"
#undef cause
};

static const char *const labels[AUTH_CAUSES] = {
#define cause(NAME, name, words) [AUTH_##NAME] = (name),
#include "logic/auth_cause.def"
#undef cause
};

COUNTER_LABELS(AUTH_FAILURES, labels, AUTH_CAUSES);
COUNTER_LABELS(TICKETS_REFUSED, labels, AUTH_CAUSES);
COUNTER_LABELS(ROOM_QUESTIONS_FAILED, labels, AUTH_CAUSES);

void auth_identity_fini(struct auth_identity *who)
{
	free(who->name);
	free(who->key);
	free(who->room);
	free(who->platform);
	free(who->accepts);
	grants_free(&who->grants);
	who->name = NULL;
	who->key = NULL;
	who->room = NULL;
	who->platform = NULL;
	who->accepts = NULL;
	who->n_accepts = 0;
}

int auth_refuse(struct auth_identity *who, enum auth_cause cause, const char *words)
{
	utf8_copy(who->refusal, sizeof(who->refusal), words != NULL ? words : words_of[cause]);
	who->cause = cause;
	return -ERR_REFUSED;
}

static int refuse_member(struct auth_identity *who, const char *member, const char *fault)
{
	char words[128];

	(void)snprintf(words, sizeof(words), "%.60s %s", member, fault);
	return auth_refuse(who, AUTH_MALFORMED, words);
}

bool auth_has(const json_t *from, const char *member)
{
	const json_t *value = json_object_get(from, member);

	return value != NULL && !json_is_null(value);
}

int auth_read_integer(struct auth_identity *who, const json_t *from, const char *member, int64_t *out)
{
	const json_t *value = json_object_get(from, member);

	if (value != NULL && !json_is_null(value) && !json_is_integer(value))
		return refuse_member(who, member, "is not a whole number");
	*out = json_integer_value(value);
	return 0;
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

int auth_read_string(struct auth_identity *who, const json_t *from, const char *member, size_t bytes_max, char **out)
{
	const json_t *value = json_object_get(from, member);

	if (value != NULL && !json_is_null(value) && !json_is_string(value))
		return refuse_member(who, member, "is not a string");
	if (json_is_string(value) && (strlen(json_string_value(value)) != json_string_length(value) ||
				      !is_name(json_string_value(value), bytes_max)))
		return refuse_member(who, member, "is too long or has control characters");
	*out = strdup(json_is_string(value) ? json_string_value(value) : "");
	return *out != NULL ? 0 : -ENOMEM;
}

int auth_read_accepts(struct auth_identity *who, const json_t *from, const char *member)
{
	static const char fault[] = "is not a list of operations";
	const json_t *list = json_object_get(from, member), *op;
	size_t i;

	if (list == NULL || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return refuse_member(who, member, fault);
	if (json_array_size(list) > WIRE_ACCEPTS_MAX)
		return refuse_member(who, member, "has too many operations");
	if (json_array_size(list) == 0)
		return 0;
	if ((who->accepts = calloc(json_array_size(list), sizeof(*who->accepts))) == NULL)
		return -ENOMEM;
	json_array_foreach(list, i, op)
	{
		json_int_t value = json_integer_value(op);

		if (!json_is_integer(op) || value < INT32_MIN || value > INT32_MAX)
			return refuse_member(who, member, fault);
		who->accepts[who->n_accepts++] = (int32_t)value;
	}
	return 0;
}

int auth_read_grants(struct auth_identity *who, const json_t *from, const char *rooms, const char *ops)
{
	bool bad_ops;
	int rc = grants_read(json_object_get(from, rooms), json_object_get(from, ops), &who->grants, &bad_ops);

	return rc == -EBADMSG ? refuse_member(who, bad_ops ? ops : rooms, "is not a list of at most 256 names") : rc;
}

int auth_read_user(struct auth_identity *who, const json_t *from, const char *member)
{
	const json_t *value = json_object_get(from, member);
	struct user user;

	if (!json_is_string(value))
		return refuse_member(who, member, "is not a string");
	if (!user_read(json_string_value(value), json_string_length(value), &user))
		return refuse_member(who, member, "is empty, too long or has control characters");
	who->mid = user.mid;
	if (user.name != NULL && (who->name = strdup(user.name)) == NULL)
		return -ENOMEM;
	return 0;
}

int auth_add_prefix(struct auth_identity *who, const char *prefix)
{
	struct user user = auth_identity_user(who);
	char text[USER_BYTES], *name;

	if (prefix[0] == '\0' || !user_is_somebody(&user))
		return 0;
	if (asprintf(&name, "%s%s", prefix, user_text(&user, text)) < 0)
		return -ENOMEM;
	free(who->name);
	who->mid = 0;
	who->name = name;
	return strlen(name) < USER_BYTES ? 0 : auth_refuse(who, AUTH_CLAIMS, "the user is too long with its prefix");
}

int auth_own_key(struct auth_identity *who)
{
	const struct user user = auth_identity_user(who);
	char escaped[USER_ESCAPED_BYTES], *key;

	if (who->key[0] == '\0')
		return 0;
	if (!user_is_somebody(&user))
		return auth_refuse(who, AUTH_MALFORMED, "a client that is no user cannot choose a key");
	if (asprintf(&key, "%s_%s", user_escaped(&user, escaped), who->key) < 0)
		return -ENOMEM;
	free(who->key);
	who->key = key;
	return strlen(key) < WIRE_KEY_BYTES ? 0 : auth_refuse(who, AUTH_MALFORMED, "key is too long");
}

int auth_read_whole(struct auth_identity *who, const json_t *from)
{
	int rc;

	if ((rc = auth_read_integer(who, from, "mid", &who->mid)) < 0 ||
	    (who->mid == 0 && auth_has(from, "user") && (rc = auth_read_user(who, from, "user")) < 0) ||
	    (rc = auth_read_string(who, from, "key", WIRE_KEY_BYTES, &who->key)) < 0 ||
	    (rc = auth_read_string(who, from, "room_id", WIRE_ROOM_BYTES, &who->room)) < 0 ||
	    (rc = auth_read_string(who, from, "platform", WIRE_TEXT_BYTES, &who->platform)) < 0)
		return rc;
	return auth_read_accepts(who, from, "accepts");
}

bool auth_is_user_id(const uint8_t *token, size_t token_bytes, int64_t *uid)
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
