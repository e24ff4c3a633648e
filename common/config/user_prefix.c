/* user_prefix: see user_prefix.h. SPDX-License-Identifier: MIT */
#include "common/config/user_prefix.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/err.h"
#include "common/config/config.h"

#define ENTRY_BYTES 4096

/* [KID=]PREFIX, with *kid "" for none. A name may have an equals sign in it, a prefix may not. */
static const char *split(char *entry, const char **kid)
{
	char *equals = strrchr(entry, '=');

	*kid = "";
	if (equals == NULL)
		return entry;
	*equals = '\0';
	*kid = entry;
	return equals + 1;
}

const char *user_prefix_find(const struct config *cfg, const char *signer, char prefix[USER_PREFIX_BYTES])
{
	const char *rest = cfg->auth_user_prefix, *kid, *found;
	char entry[ENTRY_BYTES];

	prefix[0] = '\0';
	while (config_list_next(&rest, entry, sizeof(entry))) {
		found = split(entry, &kid);
		if (strcmp(kid, signer != NULL ? signer : "") == 0)
			(void)snprintf(prefix, USER_PREFIX_BYTES, "%.*s", USER_PREFIX_BYTES - 1, found);
	}
	/* A named key without a prefix of its own is one of all the others. */
	return prefix[0] == '\0' && signer != NULL ? user_prefix_find(cfg, NULL, prefix) : prefix;
}

/* ---- checking ---- */

static bool is_name_of_key(const struct config *cfg, const char *kid)
{
	const char *rest = cfg->auth_jwt_keys, *name;
	char entry[ENTRY_BYTES];

	while (config_list_next(&rest, entry, sizeof(entry))) {
		entry[strcspn(entry, ":")] = '\0';
		(void)split(entry, &name);
		if (strcmp(name, kid) == 0)
			return true;
	}
	return false;
}

/* With a digit at its end it could begin a number. */
static const char *fault_of_prefix(const char *prefix)
{
	size_t n = strlen(prefix);

	if (n == 0 || n >= USER_PREFIX_BYTES)
		return "a prefix has 1 to 63 bytes";
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)prefix[i]) || (unsigned char)prefix[i] >= 0x80)
			return "a prefix is of ASCII, without control characters";
	return isalnum((unsigned char)prefix[n - 1]) || prefix[n - 1] == '-'
		       ? "a prefix ends with a sign such as : or |, so that it shows where the name begins"
		       : NULL;
}

/* An issuer whose prefix begins another's could name the other's users. The same prefix twice is one issuer, with two keys. */
static bool begins_another(const struct config *cfg, const char *prefix)
{
	const char *rest = cfg->auth_user_prefix, *kid, *other;
	char entry[ENTRY_BYTES];

	while (config_list_next(&rest, entry, sizeof(entry))) {
		other = split(entry, &kid);
		if (strcmp(other, prefix) != 0 && strncmp(other, prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

int user_prefix_check(const struct config *cfg, FILE *errors)
{
	const char *rest = cfg->auth_user_prefix, *kid, *prefix, *fault;
	char entry[ENTRY_BYTES];

	while (config_list_next(&rest, entry, sizeof(entry))) {
		prefix = split(entry, &kid);
		fault = fault_of_prefix(prefix);
		if (fault == NULL && kid == entry && strcmp(kid, USER_PREFIX_CERTIFICATE) != 0 &&
		    !is_name_of_key(cfg, kid))
			fault = "auth.jwt_keys has no key of this name";
		if (fault == NULL && begins_another(cfg, prefix))
			fault = "the prefix begins another one, so that one issuer could name the other's users";
		if (fault == NULL)
			continue;
		(void)fprintf(errors, "auth.user_prefix: %.80s%s%.80s: %s\n", kid, kid == entry ? "=" : "", prefix,
			      fault);
		return -ERR_CONFIG;
	}
	return 0;
}
