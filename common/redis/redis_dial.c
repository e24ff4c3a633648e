/* redis_dial: see redis_dial.h. hiredis tries a name's addresses of version 6 only where it has none of version 4: so names are
 * looked up here. SPDX-License-Identifier: MIT */
#include "common/redis/redis_dial.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <string.h>
#include <sys/time.h>

#include "common/base/address.h"
#include "common/base/err.h"

#define UNIX "unix:"

/* Takes c over. */
static int judge(redisContext *c, struct timeval timeout, redisContext **out)
{
	if (c == NULL)
		return -ENOMEM;
	if (c->err != 0) {
		int rc = c->err == REDIS_ERR_IO && errno > 0 ? -errno : -EHOSTUNREACH;

		redisFree(c);
		return rc;
	}
	(void)redisSetTimeout(c, timeout);
	*out = c;
	return 0;
}

static int dial_one(const struct addrinfo *to, int port, struct timeval timeout, redisContext **out)
{
	char host[NI_MAXHOST];
	int rc;

	if (getnameinfo(to->ai_addr, to->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
		return -EINVAL;
	if ((rc = judge(redisConnectWithTimeout(host, port, timeout), timeout, out)) == 0)
		(void)redisEnableKeepAlive(*out);
	return rc;
}

static int dial_host(const struct address *a, struct timeval timeout, redisContext **out)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *all;
	int rc = -EHOSTUNREACH, looked_up = getaddrinfo(a->host, NULL, &hints, &all);

	if (looked_up != 0)
		return looked_up == EAI_MEMORY ? -ENOMEM : -ERR_NAME;
	for (const struct addrinfo *to = all; to != NULL && rc < 0; to = to->ai_next)
		rc = dial_one(to, a->number, timeout, out);
	freeaddrinfo(all);
	return rc;
}

int redis_dial(const char *place, int64_t timeout_ms, struct redisContext **out)
{
	struct timeval timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
	struct address a;

	if (strncmp(place, UNIX, strlen(UNIX)) == 0)
		return judge(redisConnectUnixWithTimeout(place + strlen(UNIX), timeout), timeout, out);
	if (address_parse(place, &a) < 0 || a.host[0] == '\0' || a.number < 0)
		return -EINVAL;
	return dial_host(&a, timeout, out);
}
