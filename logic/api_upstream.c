/* api_upstream: GET /goim/upstream: what clients send to the back end. SPDX-License-Identifier: MIT */
#include "common/wire/wire_user.h"
#include "logic/api_v2.h"

static json_t *describe_entry(const struct upstream_entry *entry)
{
	json_t *described = json_pack("{s:s,s:s,s:I,s:i}", "id", entry->id, "key", entry->seat.key, "mid",
				      (json_int_t)entry->seat.user.mid, "op", (int)entry->op);

	(void)wire_user_set(described, &entry->seat.user);
	api_v2_set_body(described, entry->body, entry->body_bytes);
	return described;
}

void api_upstream(struct api_call *call)
{
	struct upstream_query query;
	struct upstream_found found;
	json_t *list;
	int rc;

	if (!api_v2_read_wait(call, &query))
		return;
	if ((rc = upstream_read(&call->logic->upstream, &query, &found)) < 0) {
		api_v2_reply_unread(call, rc);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < found.n; i++)
		(void)json_array_append_new(list, describe_entry(&found.entries[i]));
	upstream_found_fini(&found);
	api_v2_reply_data(call, list);
}
