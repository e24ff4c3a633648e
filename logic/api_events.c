/* api_events: GET /goim/events: who came and who went. SPDX-License-Identifier: MIT */
#include <errno.h>

#include "logic/api_v2.h"

#define LIMIT_MAX 1000

/* False: the caller was told. */
static bool read_query(struct api_call *call, struct upstream_query *query)
{
	const char *after = http_param(call->request, "after"), *wait = http_param(call->request, "wait"),
		   *limit = http_param(call->request, "limit");
	long long wait_ms = 0, most = LIMIT_MAX;

	if (!api_v2_is_empty(wait) && !api_read_number(wait, 0, 60000, &wait_ms)) {
		api_v2_reply_bad(call, "wait must be milliseconds from 0 to 60000");
		return false;
	}
	if (!api_v2_is_empty(limit) && !api_read_number(limit, 1, LIMIT_MAX, &most)) {
		api_v2_reply_bad(call, "limit must be a whole number from 1 to 1000");
		return false;
	}
	*query = (struct upstream_query){.after = api_v2_is_empty(after) ? "0" : after,
					 .max = (size_t)most,
					 .wait_ms = wait_ms,
					 .caller = call->request};
	return true;
}

void api_events(struct api_call *call)
{
	struct upstream_query query;
	json_t *list;
	int rc;

	if (call->logic->tidings.self == NULL) {
		api_v2_reply_bad(call, "no events are kept: events.kinds names none");
		return;
	}
	if (!read_query(call, &query))
		return;
	rc = tidings_read(&call->logic->tidings, &query, &list);
	if (rc == 0)
		api_v2_reply_data(call, list);
	else if (rc == -EINVAL)
		api_v2_reply_bad(call, "after must be an id that this call gave before, or 0");
	else if (rc == -EBUSY)
		api_v2_reply_words(call, 429, -429, "too many callers wait");
	else
		api_v2_reply_result(call, rc);
}
