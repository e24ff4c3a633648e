/* auth_open: see auth_open.h. SPDX-License-Identifier: MIT */
#include "logic/auth_open.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/json.h"
#include "logic/auth_plain.h"

/* What a token may say, by the names of goim. */
static const char *const members[] = {"mid", "user", "key", "room_id", "platform", "accepts"};
#define N_MEMBERS (sizeof(members) / sizeof(members[0]))

static int take_v1(struct auth_identity *who, int64_t uid, const char *room)
{
	who->dialect = DIALECT_V1;
	who->mid = uid;
	who->key = strdup("");
	who->room = strdup(room);
	return who->key != NULL && who->room != NULL ? 0 : -ENOMEM;
}

/* "1" or, with a room, "1,413": clients of version 1. Room -1 is none for them. The room is written as the API writes it: "01" means
 * the room 1, too. */
static bool is_v1(const struct auth_request *request, int64_t *uid, char room[12])
{
	const uint8_t *token = request->token, *comma = NULL;
	size_t n = request->token_bytes, uid_bytes;
	char text[12], *end;
	long number = 1;

	if (n > 0)
		comma = memchr(token, ',', n);
	uid_bytes = comma != NULL ? (size_t)(comma - token) : n;
	if (!auth_is_user_id(token, uid_bytes, uid))
		return false;
	if (comma != NULL) {
		size_t room_bytes = n - uid_bytes - 1;

		if (room_bytes == 0 || room_bytes >= sizeof(text) || (comma[1] != '-' && !isdigit(comma[1])))
			return false;
		memcpy(text, comma + 1, room_bytes);
		text[room_bytes] = '\0';
		number = strtol(text, &end, 10);
		if (end != text + room_bytes || end[-1] == '-' || number < INT32_MIN || number > INT32_MAX)
			return false;
	}
	(void)snprintf(room, 12, "%d", (int)number);
	if (number == -1)
		room[0] = '\0';
	return true;
}

/* ---- version 2 ---- */

/* Goim's reader takes a member's name in any case. Each gets its own here, and may be there once. */
static int name_members(json_t *token, struct auth_identity *who)
{
	char words[64];

	for (size_t i = 0; i < N_MEMBERS; i++) {
		json_t *value, *found = NULL;
		const char *name;

		json_object_foreach(token, name, value)
		{
			if (strcasecmp(name, members[i]) != 0)
				continue;
			if (found != NULL) {
				(void)snprintf(words, sizeof(words), "%s is there twice", members[i]);
				return auth_refuse(who, AUTH_MALFORMED, words);
			}
			found = value;
		}
		if (found != NULL && json_object_set(token, members[i], found) < 0)
			return -ENOMEM;
	}
	return 0;
}

static bool is_v2(const json_t *token)
{
	for (size_t i = 0; i < N_MEMBERS; i++)
		if (json_object_get(token, members[i]) != NULL)
			return true;
	return false;
}

/* Where the token is JSON by its first byte, behind white space; a BOM may stand before it, and is no JSON. */
static bool begins_object(const struct auth_request *request, bool *has_bom)
{
	static const uint8_t bom[] = {0xef, 0xbb, 0xbf};
	const uint8_t *token = request->token;
	size_t n = request->token_bytes, i = 0;

	*has_bom = n >= sizeof(bom) && memcmp(token, bom, sizeof(bom)) == 0;
	if (*has_bom)
		i = sizeof(bom);
	while (i < n && (token[i] == ' ' || token[i] == '\t' || token[i] == '\r' || token[i] == '\n'))
		i++;
	return i < n && token[i] == '{';
}

static int take_object(json_t *token, struct auth_identity *who)
{
	int rc = name_members(token, who);

	if (rc < 0)
		return rc;
	if (!is_v2(token))
		return take_v1(who, 0, "");
	who->dialect = DIALECT_V2;
	return auth_read_whole(who, token);
}

/* A token with an error in it is none of nobody's: its client would be in, as user 0, and hear nothing. */
static int read_object(const struct auth_request *request, struct auth_identity *who)
{
	json_t *token = json_read(request->token, request->token_bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL);
	int rc;

	if (token != NULL)
		rc = take_object(token, who);
	else if (json_ran_out())
		rc = -ENOMEM;
	else
		rc = auth_refuse(
			who, AUTH_MALFORMED,
			"the token is no whole JSON object, or has a member twice, too large a number or too deep "
			"nesting");
	json_decref(token);
	return rc;
}

int auth_open_check(const struct auth_request *request, struct auth_identity *who)
{
	char room[12];
	int64_t uid;
	bool has_bom, is_plain;
	int rc;

	if (is_v1(request, &uid, room))
		return take_v1(who, uid, room);
	if ((rc = auth_plain_read(request, who, &is_plain)) < 0 || is_plain)
		return rc;
	if (!begins_object(request, &has_bom))
		return take_v1(who, 0, "");
	if (has_bom)
		return auth_refuse(who, AUTH_MALFORMED, "the token begins with a byte order mark, which is no JSON");
	return read_object(request, who);
}
