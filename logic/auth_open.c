/* auth_open: see auth_open.h. SPDX-License-Identifier: MIT */
#include "logic/auth_open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"

static int take_v1(struct auth_identity *who, int64_t uid, const char *room)
{
	who->dialect = DIALECT_V1;
	who->mid = uid;
	who->key = strdup("");
	who->room = strdup(room);
	return who->key != NULL && who->room != NULL ? 0 : -ENOMEM;
}

static bool is_v2(const json_t *token)
{
	static const char *const members[] = {"mid", "key", "room_id", "platform", "accepts"};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (json_object_get(token, members[i]) != NULL)
			return true;
	return false;
}

int auth_open_check(const struct auth_request *request, struct auth_identity *who)
{
	json_t *token;
	int64_t uid;
	int rc;

	if (auth_is_user_id(request->token, request->token_bytes, &uid))
		return take_v1(who, uid, "1");
	token = json_read(request->token, request->token_bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL);
	if (token == NULL && json_ran_out())
		return -ENOMEM;
	if (is_v2(token)) {
		who->dialect = DIALECT_V2;
		rc = auth_read_whole(who, token);
	} else {
		rc = take_v1(who, 0, "");
	}
	json_decref(token);
	return rc;
}
