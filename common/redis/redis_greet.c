/* redis_greet: see redis_greet.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_greet.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <string.h>

#include "common/base/clock.h"

static int64_t soon(const struct redis_options *o)
{
	return clock_now_ns() + o->timeout_ms * CLOCK_MS;
}

int redis_authenticate(struct redis *r, enum redis_login which, const char *user, const char *set)
{
	const struct redis_options *o = &r->opt;
	char password[SECRET_BYTES];
	int rc = 0;

	redis_login_password(which, set, password);
	if (password[0] != '\0')
		rc = user[0] != '\0' ? redis_command(r, soon(o), NULL, "AUTH %s %s", user, password)
				     : redis_command(r, soon(o), NULL, "AUTH %s", password);
	explicit_bzero(password, sizeof(password));
	return rc;
}

/* A sentinel may be behind: the one that it names must say itself that it is a master. */
static int verify_role(struct redis *r)
{
	const struct redis_options *o = &r->opt;
	struct redisReply *reply = NULL;
	int rc = redis_command(r, soon(o), &reply, "ROLE");

	if (rc == 0 && !redis_reply_says(reply, "master")) {
		redis_said_reply(&r->said, "it is no master, though a Sentinel named it");
		r->heard = REDIS_HEARD_NO;
		rc = -EROFS;
	}
	freeReplyObject(reply);
	return rc;
}

int redis_greet(struct redis *r)
{
	const struct redis_options *o = &r->opt;
	int rc = redis_authenticate(r, REDIS_LOGIN_SERVER, o->user, o->password);

	if (rc == 0 && o->db != 0)
		rc = redis_command(r, soon(o), NULL, "SELECT %lld", (long long)o->db);
	/* The first command that every server answers honestly: NOAUTH, LOADING and the like show here. The name is for
	 * those who look; a user that may not give one needs none. */
	if (rc == 0 && (rc = redis_command(r, soon(o), NULL, "CLIENT SETNAME %s", o->name)) == -EPERM)
		rc = 0;
	if (rc == 0)
		rc = redis_command(r, soon(o), NULL, "PING");
	if (rc == 0 && o->sentinels[0] != '\0')
		rc = verify_role(r);
	if (rc == 0 && o->arrive != NULL)
		rc = o->arrive(r, o, soon(o));
	return rc;
}
