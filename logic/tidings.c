/* tidings: see tidings.h. SPDX-License-Identifier: MIT */
#include "logic/tidings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/wire/user.h"
#include "common/wire/wire_user.h"

json_t *tiding_json(const struct tiding *t)
{
	struct user user = {0};
	json_t *object;

	if (t->room != NULL)
		return json_pack("{s:s,s:I,s:s,s:s}", "kind", t->kind, "time", (json_int_t)t->time_ms, "room", t->room,
				 "comet", t->comet);
	if (t->user != NULL)
		(void)user_read(t->user, strlen(t->user), &user); /* otherwise it is nobody */
	if (t->number > 0)
		object = json_pack("{s:s,s:I,s:I,s:I}", "kind", t->kind, "time", (json_int_t)t->time_ms, "mid",
				   (json_int_t)user.mid, "n", (json_int_t)t->number);
	else
		object = json_pack("{s:s,s:I,s:s,s:I,s:I,s:s}", "kind", t->kind, "time", (json_int_t)t->time_ms, "key",
				   t->key, "mid", (json_int_t)user.mid, "session", (json_int_t)t->session, "comet",
				   t->comet);
	if (object != NULL && wire_user_set(object, &user) < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *tiding_with_id(json_t *object, uint64_t id)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	if (object == NULL || json_object_set_new(object, "id", json_string(text)) == 0)
		return object;
	json_decref(object);
	return NULL;
}

json_t *tiding_lost(uint64_t id, int64_t lost)
{
	count_add(COUNT_EVENTS_LOST, lost > 0 ? lost : 1);
	return tiding_with_id(json_pack("{s:s,s:I}", "kind", "lost", "lost", (json_int_t)lost), id);
}

bool tiding_read_id(const char *text, uint64_t *id)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	*id = value;
	return isdigit((unsigned char)text[0]) && *end == '\0' && end - text <= 18;
}
