/* auth_claims: see auth_claims.h. SPDX-License-Identifier: MIT */
#include "logic/auth_claims.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/config/user_prefix.h"
#include "common/wire/wire.h"

/* A refusal by any reader has the cause "claims" here. */
static int as_claim(int rc, struct auth_identity *who)
{
	if (rc == -ERR_REFUSED)
		who->cause = AUTH_CLAIMS;
	return rc;
}

/* A NumericDate of RFC 7519: seconds, perhaps with a fraction. Absent: *there is false. */
static int read_date(struct auth_identity *who, const json_t *claims, const char *name, bool *there, int64_t *ms)
{
	const json_t *value = json_object_get(claims, name);
	double seconds = json_number_value(value);
	char words[64];

	*there = value != NULL;
	if (value != NULL && (!json_is_number(value) || seconds > (double)AUTH_SECONDS_MAX)) {
		(void)snprintf(words, sizeof(words), "%s is not a number of seconds since 1970", name);
		return auth_refuse(who, AUTH_CLAIMS, words);
	}
	*ms = (int64_t)((seconds < 0 ? 0 : seconds) * 1000);
	return 0;
}

/* It refuses nobody by itself. One that cannot be read is none, so that a token of a user whose tokens were taken back is not let in. */
int64_t auth_claims_issued(const json_t *claims)
{
	const json_t *value = json_object_get(claims, "iat");
	double seconds = json_number_value(value);

	return json_is_number(value) && seconds > 0 && seconds <= (double)AUTH_SECONDS_MAX ? (int64_t)seconds : 0;
}

static int check_dates(const struct config *cfg, const json_t *claims, struct auth_identity *who)
{
	int64_t now = clock_wall_ms(), exp = 0, nbf = 0;
	bool has_exp, has_nbf;
	int rc;

	if ((rc = read_date(who, claims, "exp", &has_exp, &exp)) < 0 ||
	    (rc = read_date(who, claims, "nbf", &has_nbf, &nbf)) < 0)
		return rc;
	if (!has_exp && cfg->auth_require_exp)
		return auth_refuse(who, AUTH_CLAIMS, "the token has no exp, and would be good for ever");
	if (has_nbf && nbf > now + cfg->auth_leeway)
		return auth_refuse(who, AUTH_NOT_YET, NULL);
	if (has_exp && now >= exp + cfg->auth_leeway)
		return auth_refuse(who, AUTH_EXPIRED, NULL);
	who->lifetime_ms = has_exp ? exp + cfg->auth_leeway - now : 0;
	who->issued_s = auth_claims_issued(claims);
	return 0;
}

static bool is_text(const json_t *value, const char *text)
{
	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static int check_parties(const struct config *cfg, const json_t *claims, struct auth_identity *who)
{
	const json_t *audience = json_object_get(claims, "aud"), *one;
	bool is_ours = is_text(audience, cfg->auth_jwt_audience);
	size_t i;

	if (cfg->auth_jwt_issuer[0] != '\0' && !is_text(json_object_get(claims, "iss"), cfg->auth_jwt_issuer))
		return auth_refuse(who, AUTH_ISSUER, NULL);
	json_array_foreach(audience, i, one)
	{
		if (is_text(one, cfg->auth_jwt_audience))
			is_ours = true;
	}
	if (cfg->auth_jwt_audience[0] != '\0' && !is_ours)
		return auth_refuse(who, AUTH_AUDIENCE, NULL);
	return 0;
}

/* goim's claim: a whole number, or a string that is nothing else. */
static bool read_mid(const json_t *value, int64_t *mid)
{
	const char *text = json_string_value(value);
	char *end;

	if (json_is_integer(value)) {
		*mid = json_integer_value(value);
		return true;
	}
	if (text == NULL || strspn(text, "-0123456789") != strlen(text))
		return false;
	errno = 0;
	*mid = strtoll(text, &end, 10);
	return errno == 0 && end > text && *end == '\0';
}

/* By any other claim, as login services have it: a string, or a whole number. */
static int read_subject(const json_t *claims, const char *name, struct auth_identity *who)
{
	const json_t *value = json_object_get(claims, name);

	if (!json_is_integer(value))
		return as_claim(auth_read_user(who, claims, name), who);
	who->mid = json_integer_value(value);
	return 0;
}

static int read_user(const struct config *cfg, const json_t *claims, struct auth_identity *who)
{
	const char *rest = cfg->auth_claim_mid;
	char name[256];

	while (config_list_next(&rest, name, sizeof(name))) {
		if (!auth_has(claims, name))
			continue;
		if (strcmp(name, "mid") != 0)
			return read_subject(claims, name, who);
		return read_mid(json_object_get(claims, name), &who->mid)
			       ? 0
			       : auth_refuse(who, AUTH_CLAIMS, "mid is not a whole number");
	}
	return auth_refuse(who, AUTH_CLAIMS, "the token names no user");
}

/* A key names a connection, and a newer connection with the key replaces the older one: so a client may only choose among the names of
 * its own user. */
static int take_chosen_key(const json_t *said, const char *member, struct auth_identity *who)
{
	int rc = auth_read_string(who, said, member, WIRE_KEY_BYTES, &who->key);

	return rc == 0 ? auth_own_key(who) : rc;
}

/* An issuer with a prefix may choose only among these, too. */
static int read_key(const struct config *cfg, const struct auth_told *told, bool has_prefix, struct auth_identity *who)
{
	if (!auth_has(told->claims, cfg->auth_claim_key))
		return take_chosen_key(told->said, "key", who);
	if (has_prefix)
		return as_claim(take_chosen_key(told->claims, cfg->auth_claim_key, who), who);
	return as_claim(auth_read_string(who, told->claims, cfg->auth_claim_key, WIRE_KEY_BYTES, &who->key), who);
}

static int read_room(const struct config *cfg, const struct auth_told *told, struct auth_identity *who)
{
	if (!auth_has(told->claims, cfg->auth_claim_room))
		return auth_read_string(who, told->said, "room_id", WIRE_ROOM_BYTES, &who->room);
	return as_claim(auth_read_string(who, told->claims, cfg->auth_claim_room, WIRE_ROOM_BYTES, &who->room), who);
}

static int read_accepts(const struct config *cfg, const struct auth_told *told, struct auth_identity *who)
{
	if (!auth_has(told->claims, cfg->auth_claim_accepts))
		return auth_read_accepts(who, told->said, "accepts");
	return as_claim(auth_read_accepts(who, told->claims, cfg->auth_claim_accepts), who);
}

static int read_dialect(const json_t *said, struct auth_identity *who)
{
	int64_t dialect = 0;
	int rc = auth_read_integer(who, said, "dialect", &dialect);

	if (rc == 0 && dialect != 0 && dialect != DIALECT_V1 && dialect != DIALECT_V2)
		rc = auth_refuse(who, AUTH_MALFORMED, "dialect is 1 or 2");
	who->dialect = dialect == DIALECT_V1 ? DIALECT_V1 : DIALECT_V2;
	return rc;
}

/* Who it is for, from whom, and until when. */
static int take_parties(const struct config *cfg, const struct auth_told *told, const char *prefix,
			struct auth_identity *who)
{
	int rc;

	if ((rc = check_dates(cfg, told->claims, who)) < 0 || (rc = check_parties(cfg, told->claims, who)) < 0 ||
	    (rc = read_user(cfg, told->claims, who)) < 0)
		return rc;
	return auth_add_prefix(who, prefix);
}

int auth_claims_take(const struct config *cfg, const struct auth_told *told, struct auth_identity *who)
{
	char space[USER_PREFIX_BYTES];
	const char *prefix = user_prefix_find(cfg, told->signer, space);
	int rc;

	if (auth_has(told->claims, "ticket"))
		return auth_refuse(who, AUTH_CLAIMS, "a ticket lets nobody in; it stands beside a token");
	if ((rc = take_parties(cfg, told, prefix, who)) < 0 || (rc = read_key(cfg, told, prefix[0] != '\0', who)) < 0 ||
	    (rc = read_room(cfg, told, who)) < 0 || (rc = read_accepts(cfg, told, who)) < 0 ||
	    (rc = auth_read_string(who, told->said, "platform", WIRE_TEXT_BYTES, &who->platform)) < 0)
		return rc;
	if ((rc = as_claim(auth_read_grants(who, told->claims, cfg->auth_claim_rooms, cfg->auth_claim_ops), who)) < 0)
		return rc;
	return read_dialect(told->said, who);
}

/* ---- tickets ---- */

static bool is_room(const json_t *value)
{
	const size_t bytes = json_string_length(value);

	return json_is_string(value) && bytes > 0 && bytes < WIRE_ROOM_BYTES &&
	       strlen(json_string_value(value)) == bytes;
}

/* One, or a list of some. */
static bool are_rooms(const json_t *rooms)
{
	const json_t *room;
	size_t i;

	json_array_foreach(rooms, i, room)
	{
		if (!is_room(room))
			return false;
	}
	return is_room(rooms) || json_array_size(rooms) > 0;
}

int auth_claims_ticket(const struct config *cfg, const struct auth_told *told, const struct user *user,
		       struct grants **grants, struct auth_identity *why)
{
	const json_t *rooms = json_object_get(told->claims, "ticket"), *room;
	char prefix[USER_PREFIX_BYTES];
	struct user whose;
	size_t i;
	int rc;

	if ((rc = take_parties(cfg, told, user_prefix_find(cfg, told->signer, prefix), why)) < 0)
		return rc;
	whose = auth_identity_user(why);
	if (!user_equal(&whose, user))
		return auth_refuse(why, AUTH_OTHER, NULL);
	if (why->lifetime_ms == 0 || !are_rooms(rooms))
		return auth_refuse(why, AUTH_CLAIMS, "the ticket has no exp, or is for no rooms");
	rc = json_is_array(rooms) ? 0 : grants_add_pass(grants, json_string_value(rooms), why->lifetime_ms);
	json_array_foreach(rooms, i, room)
	{
		if (rc == 0)
			rc = grants_add_pass(grants, json_string_value(room), why->lifetime_ms);
	}
	return rc == -ENOBUFS ? auth_refuse(why, AUTH_CLAIMS, "the tickets are for too many rooms") : rc;
}
