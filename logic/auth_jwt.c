/* auth_jwt: see auth_jwt.h. SPDX-License-Identifier: MIT */
#include "logic/auth_jwt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/small_file.h"
#include "common/wire/wire.h"
#include "logic/jwks.h"
#include "logic/jwt.h"

/* No file of a key is longer. */
#define KEY_FILE_MAX 65536
/* The end of the year 9999. A later time is most often one in milliseconds, and would make a token that never ends. */
#define SECONDS_MAX 253402300799.0

struct auth_jwt {
	unsigned magic;
#define AUTH_JWT_MAGIC 0xa07437e1
	/* set once */
	const struct config *cfg;
	struct jwks *jwks; /* NULL: there is no auth.jwks_url */
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

/* ---- the claims ---- */

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
	if (value != NULL && (!json_is_number(value) || seconds > SECONDS_MAX)) {
		(void)snprintf(words, sizeof(words), "%s is not a number of seconds since 1970", name);
		return auth_refuse(who, AUTH_CLAIMS, words);
	}
	*ms = (int64_t)((seconds < 0 ? 0 : seconds) * 1000);
	return 0;
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
 * its own user, <user>_<key>, where the user's string is escaped so that no two of these are one. */
static int take_chosen_key(const json_t *said, struct auth_identity *who)
{
	const struct user user = auth_identity_user(who);
	char key[WIRE_KEY_BYTES], escaped[USER_ESCAPED_BYTES], *chosen = NULL;
	int n, rc = auth_read_string(who, said, "key", WIRE_KEY_BYTES, &chosen);

	if (rc < 0)
		return rc;
	n = chosen[0] != '\0' ? snprintf(key, sizeof(key), "%s_%s", user_escaped(&user, escaped), chosen) : 0;
	if (chosen[0] != '\0' && !user_is_somebody(&user))
		rc = auth_refuse(who, AUTH_MALFORMED, "a client that is no user cannot choose a key");
	else if (n < 0 || (size_t)n >= sizeof(key))
		rc = auth_refuse(who, AUTH_MALFORMED, "key is too long");
	else if ((who->key = strdup(n > 0 ? key : "")) == NULL)
		rc = -ENOMEM;
	free(chosen);
	return rc;
}

/* The claims of a token, and the client's members beside it, which nobody has signed. */
struct told {
	const json_t *claims;
	const json_t *said;
};

static int read_key(const struct config *cfg, const struct told *told, struct auth_identity *who)
{
	if (!auth_has(told->claims, cfg->auth_claim_key))
		return take_chosen_key(told->said, who);
	return as_claim(auth_read_string(who, told->claims, cfg->auth_claim_key, WIRE_KEY_BYTES, &who->key), who);
}

static int read_room(const struct config *cfg, const struct told *told, struct auth_identity *who)
{
	if (!auth_has(told->claims, cfg->auth_claim_room))
		return auth_read_string(who, told->said, "room_id", WIRE_ROOM_BYTES, &who->room);
	return as_claim(auth_read_string(who, told->claims, cfg->auth_claim_room, WIRE_ROOM_BYTES, &who->room), who);
}

static int read_accepts(const struct config *cfg, const struct told *told, struct auth_identity *who)
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

/* The token's claim counts; where it has none, the client's member beside it. */
static int take_told(const struct config *cfg, const struct told *told, struct auth_identity *who)
{
	int rc;

	if ((rc = check_dates(cfg, told->claims, who)) < 0 || (rc = check_parties(cfg, told->claims, who)) < 0 ||
	    (rc = read_user(cfg, told->claims, who)) < 0 || (rc = read_key(cfg, told, who)) < 0 ||
	    (rc = read_room(cfg, told, who)) < 0 || (rc = read_accepts(cfg, told, who)) < 0 ||
	    (rc = auth_read_string(who, told->said, "platform", WIRE_TEXT_BYTES, &who->platform)) < 0)
		return rc;
	if ((rc = as_claim(auth_read_grants(who, told->claims, cfg->auth_claim_rooms, cfg->auth_claim_ops), who)) < 0)
		return rc;
	return read_dialect(told->said, who);
}

/* With all keys that are known now. */
static int read_token(struct auth_jwt *a, const char *token, size_t n, json_t **claims, struct jwt_refusal *why)
{
	struct jwt_keys *files = keys_of(a), *fetched = a->jwks != NULL ? jwks_keys(a->jwks) : NULL;
	int rc = jwt_read(&(struct jwt_sets){files, fetched}, token, n, claims, why);

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

int auth_jwt_check(struct auth_jwt *a, const struct auth_request *request, struct auth_identity *who)
{
	json_t *said, *claims = NULL;
	struct jwt_refusal why;
	const char *token;
	size_t n;
	int rc;

	OBJ_CHECK(a, AUTH_JWT_MAGIC);
	if ((rc = find_token(request, &said, &token, &n)) < 0) {
		json_decref(said);
		return rc == -ENOMEM ? rc : auth_refuse(who, AUTH_MALFORMED, NULL);
	}
	rc = read_token(a, token, n, &claims, &why);
	if (rc == -ERR_REFUSED)
		rc = turn_away(a, &why, who);
	else if (rc == 0)
		rc = take_told(a->cfg, &(struct told){claims, json_is_object(said) ? said : NULL}, who);
	json_decref(claims);
	json_decref(said);
	return rc;
}
