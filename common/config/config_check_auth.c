/* config_check_auth: the rules of the section auth. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/base/address.h"
#include "common/config/config_check.h"
#include "common/config/user_prefix.h"

/* The files of [KID=]ALGORITHM:FILE, .... Which key fits which algorithm is found out when they are read. */
static int check_jwt_keys(const struct config *cfg, FILE *errors)
{
	const char *list = cfg->auth_jwt_keys;
	char entry[4096];
	int rc = 0;

	if (config_list_count(list) == 0 && cfg->auth_jwks_url[0] == '\0')
		return complain(errors, "auth.jwt_keys must be set for auth.mode = jwt: [KID=]ALGORITHM:FILE, such as "
					"HS256:/etc/comet/token.secret; or auth.jwks_url");
	while (config_list_next(&list, entry, sizeof(entry))) {
		const char *path = strchr(entry, ':');

		if (path == NULL || path[1] == '\0')
			(void)fprintf(errors, "auth.jwt_keys: %.80s is not [KID=]ALGORITHM:FILE\n", entry);
		else if (access(path + 1, R_OK) < 0)
			(void)fprintf(errors, "auth.jwt_keys: %.200s cannot be read: %s\n", path + 1, err_text(errno));
		else
			continue;
		rc = -ERR_CONFIG;
	}
	return rc;
}

/* Where the host begins; 0: it is none that can be called. */
static size_t scheme_bytes(const char *url)
{
	size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;

	return url[scheme] == '\0' ? 0 : scheme;
}

/* In every mode, since -t shows it in every mode. */
static int check_url_for_secrets(const char *setting, const char *url, FILE *errors)
{
	const char *host = strstr(url, "://");

	host = host != NULL ? host + 3 : url;
	if (memchr(host, '@', strcspn(host, "/?#")) == NULL)
		return 0;
	(void)fprintf(errors, "%s must have no password in it, since -t shows it%s\n", setting,
		      strcmp(setting, "auth.url") == 0 ? "; use auth.secret" : "");
	return -ERR_CONFIG;
}

static int check_ca_file(const struct config *cfg, FILE *errors)
{
	if (cfg->auth_ca_file[0] == '\0' || access(cfg->auth_ca_file, R_OK) == 0)
		return 0;
	(void)fprintf(errors, "auth.ca_file: %.200s cannot be read: %s\n", cfg->auth_ca_file, err_text(errno));
	return -ERR_CONFIG;
}

/* Whoever can change the answer on its way can sign tokens. */
static int check_jwks_url(const struct config *cfg, FILE *errors)
{
	const char *url = cfg->auth_jwks_url;
	size_t scheme = scheme_bytes(url);
	char host[256];
	struct address a;

	if (url[0] == '\0')
		return 0;
	(void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(url + scheme, "/?#"), url + scheme);
	if (scheme == 8 || (scheme == 7 && address_parse(host, &a) == 0 && address_is_loopback(&a)))
		return check_ca_file(cfg, errors);
	return complain(errors, "auth.jwks_url must be a https:// address; http:// is good for this machine only");
}

/* The addresses of back ends that are asked, and how long for. */
static int check_back_ends(const struct config *cfg, bool is_logic, FILE *errors)
{
	if (cfg->auth_mode == CONFIG_AUTH_WEBHOOK && scheme_bytes(cfg->auth_url) == 0)
		return complain(errors,
				"auth.url must be set for auth.mode = webhook, to a http:// or https:// address");
	if (cfg->auth_rooms == CONFIG_ROOMS_WEBHOOK && scheme_bytes(cfg->auth_room_url) == 0)
		return complain(errors,
				"auth.room_url must be set for auth.rooms = webhook, to a http:// or https:// address");
	if (cfg->auth_mode != CONFIG_AUTH_WEBHOOK && cfg->auth_rooms != CONFIG_ROOMS_WEBHOOK)
		return 0;
	if (check_ca_file(cfg, errors) < 0)
		return -ERR_CONFIG;
	if (cfg->auth_timeout >= cfg->logic_timeout)
		return complain(errors, "auth.timeout must be less than logic.timeout, or a comet gives up before the "
					"back end's answer can reach it");
	if (!is_logic && cfg->auth_timeout >= cfg->protocol_handshake_timeout)
		return complain(errors, "auth.timeout must be less than protocol.handshake_timeout, or clients are "
					"closed before the back end's answer can reach them");
	return 0;
}

/* A browser sends its user's cookies with the request of any page. */
static int check_headers(const struct config *cfg, FILE *errors)
{
	static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
	const char *list = cfg->auth_headers;
	char name[256];
	int rc = 0;

	while (config_list_next(&list, name, sizeof(name))) {
		if (strspn(name, token) != strlen(name) || strlen(name) >= 128) {
			(void)fprintf(errors, "auth.headers: %.80s is not the name of a header\n", name);
			rc = -ERR_CONFIG;
		} else if (strcasecmp(name, "Cookie") == 0 && cfg->websocket_origins[0] == '\0') {
			rc = complain(errors,
				      "auth.headers may have Cookie only where websocket.origins is set: pages of "
				      "any site could use their visitor's cookies");
		}
	}
	return rc;
}

/* As operations are compared: a number that is written otherwise would open nothing, or to clients of version 1 alone. */
static bool is_op_pattern(const char *text)
{
	const char *number = text + (text[0] == '-');
	size_t digits = strspn(number, "0123456789");
	bool is_open = number[digits] == '*' && number[digits + 1] == '\0';

	return (is_open || (number[digits] == '\0' && digits > 0)) && (number[0] != '0' || digits == 1);
}

static int check_ops_open(const struct config *cfg, FILE *errors)
{
	const char *list = cfg->auth_ops_open;
	char op[256];
	int rc = 0;

	while (config_list_next(&list, op, sizeof(op)))
		if (!is_op_pattern(op)) {
			(void)fprintf(errors, "auth.ops_open: %.80s is no operation, such as 1000 or 20*\n", op);
			rc = -ERR_CONFIG;
		}
	return rc;
}

static int check_claims(const struct config *cfg, FILE *errors)
{
	return config_list_count(cfg->auth_claim_mid) > 0
		       ? 0
		       : complain(errors, "auth.claim_mid must name a claim, or no token says whose it is");
}

/* Without proof of an identity there is nobody to grant anything to. */
static int check_grants(const struct config *cfg, FILE *errors)
{
	if (cfg->auth_mode == CONFIG_AUTH_OPEN &&
	    (cfg->auth_rooms != CONFIG_ROOMS_OPEN || cfg->auth_ops != CONFIG_OPS_OPEN))
		return complain(errors,
				"auth.rooms and auth.ops other than open need auth.mode = jwt or webhook, or clients "
				"would grant themselves anything");
	return check_ops_open(cfg, errors);
}

/* A comet of a cluster asks comet-logic: its files need not be here. */
int config_check_auth(const struct config *cfg, bool is_logic, FILE *errors)
{
	if (check_url_for_secrets("auth.url", cfg->auth_url, errors) < 0 ||
	    check_url_for_secrets("auth.room_url", cfg->auth_room_url, errors) < 0 ||
	    (!is_logic && (check_headers(cfg, errors) < 0 || check_grants(cfg, errors) < 0)) ||
	    check_url_for_secrets("auth.jwks_url", cfg->auth_jwks_url, errors) < 0)
		return -ERR_CONFIG;
	if (!is_logic && cfg->logic_mode != CONFIG_LOGIC_EMBEDDED)
		return 0;
	if (check_back_ends(cfg, is_logic, errors) < 0 || user_prefix_check(cfg, errors) < 0)
		return -ERR_CONFIG;
	if (cfg->auth_mode == CONFIG_AUTH_JWT)
		return check_jwt_keys(cfg, errors) < 0 || check_jwks_url(cfg, errors) < 0 ||
				       check_claims(cfg, errors) < 0
			       ? -ERR_CONFIG
			       : 0;
	return 0;
}
