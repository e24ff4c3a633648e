/* config: the rules between settings. Each complaint names the setting to change. SPDX-License-Identifier: MIT */
#include "common/config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

/* Where the host ends and the port begins in "host:port" or "[v6]:port"; NULL when it is neither. */
static const char *port_of(const char *address)
{
	const char *colon = address[0] == '[' ? strstr(address, "]:") : strchr(address, ':');

	if (!colon)
		return NULL;
	colon += address[0] == '[';
	/* A second colon is an IPv6 address that wants its brackets. */
	return strchr(colon + 1, ':') ? NULL : colon + 1;
}

static bool is_port(const char *text)
{
	size_t bytes = strspn(text, "0123456789");

	return bytes > 0 && bytes <= 5 && text[bytes] == '\0' && strtol(text, NULL, 10) <= 65535;
}

/* NULL when the address is good, or what is wrong with it. */
static const char *fault_of(const char *address)
{
	const char *port = port_of(address);

	if (!port || !is_port(port))
		return "must be host:port with a port up to 65535 (0 picks a free one), an IPv6 host in brackets";
	if (address[0] == ':' || strncmp(address, "[]", 2) == 0)
		return "names no host; 0.0.0.0 stands for every IPv4 address, [::] for every IPv6 one";
	return NULL;
}

/* Names other than localhost count as wide: what they resolve to can change behind our back. */
static bool is_loopback(const char *address)
{
	struct in_addr v4;
	char host[64];
	size_t bytes = (size_t)(port_of(address) - address) - 1;

	if (bytes >= sizeof(host))
		return false;
	memcpy(host, address, bytes);
	host[bytes] = '\0';
	if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

/* All addresses of one bind setting; `wide_fault` is what to say about one beyond loopback, NULL where that is fine. */
static int check_bind(const char *setting, const char *list, const char *wide_fault, FILE *errors)
{
	char address[256];
	int rc = 0;

	while (config_list_next(&list, address, sizeof(address))) {
		const char *fault = fault_of(address);

		if (!fault && wide_fault && !is_loopback(address))
			fault = wide_fault;
		if (fault) {
			(void)fprintf(errors, "%s: %.80s %s\n", setting, address, fault);
			rc = -ERR_CONFIG;
		}
	}
	return rc;
}

int config_check(const struct config *cfg, FILE *errors)
{
	const char *client_fault = NULL;
	const char *api_fault = NULL;
	int rc = 0;

	if (cfg->auth_mode == CONFIG_AUTH_OPEN && !cfg->auth_allow_open)
		client_fault =
			"can be reached from other machines, and auth.mode = open would let anybody in as anybody; "
			"bind to 127.0.0.1, or set auth.allow_open = yes";
	if (cfg->http_api_key[0] == '\0' && cfg->http_keys_file[0] == '\0')
		api_fault = "can be reached from other machines, and without http.api_key anybody could push and kick; "
			    "bind to 127.0.0.1, or set http.api_key or http.keys_file";
	if (check_bind("tcp.bind", cfg->tcp_bind, client_fault, errors) < 0)
		rc = -ERR_CONFIG;
	if (check_bind("websocket.bind", cfg->websocket_bind, client_fault, errors) < 0)
		rc = -ERR_CONFIG;
	if (check_bind("tcp.tls_bind", cfg->tcp_tls_bind, client_fault, errors) < 0)
		rc = -ERR_CONFIG;
	if (check_bind("websocket.tls_bind", cfg->websocket_tls_bind, client_fault, errors) < 0)
		rc = -ERR_CONFIG;
	if ((cfg->tcp_tls_bind[0] != '\0' || cfg->websocket_tls_bind[0] != '\0') &&
	    (cfg->tls_cert_file[0] == '\0' || cfg->tls_private_file[0] == '\0')) {
		(void)fprintf(errors, "tls.cert_file and tls.private_file must be set for tcp.tls_bind and "
				      "websocket.tls_bind\n");
		rc = -ERR_CONFIG;
	}
	if (check_bind("http.bind", cfg->http_bind, api_fault, errors) < 0)
		rc = -ERR_CONFIG;
	if (cfg->redis_forget < cfg->redis_lease) {
		(void)fprintf(errors,
			      "redis.forget must be at least redis.lease, or comets would be taken for dead that "
			      "are only late\n");
		rc = -ERR_CONFIG;
	}
	return rc;
}
