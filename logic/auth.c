/* auth: see auth.h. SPDX-License-Identifier: MIT */
#include "logic/auth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/tls/tls_authorities.h"
#include "logic/auth_certified.h"
#include "logic/auth_jwt.h"
#include "logic/auth_open.h"
#include "logic/auth_rooms.h"
#include "logic/auth_webhook.h"

struct auth {
	unsigned magic;
#define AUTH_MAGIC 0xa0740f1e
	/* set once */
	int mode;
	const struct config *cfg;
	bool refuses; /* everybody without a certificate, until auth.mode is set */
	struct auth_jwt *jwt;
	struct auth_webhook *webhook;
	struct auth_rooms *rooms; /* NULL: auth.rooms is not webhook */
};

/* Those who sign the certificate of a back end or of a login service. */
static int try_authorities(const struct config *cfg)
{
	const bool asks = cfg->auth_mode == CONFIG_AUTH_WEBHOOK || cfg->auth_rooms == CONFIG_ROOMS_WEBHOOK ||
			  (cfg->auth_mode == CONFIG_AUTH_JWT && cfg->auth_jwks_url[0] != '\0');

	return asks ? tls_authorities_try("auth.ca_file", cfg->auth_ca_file) : 0;
}

int auth_new(const struct config *cfg, struct auth **out)
{
	struct auth *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return -ENOMEM;
	a->magic = AUTH_MAGIC;
	a->cfg = cfg;
	a->mode = cfg->auth_mode;
	a->refuses = config_refuses_clients(cfg);
	rc = try_authorities(cfg);
	if (rc == 0 && a->mode == CONFIG_AUTH_JWT)
		rc = auth_jwt_new(cfg, &a->jwt);
	else if (rc == 0 && a->mode == CONFIG_AUTH_WEBHOOK)
		rc = auth_webhook_new(cfg, &a->webhook);
	if (rc == 0 && cfg->auth_rooms == CONFIG_ROOMS_WEBHOOK)
		rc = auth_rooms_new(cfg, &a->rooms);
	if (rc < 0) {
		auth_free(&a);
		return rc;
	}
	*out = a;
	return 0;
}

void auth_heed(struct auth *a, struct bans *bans)
{
	OBJ_CHECK(a, AUTH_MAGIC);
	if (a->jwt != NULL)
		auth_jwt_heed(a->jwt, bans);
}

int auth_start(struct auth *a)
{
	OBJ_CHECK(a, AUTH_MAGIC);
	if (a->refuses)
		LOG(LOG_WARN, log_what(EVENT_CLIENTS_REFUSED));
	return a->jwt != NULL ? auth_jwt_start(a->jwt) : 0;
}

void auth_free(struct auth **auth)
{
	struct auth *a = *auth;

	OBJ_CHECK(a, AUTH_MAGIC);
	if (a->jwt != NULL)
		auth_jwt_free(&a->jwt);
	if (a->webhook != NULL)
		auth_webhook_free(&a->webhook);
	if (a->rooms != NULL)
		auth_rooms_free(&a->rooms);
	a->magic = 0;
	free(a);
	*auth = NULL;
}

int auth_try(const struct config *cfg)
{
	struct auth *a;
	int rc = auth_new(cfg, &a);

	if (rc == 0)
		auth_free(&a);
	return rc;
}

struct reload_part auth_reload(struct auth *a)
{
	OBJ_CHECK(a, AUTH_MAGIC);
	return a->webhook != NULL ? auth_webhook_reload(a->webhook) : auth_jwt_reload(a->jwt);
}

struct reload_part auth_reload_rooms(struct auth *a)
{
	OBJ_CHECK(a, AUTH_MAGIC);
	return auth_rooms_reload(a->rooms);
}

bool auth_believes(const struct auth *a)
{
	return a->mode == CONFIG_AUTH_OPEN && !a->refuses;
}

bool auth_waits(const struct auth *a)
{
	return a->webhook != NULL || a->rooms != NULL;
}

static int check_token(struct auth *a, const struct auth_request *request, struct auth_identity *who)
{
	switch (a->mode) {
	case CONFIG_AUTH_JWT:
		return auth_jwt_check(a->jwt, request, who);
	case CONFIG_AUTH_WEBHOOK:
		return auth_webhook_check(a->webhook, request, who);
	default:
		return auth_open_check(request, who);
	}
}

/* A certificate does without a token. One that is there all the same has to be good, and may grant something. */
static bool needs_token(const struct auth *a, const struct auth_request *request)
{
	return a->mode == CONFIG_AUTH_WEBHOOK || (a->mode == CONFIG_AUTH_JWT && auth_jwt_has_token(request));
}

static int check(struct auth *a, const struct auth_request *request, struct auth_identity *who)
{
	int rc;

	if (request->certified == NULL)
		return a->refuses ? auth_refuse(who, AUTH_CLOSED, NULL) : check_token(a, request, who);
	if (!needs_token(a, request))
		return auth_certified_check(a->cfg, request, who);
	rc = check_token(a, request, who);
	return rc == 0 ? auth_certified_hold(a->cfg, request, who) : rc;
}

static int conclude(int rc, struct auth_identity *who)
{
	if (rc == -ERR_REFUSED || rc == -ERR_NO_LOGIC)
		count_by(COUNT_AUTH_FAILURES, who->cause);
	if (rc < 0)
		auth_identity_fini(who);
	return rc;
}

int auth_check(struct auth *a, const struct auth_request *request, struct auth_identity *who)
{
	OBJ_CHECK(a, AUTH_MAGIC);
	*who = (struct auth_identity){0};
	return conclude(check(a, request, who), who);
}

int auth_check_again(struct auth *a, const struct auth_request *request, struct auth_identity *who)
{
	struct user user;
	int rc;

	OBJ_CHECK(a, AUTH_MAGIC);
	*who = (struct auth_identity){0};
	rc = check(a, request, who);
	user = auth_identity_user(who);
	if (rc == 0 && (!user_equal(&user, &request->seat->user) ||
			(who->key[0] != '\0' && strcmp(who->key, request->seat->key) != 0)))
		rc = auth_refuse(who, AUTH_OTHER, NULL);
	return conclude(rc, who);
}

int auth_ticket(struct auth *a, const char *ticket, size_t n, const struct user *user, struct grants **grants)
{
	OBJ_CHECK(a, AUTH_MAGIC);
	if (a->jwt != NULL)
		return auth_jwt_ticket(a->jwt, ticket, n, user, grants);
	count_by(COUNT_TICKETS_REFUSED, AUTH_UNKNOWN_KEY);
	return -ERR_REFUSED;
}

int auth_ask_rooms(struct auth *a, const char *peer, const struct seat *seat, const struct wire_room_count *rooms,
		   size_t n, struct grants **grants)
{
	OBJ_CHECK(a, AUTH_MAGIC);
	return a->rooms != NULL ? auth_rooms_ask(a->rooms, peer, seat, rooms, n, grants) : 0;
}
