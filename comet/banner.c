/* banner: see banner.h. SPDX-License-Identifier: MIT */
#include "comet/banner.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/address.h"
#include "common/base/log.h"
#include "common/base/version.h"

/* The first of a list of addresses, where its port was not left to the kernel. */
static bool first_of(const char *list, char text[128], struct address *at)
{
	return config_list_next(&list, text, 128) && address_parse(text, at) == 0 && at->number > 0;
}

/* As whom the client comes: by a token that the operator can make here, by one that he has, or as user 123. */
static void print_identity(const struct config *cfg, const char *folder, int folder_bytes)
{
	const char *list = cfg->auth_jwt_keys, *file;
	char entry[512];

	if (cfg->auth_mode == CONFIG_AUTH_OPEN) {
		(void)printf("--mid 123\n");
		return;
	}
	while (cfg->auth_mode == CONFIG_AUTH_JWT && config_list_next(&list, entry, sizeof(entry))) {
		const char *kid = strstr(entry, "=HS256:");

		if (kid == NULL && strncmp(entry, "HS256:", 6) != 0)
			continue;
		file = strstr(entry, "HS256:") + 6;
		(void)printf("--token \"$(%.*scomet-cli token make --secret-file %s", folder_bytes, folder, file);
		if (kid != NULL)
			(void)printf(" --kid %.*s", (int)(kid - entry), entry);
		if (cfg->auth_jwt_audience[0] != '\0')
			(void)printf(" --audience %s", cfg->auth_jwt_audience);
		if (cfg->auth_jwt_issuer[0] != '\0')
			(void)printf(" --issuer %s", cfg->auth_jwt_issuer);
		(void)printf(" --mid 123 --accepts 1000)\"\n");
		return;
	}
	(void)printf("--token TOKEN     # auth.mode is %s: the token of user 123\n",
		     cfg->auth_mode == CONFIG_AUTH_JWT ? "jwt" : "webhook");
}

void banner_print(const struct config *cfg, const char *name)
{
	const char *slash = strrchr(name, '/');
	const int folder_bytes = slash != NULL ? (int)(slash - name) + 1 : 0;
	const bool wants_key =
		cfg->http_api_key[0] != '\0' || cfg->http_api_key_file[0] != '\0' || cfg->http_keys_file[0] != '\0';
	char http[128], tcp[128];
	struct address http_at, tcp_at;

	if (isatty(STDOUT_FILENO) != 1 || cfg->log_format == LOG_JSON || !first_of(cfg->http_bind, http, &http_at) ||
	    !first_of(cfg->tcp_bind, tcp, &tcp_at))
		return;
	(void)printf("comet %s runs alone; Ctrl-C stops it. Try, in two other terminals:\n"
		     "  %.*scomet-cli sub --port %s ",
		     version_text, folder_bytes, name, tcp_at.port);
	print_identity(cfg, name, folder_bytes);
	(void)printf("  curl %s-d 'hello' 'http://%s/goim/push/mids?operation=1000&mids=123'\n"
		     "%sOr in a browser: http://%s/\n",
		     wants_key ? "-H \"X-Api-Key: $COMET_API_KEY\" " : "", http,
		     wants_key ? "where COMET_API_KEY is the API key. " : "", http);
	(void)fflush(stdout);
}
