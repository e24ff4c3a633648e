/* config: the rules between settings. Each complaint names the setting to change. SPDX-License-Identifier: MIT */
#include "common/config/config_check.h"
#include "common/config/event_kinds.h"

#include <string.h>
#include <strings.h>

#include "common/base/address.h"
#include "common/base/err.h"
#include "common/base/kept.h"
#include "common/base/ranges.h"
#include "common/base/utf8.h"
#include "common/config/config_redis.h"
#include "common/config/networks.h"
#include "common/config/origins.h"

#define NAME_BYTES_MAX 127
/* The longest path of a socket with its zero byte: unix(7). */
#define UNIX_PATH_BYTES 108

static const char *fault_of_path(const char *path)
{
	if (path[0] != '/')
		return "must have a path from / on behind unix:";
	return strlen(path) < UNIX_PATH_BYTES ? NULL : "has a path that is too long for a socket: at most 107 bytes";
}

/* NULL when the address is good, or its fault. `wide_fault` is the fault of an address beyond loopback, NULL where
 * that is fine. */
static const char *fault_of(const char *text, const char *wide_fault)
{
	struct address a;

	if (strncmp(text, "unix:", 5) == 0)
		return fault_of_path(text + 5);
	if (address_parse(text, &a) < 0 || a.number < 0 || (a.host[0] == '\0' && text[0] == '['))
		return "must be host:port with a port up to 65535 (0 picks a free one), an IPv6 host in brackets, or "
		       "unix:/path";
	return address_is_loopback(&a) ? NULL : wide_fault;
}

/* The other address of the list that this one, a port alone, stands for as well; false: there is none. 0.0.0.0 beside it is the same said
 * twice, and harmless. */
static bool find_included(const char *list, const struct address *all, char other[256])
{
	struct address a;

	while (config_list_next(&list, other, 256))
		if (address_parse(other, &a) == 0 && a.number == all->number && !address_is_wildcard(&a))
			return true;
	return false;
}

/* A port alone takes every address of this machine. Beside one of those with the same port the system lets it take those of IPv6 only, or
 * none. */
static int check_port_alone(const char *setting, const char *address, const char *list, FILE *errors)
{
	struct address a;
	char other[256];

	if (address_parse(address, &a) < 0 || a.host[0] != '\0' || a.number <= 0 || !find_included(list, &a, other))
		return 0;
	(void)fprintf(errors, "%s: %.80s takes %.80s as well, and cannot stand beside it; leave one of them away\n",
		      setting, address, other);
	return -ERR_CONFIG;
}

/* All addresses of one bind setting. */
static int check_bind(const char *setting, const char *list, const char *wide_fault, FILE *errors)
{
	const char *rest = list;
	char address[256];
	int rc = 0;

	while (config_list_next(&rest, address, sizeof(address))) {
		const char *fault = fault_of(address, wide_fault);

		if (fault != NULL)
			(void)fprintf(errors, "%s: %.80s %s\n", setting, address, fault);
		if (fault != NULL || check_port_alone(setting, address, list, errors) < 0)
			rc = -ERR_CONFIG;
	}
	return rc;
}

/* Where the program listens: for clients, who may be anybody with auth.mode = open, and for callers of the API. */
static int check_binds(const struct config *cfg, FILE *errors)
{
	const bool is_open = cfg->auth_mode == CONFIG_AUTH_OPEN && !cfg->auth_allow_open && !cfg->server_closed;
	const bool has_keys =
		cfg->http_api_key[0] != '\0' || cfg->http_api_key_file[0] != '\0' || cfg->http_keys_file[0] != '\0';
	const char *client_fault =
		is_open ? "can be reached from other machines, and auth.mode = open would let anybody in as anybody; "
			  "bind to 127.0.0.1, or set auth.allow_open = yes"
			: NULL;
	const char *api_fault =
		has_keys || cfg->server_closed
			? NULL
			: "can be reached from other machines, and without http.api_key anybody could push and kick; "
			  "bind to 127.0.0.1, or set http.api_key or http.keys_file";
	const char *tls_fault = cfg->tls_client_user == CONFIG_USER_OF_TOKEN ? client_fault : NULL;
	const struct bind {
		const char *setting, *list, *wide_fault;
	} binds[] = {
		{"tcp.bind", cfg->tcp_bind, client_fault},
		{"websocket.bind", cfg->websocket_bind, client_fault},
		{"tcp.tls_bind", cfg->tcp_tls_bind, tls_fault},
		{"websocket.tls_bind", cfg->websocket_tls_bind, tls_fault},
		{"http.bind", cfg->http_bind, api_fault},
		{"http.tls_bind", cfg->http_tls_bind, api_fault},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(binds) / sizeof(binds[0]); i++)
		if (check_bind(binds[i].setting, binds[i].list, binds[i].wide_fault, errors) < 0)
			rc = -ERR_CONFIG;
	return rc;
}

/* A browser shows its user's certificate to the WebSocket of any page, as it does with cookies. */
static int check_client_ca(const struct config *cfg, FILE *errors)
{
	if (cfg->tls_client_ca[0] != '\0' && cfg->tcp_tls_bind[0] == '\0' && cfg->websocket_tls_bind[0] == '\0')
		return complain(errors,
				"tls.client_ca is for clients over TLS: set tcp.tls_bind or websocket.tls_bind");
	if (cfg->tls_client_user == CONFIG_USER_OF_TOKEN)
		return 0;
	if (cfg->tls_client_ca[0] == '\0')
		return complain(errors, "tls.client_user other than token needs tls.client_ca");
	if (cfg->websocket_tls_bind[0] != '\0' && cfg->websocket_origins[0] == '\0')
		return complain(errors, "tls.client_user other than token needs websocket.origins with "
					"websocket.tls_bind: pages of any site could use their visitor's certificate");
	return 0;
}

static int check_certs(const struct config *cfg, FILE *errors)
{
	if (config_speaks_tls(cfg) && (cfg->tls_cert_file[0] == '\0' || cfg->tls_private_file[0] == '\0'))
		return complain(errors, "tls.cert_file and tls.private_file must be set for tcp.tls_bind, "
					"websocket.tls_bind and http.tls_bind");
	if (cfg->http_client_ca[0] != '\0' && cfg->http_tls_bind[0] == '\0')
		return complain(errors, "http.client_ca is for callers over TLS: set http.tls_bind");
	return check_client_ca(cfg, errors);
}

/* An entry that no page can match is a page that cannot come in. */
static int check_origins(const struct config *cfg, FILE *errors)
{
	const char *list = cfg->websocket_origins;
	char entry[ORIGIN_BYTES], nearest[ORIGIN_BYTES];
	int rc = 0;

	if (list[0] != '\0' && config_list_count(list) == 0)
		return complain(errors, "websocket.origins names no origin; leave it empty, or set it to * for all");
	while (config_list_next(&list, entry, sizeof(entry))) {
		if (!origins_nearest(entry, nearest))
			(void)fprintf(errors,
				      "websocket.origins: %.80s is no origin as browsers send it; write "
				      "https://HOST, https://HOST:PORT, https://*.DOMAIN, or * for all\n",
				      entry);
		else if (strcasecmp(entry, nearest) != 0)
			(void)fprintf(errors, "websocket.origins: %.80s is no origin as browsers send it; write %s\n",
				      entry, nearest);
		else
			continue;
		rc = -ERR_CONFIG;
	}
	return rc;
}

static int check_networks(const char *setting, const char *list, FILE *errors)
{
	char entry[128];
	int rc = 0;

	while (config_list_next(&list, entry, sizeof(entry))) {
		const char *fault = networks_fault(entry);

		if (fault == NULL)
			continue;
		(void)fprintf(errors, "%s: %.80s %s\n", setting, entry, fault);
		rc = -ERR_CONFIG;
	}
	return rc;
}

static int check_secrets(const struct config *cfg, FILE *errors)
{
	int rc = 0;

	if (cfg->http_api_key[0] != '\0' && cfg->http_api_key_file[0] != '\0')
		rc = complain(errors, "http.api_key_file takes the place of http.api_key; set one of them");
	if (cfg->auth_secret[0] != '\0' && cfg->auth_secret_file[0] != '\0')
		rc = complain(errors, "auth.secret_file takes the place of auth.secret; set one of them");
	return rc;
}

/* Those who are listed alone would keep nobody out, and their headers would be garbage to the protocol. */
static int check_balancers(const char *section, const char *proxy_from, bool proxy_protocol, FILE *errors)
{
	if (proxy_from[0] == '\0' || proxy_protocol)
		return 0;
	(void)fprintf(
		errors,
		"%s.proxy_from lists balancers that send PROXY headers, and %s.proxy_protocol = yes must be set for "
		"these to be read\n",
		section, section);
	return -ERR_CONFIG;
}

static int check_proxies(const struct config *cfg, FILE *errors)
{
	bool good = check_networks("tcp.proxy_from", cfg->tcp_proxy_from, errors) == 0;

	good &= check_networks("websocket.proxy_from", cfg->websocket_proxy_from, errors) == 0;
	good &= check_networks("websocket.trusted_proxies", cfg->websocket_trusted_proxies, errors) == 0;
	good &= check_networks("http.trusted_proxies", cfg->http_trusted_proxies, errors) == 0;
	good &= check_balancers("tcp", cfg->tcp_proxy_from, cfg->tcp_proxy_protocol, errors) == 0;
	good &= check_balancers("websocket", cfg->websocket_proxy_from, cfg->websocket_proxy_protocol, errors) == 0;
	return good ? 0 : -ERR_CONFIG;
}

static bool is_utf8(const char *name)
{
	return utf8_is_valid((const uint8_t *)name, strlen(name));
}

/* A longer one would be cut off, and two could become one. They stand in JSON, which has nothing but UTF-8: in nodes,
 * connections and events, and between the servers. */
static int check_names(const struct config *cfg, FILE *errors)
{
	if (strlen(cfg->server_id) > NAME_BYTES_MAX || strlen(cfg->logic_id) > NAME_BYTES_MAX)
		return complain(errors, "server.id and logic.id must have at most 127 bytes");
	if (!is_utf8(cfg->server_id) || !is_utf8(cfg->server_region) || !is_utf8(cfg->server_addrs) ||
	    !is_utf8(cfg->logic_id))
		return complain(errors, "server.id, server.region, server.addrs and logic.id must be UTF-8");
	return 0;
}

static int check_events(const struct config *cfg, FILE *errors)
{
	unsigned wanted;

	if (!event_kinds_parse(cfg->events_kinds, &wanted))
		return complain(errors,
				"events.kinds may have online, offline, occupied, vacated and unacked, with commas");
	if (event_kinds_have(wanted, "unacked") && cfg->stream_users[0] == '\0')
		return complain(
			errors,
			"events.kinds has unacked, and without stream.users nothing is kept that could be confirmed");
	return 0;
}

static int check_upstream(const struct config *cfg, FILE *errors)
{
	struct ranges ops;

	if (ranges_parse(cfg->limits_upstream_ops, &ops) < 0)
		return complain(errors,
				"limits.upstream_ops must be numbers and ranges with commas, such as 4,1000-1999");
	return 0;
}

static int check_streams(const struct config *cfg, bool is_logic, FILE *errors)
{
	struct kept kept;

	if (kept_parse(cfg->stream_rooms, NULL, &kept) < 0)
		return complain(errors, "stream.rooms must be room types with what they keep, each once, such as "
					"chat:200/10m, live:20/30s: at most 64 types, 10000 messages and 168h");
	if (kept_parse(cfg->stream_rooms, cfg->stream_users, &kept) < 0)
		return complain(errors, "stream.users must be what is kept for each user, such as 50/24h: at most "
					"10000 messages and 168h");
	for (size_t i = 0; i < kept.n; i++)
		if (kept.types[i].ttl_ms > cfg->stream_position_ttl)
			return complain(errors, "stream.position_ttl must not be shorter than a time in stream.rooms");
	if (kept.users.ttl_ms > cfg->stream_position_ttl)
		return complain(errors, "stream.position_ttl must not be shorter than the time in stream.users");
	/* A comet of a cluster lets in whom its logic does. */
	if (kept_has_users(&kept) && (is_logic || cfg->logic_mode == CONFIG_LOGIC_EMBEDDED) &&
	    cfg->auth_mode == CONFIG_AUTH_OPEN && !cfg->stream_users_open)
		return complain(errors, "stream.users with auth.mode=open lets everybody read what was pushed to "
					"anybody; stream.users_open=yes says that this is meant");
	if (cfg->stream_memory < cfg->stream_bytes)
		return complain(errors, "stream.memory must not be less than stream.bytes");
	/* In a cluster a comet renews the numbers of rooms that have members when it tells of its rooms. */
	if (cfg->logic_mode == CONFIG_LOGIC_REDIS && (kept.n > 0 || kept_has_users(&kept)) &&
	    (cfg->stream_position_ttl < 2 * cfg->logic_renew_online ||
	     cfg->stream_idle_ttl < 2 * cfg->logic_renew_online))
		return complain(errors, "stream.position_ttl and stream.idle_ttl must be at least twice "
					"logic.renew_online");
	return 0;
}

int config_check(const struct config *cfg, bool is_logic, FILE *errors)
{
	bool good = check_binds(cfg, errors) == 0;

	/* All of them, so that one start shows every fault. */
	good &= check_certs(cfg, errors) == 0;
	good &= config_check_auth(cfg, is_logic, errors) == 0;
	good &= check_origins(cfg, errors) == 0;
	good &= check_secrets(cfg, errors) == 0;
	good &= check_proxies(cfg, errors) == 0;
	good &= check_names(cfg, errors) == 0;
	good &= config_redis_check(cfg, errors) == 0;
	good &= check_upstream(cfg, errors) == 0;
	good &= check_events(cfg, errors) == 0;
	good &= check_streams(cfg, is_logic, errors) == 0;
	return good ? 0 : -ERR_CONFIG;
}
