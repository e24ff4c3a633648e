/* auth_certified: see auth_certified.h. SPDX-License-Identifier: MIT */
#include "logic/auth_certified.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/config/user_prefix.h"
#include "logic/auth_open.h"

/* Its user, with the prefix that is for those of certificates. */
static int read_user(const struct config *cfg, const struct auth_request *request, struct auth_identity *certified)
{
	char prefix[USER_PREFIX_BYTES];
	struct user user;

	if (!user_read(request->certified, strlen(request->certified), &user))
		return auth_refuse(certified, AUTH_MALFORMED, "the certificate names nobody who can be a user");
	certified->mid = user.mid;
	if (user.name != NULL && (certified->name = strdup(user.name)) == NULL)
		return -ENOMEM;
	return auth_add_prefix(certified, user_prefix_find(cfg, USER_PREFIX_CERTIFICATE, prefix));
}

static int become(struct auth_identity *certified, struct auth_identity *who)
{
	const struct user user = auth_identity_user(certified), said = auth_identity_user(who);

	if (user_is_somebody(&said) && !user_equal(&said, &user))
		return auth_refuse(who, AUTH_OTHER, "the certificate is another user's");
	free(who->name);
	who->mid = certified->mid;
	who->name = certified->name;
	certified->name = NULL;
	return 0;
}

int auth_certified_hold(const struct config *cfg, const struct auth_request *request, struct auth_identity *who)
{
	struct auth_identity certified = {0};
	int rc;

	if ((rc = read_user(cfg, request, &certified)) == -ERR_REFUSED)
		rc = auth_refuse(who, certified.cause, certified.refusal);
	if (rc == 0)
		rc = become(&certified, who);
	auth_identity_fini(&certified);
	if (who->lifetime_ms == 0 || who->lifetime_ms > request->certified_ms)
		who->lifetime_ms = request->certified_ms;
	return rc;
}

int auth_certified_check(const struct config *cfg, const struct auth_request *request, struct auth_identity *who)
{
	int rc;

	if ((rc = auth_open_check(request, who)) < 0 || (rc = auth_certified_hold(cfg, request, who)) < 0)
		return rc;
	if (request->token_bytes == 0 || !isdigit(request->token[0])) /* goim's number is of version 1 */
		who->dialect = DIALECT_V2;
	return auth_own_key(who);
}
