/* started: see started.h. SPDX-License-Identifier: MIT */
#include "common/config/started.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/version.h"

/* "tcp 127.0.0.1:3101", where it is set. */
static void add(char *text, size_t text_bytes, const char *name, const char *bind)
{
	const size_t n = strlen(text);

	if (bind[0] != '\0')
		(void)snprintf(text + n, text_bytes - n, "%s%s %s", n > 0 ? ", " : "", name, bind);
}

void started_say(const struct config *cfg, const char *program, const char *mode)
{
	static const char *const auth[] = {
		[CONFIG_AUTH_OPEN] = "open", [CONFIG_AUTH_JWT] = "jwt", [CONFIG_AUTH_WEBHOOK] = "webhook"};
	const bool is_comet = strcmp(mode, "logic") != 0;
	char listeners[512] = "";

	if (is_comet) {
		add(listeners, sizeof(listeners), "tcp", cfg->tcp_bind);
		add(listeners, sizeof(listeners), "tcp-tls", cfg->tcp_tls_bind);
		add(listeners, sizeof(listeners), "websocket", cfg->websocket_bind);
		add(listeners, sizeof(listeners), "websocket-tls", cfg->websocket_tls_bind);
	}
	add(listeners, sizeof(listeners), "http", cfg->http_bind);
	add(listeners, sizeof(listeners), "http-tls", cfg->http_tls_bind);
	LOG(LOG_INFO, log_what(EVENT_PROGRAM_STARTED), log_str("program", program), log_str("version", version_text),
	    log_str("commit", version_commit), log_i64("pid", getpid()), log_str("mode", mode),
	    log_str_if("auth", strcmp(mode, "cluster") != 0 ? auth[cfg->auth_mode] : NULL), /* else comet-logic's */
	    log_str("listeners", listeners), log_str("settings", cfg->file != NULL ? cfg->file : "none"));
}
