/* api_events: GET /goim/events: who came and who went. SPDX-License-Identifier: MIT */
#include "logic/api_v2.h"

/* False: the caller was told. */
static bool read_query(struct api_call *call, struct upstream_query *query)
{
	static const struct api_number limit = {"limit", 1, API_NEWS_MAX,
						"limit must be a whole number from 1 to 1000"};
	long long most = API_NEWS_MAX;

	if (!api_v2_read_wait(call, query) || !api_v2_read_number(call, &limit, &most))
		return false;
	query->max = (size_t)most;
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
	else
		api_v2_reply_unread(call, rc);
}
