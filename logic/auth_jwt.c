/* auth_jwt: see auth_jwt.h. SPDX-License-Identifier: MIT */
#include "logic/auth_jwt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/small_file.h"
#include "logic/auth_claims.h"
#include "logic/jwks.h"
#include "logic/jwt.h"

/* No file of a key is longer. */
#define KEY_FILE_MAX 65536
struct auth_jwt {
	unsigned magic;
#define AUTH_JWT_MAGIC 0xa07437e1
	/* set once */
	const struct config *cfg;
	struct jwks *jwks; /* NULL: there is no auth.jwks_url */
	struct bans *bans; /* NULL: there are none */
	/* under lock: which keys these are; a set itself does not change */
	struct lock lock;
	struct jwt_keys *keys;
	/* reload only: read, and not in use; or NULL */
	struct jwt_keys *next;
};

/* ---- the keys ---- */

static int complain(const char *entry, const char *fault)
{
	LOG(LOG_ERROR, log_what(EVENT_AUTH_KEY_UNUSABLE), log_str("key", entry), log_str("fault", fault));
	return -ERR_CONFIG;
}

/* 0, -errno or -EFBIG; *n bytes in `bytes`. */
static int read_file(const char *path, bool is_secret, uint8_t bytes[KEY_FILE_MAX], size_t *n)
{
	bool is_open;
	int rc = small_file_read(path, bytes, KEY_FILE_MAX, n, &is_open);

	if (rc < 0)
		return rc;
	if (is_secret && is_open)
		LOG(LOG_WARN, log_what(EVENT_AUTH_SECRET_OPEN), log_str("file", path));
	return *n < KEY_FILE_MAX ? 0 : -EFBIG;
}

/* An entry is [KID=]ALGORITHM:FILE; no algorithm has an equals sign in it, a file's name may. */
static bool split_entry(char *entry, const char **kid, enum jwt_alg *alg, const char **path)
{
	char *colon = strchr(entry, ':'), *equals;

	if (colon == NULL)
		return false;
	*colon = '\0';
	*path = colon + 1;
	*kid = "";
	if ((equals = strrchr(entry, '=')) != NULL) {
		*equals = '\0';
		*kid = entry;
		entry = equals + 1;
		if (**kid == '\0')
			return false;
	}
	return jwt_alg_find(entry, strlen(entry), alg);
}

static int add_entry(struct jwt_keys *keys, const char *entry, uint8_t bytes[KEY_FILE_MAX])
{
	char text[4096];
	const char *kid, *path, *fault;
	enum jwt_alg alg;
	size_t n;
	int rc;

	(void)snprintf(text, sizeof(text), "%s", entry);
	if (!split_entry(text, &kid, &alg, &path))
		return complain(entry,
				"is not [KID=]ALGORITHM:FILE with HS256, RS256, RS384, RS512, ES256, ES384 or EdDSA");
	if ((rc = read_file(path, jwt_alg_kind(alg) == JWT_SECRET, bytes, &n)) < 0)
		return complain(entry, err_text(rc));
	if ((rc = jwt_keys_add(keys, kid, alg, bytes, n, &fault)) == -ERR_CONFIG)
		return complain(entry, fault);
	return rc;
}

static int read_keys(const struct config *cfg, struct jwt_keys **out)
{
	uint8_t *bytes = malloc(KEY_FILE_MAX);
	struct jwt_keys *keys = NULL;
	const char *rest = cfg->auth_jwt_keys;
	char entry[4096];
	unsigned n = 0;
	int rc = bytes != NULL ? jwt_keys_new(&keys) : -ENOMEM;

	for (; rc == 0 && config_list_next(&rest, entry, sizeof(entry)); n++)
		rc = add_entry(keys, entry, bytes);
	if (rc == 0 && n == 0 && cfg->auth_jwks_url[0] == '\0')
		rc = complain("", "none is there; auth.mode = jwt needs one, or auth.jwks_url");
	if (bytes != NULL)
		explicit_bzero(bytes, KEY_FILE_MAX);
	free(bytes);
	if (rc == 0)
		*out = keys;
	else if (keys != NULL)
		jwt_keys_unref(&keys);
	return rc;
}

int auth_jwt_new(const struct config *cfg, struct auth_jwt **out)
{
	struct auth_jwt *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return -ENOMEM;
	if ((rc = read_keys(cfg, &a->keys)) == 0 && cfg->auth_jwks_url[0] != '\0')
		rc = jwks_new(cfg, &a->jwks);
	if (rc < 0) {
		if (a->keys != NULL)
			jwt_keys_unref(&a->keys);
		free(a);
		return rc;
	}
	a->magic = AUTH_JWT_MAGIC;
	a->cfg = cfg;
	lock_init(&a->lock, LOCK_POOL);
	*out = a;
	return 0;
}

void auth_jwt_heed(struct auth_jwt *a, struct bans *bans)
{
	OBJ_CHECK(a, AUTH_JWT_MAGIC);
	a->bans = bans;
}

int auth_jwt_start(struct auth_jwt *a)
{
	OBJ_CHECK(a, AUTH_JWT_MAGIC);
	return a->jwks != NULL ? jwks_start(a->jwks) : 0;
}

void auth_jwt_free(struct auth_jwt **jwt)
{
	struct auth_jwt *a = *jwt;

	OBJ_CHECK(a, AUTH_JWT_MAGIC);
	if (a->jwks != NULL)
		jwks_free(&a->jwks);
	jwt_keys_unref(&a->keys);
	lock_fini(&a->lock);
	a->magic = 0;
	free(a);
	*jwt = NULL;
}

static int read_again(void *self)
{
	struct auth_jwt *a = self;

	OBJ_CHECK(a, AUTH_JWT_MAGIC);
	return read_keys(a->cfg, &a->next);
}

static void settle(void *self, bool use)
{
	struct auth_jwt *a = self;
	struct jwt_keys *unused = a->next;

	lock_take(&a->lock);
	if (use) {
		unused = a->keys;
		a->keys = a->next;
	}
	lock_drop(&a->lock);
	a->next = NULL;
	jwt_keys_unref(&unused);
}

struct reload_part auth_jwt_reload(struct auth_jwt *a)
{
	return (struct reload_part){"keys of tokens", read_again, settle, a};
}

static struct jwt_keys *keys_of(struct auth_jwt *a)
{
	struct jwt_keys *keys;

	lock_take(&a->lock);
	keys = jwt_keys_ref(a->keys);
	lock_drop(&a->lock);
	return keys;
}

/* ---- the token in the body ---- */

/* The body is the token as it is, or as a JSON string, or a JSON object that holds it beside members that the client may choose
 * itself. *said is the JSON that was read, NULL for the bare token, and owns the token's bytes. -EBADMSG, -ENOMEM. */
static int find_token(const struct auth_request *request, json_t **said, const char **token, size_t *n)
{
	const json_t *inside;

	*said = NULL;
	*token = (const char *)request->token;
	*n = request->token_bytes;
	if (*n == 0)
		return -EBADMSG;
	if (strchr(" \t\r\n\"{", (*token)[0]) == NULL || (*token)[0] == '\0')
		return 0;
	*said = json_read(*token, *n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY);
	if (*said == NULL && json_ran_out())
		return -ENOMEM;
	inside = json_is_object(*said) ? json_object_get(*said, "token") : *said;
	if (!json_is_string(inside))
		return -EBADMSG;
	*token = json_string_value(inside);
	*n = json_string_length(inside);
	return 0;
}

bool auth_jwt_has_token(const struct auth_request *request)
{
	const char *token;
	json_t *said;
	size_t n;
	bool is_there;

	if (request->token_bytes == 0)
		return false;
	is_there = find_token(request, &said, &token, &n) == 0 || !json_is_object(said) || auth_has(said, "token");
	json_decref(said);
	return is_there;
}

/* ---- both ---- */

/* With all keys that are known now. */
static int read_token(struct auth_jwt *a, const char *text, size_t n, struct jwt_token *token, struct jwt_refusal *why)
{
	struct jwt_keys *files = keys_of(a), *fetched = a->jwks != NULL ? jwks_keys(a->jwks) : NULL;
	int rc = jwt_read(&(struct jwt_sets){files, fetched}, text, n, token, why);

	jwt_keys_unref(&files);
	if (fetched != NULL)
		jwt_keys_unref(&fetched);
	return rc;
}

/* A key that is not known may be one that the login service has only just begun to use: then its client comes again. */
static int turn_away(struct auth_jwt *a, const struct jwt_refusal *why, struct auth_identity *who)
{
	int rc = auth_refuse(who, why->cause, NULL);

	if (why->cause != AUTH_UNKNOWN_KEY || a->jwks == NULL || !jwks_may_come(a->jwks, why->kid))
		return rc;
	who->cause = AUTH_JWKS;
	return -ERR_NO_LOGIC;
}

/* A ticket is one of its user's tokens, which may have been taken back since it was issued. */
static int check_bans(const struct auth_jwt *a, const json_t *claims, const struct user *user,
		      struct auth_identity *why)
{
	char text[USER_BYTES];
	const struct ban_subject whose = {.user = user_text(user, text), .issued_s = auth_claims_issued(claims)};
	struct ban_found found;

	if (a->bans == NULL || !user_is_somebody(user) || !bans_find(a->bans, &whose, &found))
		return 0;
	return auth_refuse(why, found.kind == BAN_TOKENS ? AUTH_REVOKED : AUTH_BANNED, NULL);
}

int auth_jwt_ticket(struct auth_jwt *a, const char *ticket, size_t n, const struct user *user, struct grants **grants)
{
	struct auth_identity who = {0};
	struct jwt_refusal why;
	struct jwt_token token = {0};
	int rc;

	OBJ_CHECK(a, AUTH_JWT_MAGIC);
	rc = read_token(a, ticket, n, &token, &why);
	if (rc == -ERR_REFUSED)
		rc = turn_away(a, &why, &who);
	else if (rc == 0 && (rc = check_bans(a, token.claims, user, &who)) == 0)
		rc = auth_claims_ticket(a->cfg, &(struct auth_told){token.claims, NULL, token.signer}, user, grants,
					&who);
	if (rc == -ERR_REFUSED || rc == -ERR_NO_LOGIC)
		count_by(COUNT_TICKETS_REFUSED, who.cause);
	auth_identity_fini(&who);
	jwt_token_fini(&token);
	return rc;
}

/* One that is no good changes nothing: then the client is in, without those rooms. */
static int take_ticket(struct auth_jwt *a, const json_t *said, struct auth_identity *who)
{
	const json_t *ticket = json_object_get(said, "ticket");
	const struct user user = auth_identity_user(who);
	int rc;

	if (!auth_has(said, "ticket"))
		return 0;
	if (!json_is_string(ticket))
		return auth_refuse(who, AUTH_MALFORMED, "ticket is not a string");
	rc = auth_jwt_ticket(a, json_string_value(ticket), json_string_length(ticket), &user, &who->grants);
	return rc == -ENOMEM ? rc : 0;
}

static int take_told(struct auth_jwt *a, const struct auth_told *told, struct auth_identity *who)
{
	int rc = auth_claims_take(a->cfg, told, who);

	return rc == 0 ? take_ticket(a, told->said, who) : rc;
}

int auth_jwt_check(struct auth_jwt *a, const struct auth_request *request, struct auth_identity *who)
{
	struct jwt_token token = {0};
	struct jwt_refusal why;
	const char *text;
	json_t *said;
	size_t n;
	int rc;

	OBJ_CHECK(a, AUTH_JWT_MAGIC);
	if ((rc = find_token(request, &said, &text, &n)) < 0) {
		json_decref(said);
		return rc == -ENOMEM ? rc : auth_refuse(who, AUTH_MALFORMED, NULL);
	}
	rc = read_token(a, text, n, &token, &why);
	if (rc == -ERR_REFUSED)
		rc = turn_away(a, &why, who);
	else if (rc == 0)
		rc = take_told(a, &(struct auth_told){token.claims, json_is_object(said) ? said : NULL, token.signer},
			       who);
	jwt_token_fini(&token);
	json_decref(said);
	return rc;
}
