/* api_upstream: GET /goim/upstream: what clients send to the back end. SPDX-License-Identifier: MIT */
#include <errno.h>

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
	const char *after = http_param(call->request, "after"), *wait_text = http_param(call->request, "wait");
	struct upstream_query query = {
		.after = api_v2_is_empty(after) ? "0" : after, .max = 1000, .caller = call->request};
	struct upstream_found found;
	long long wait_ms = 0;
	json_t *list;
	int rc;

	if (!api_v2_is_empty(wait_text) && !api_read_number(wait_text, 0, 60000, &wait_ms)) {
		api_v2_reply_bad(call, "wait must be milliseconds from 0 to 60000");
		return;
	}
	query.wait_ms = wait_ms;
	rc = upstream_read(&call->logic->upstream, &query, &found);
	if (rc == -EINVAL)
		api_v2_reply_bad(call, "after must be an id that this call gave before, or 0");
	else if (rc == -EBUSY)
		api_v2_reply_words(call, 429, -429, "too many callers wait");
	else if (rc < 0)
		api_v2_reply_result(call, rc);
	if (rc < 0)
		return;
	list = json_array();
	for (size_t i = 0; i < found.n; i++)
		(void)json_array_append_new(list, describe_entry(&found.entries[i]));
	upstream_found_fini(&found);
	api_v2_reply_data(call, list);
}
