/* redis_dial: see redis_dial.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_dial.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <sys/time.h>

#include "common/base/address.h"

int redis_dial(const char *address, int64_t timeout_ms, struct redisContext **out)
{
	struct timeval timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
	struct address a;
	redisContext *c;

	if (address_parse(address, &a) < 0 || a.host[0] == '\0' || a.number < 0)
		return -EINVAL;
	c = redisConnectWithTimeout(a.host, a.number, timeout);
	if (c == NULL)
		return -ENOMEM;
	if (c->err != 0) {
		int rc = c->err == REDIS_ERR_IO && errno > 0 ? -errno : -EHOSTUNREACH;

		redisFree(c);
		return rc;
	}
	(void)redisSetTimeout(c, timeout);
	(void)redisEnableKeepAlive(c);
	*out = c;
	return 0;
}
