/* ws_upgrade: see ws_upgrade.h. SPDX-License-Identifier: MIT */
#include "comet/door/ws_upgrade.h"

#include <stdbool.h>
#include <string.h>

#include "common/config/config.h"

static bool header_is(struct lws *wsi, enum lws_token_indexes token, const char *wanted)
{
	char value[32];

	return lws_hdr_copy(wsi, value, sizeof(value), token) > 0 && strcmp(value, wanted) == 0;
}

/* Any page may connect where no origin is listed; what is no page sends none. */
static bool is_origin_allowed(struct lws *wsi, const char *origins)
{
	char origin[256], allowed[256];

	if (origins[0] == '\0' || lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) == 0)
		return true;
	if (lws_hdr_copy(wsi, origin, sizeof(origin), WSI_TOKEN_ORIGIN) <= 0)
		return false; /* too long to be one of ours */
	while (config_list_next(&origins, allowed, sizeof(allowed)))
		if (strcasecmp(origin, allowed) == 0)
			return true;
	return false;
}

/* The key must be 16 bytes in base64. */
static bool has_key(struct lws *wsi)
{
	char key[32];
	int n = lws_hdr_copy(wsi, key, sizeof(key), WSI_TOKEN_KEY);

	return n == 24 && strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == 22 &&
	       strcmp(key + 22, "==") == 0;
}

const char *ws_upgrade_fault(struct lws *wsi, const char *to, const char *origins, enum close_reason *why)
{
	*why = CLOSE_WEBSOCKET_UPGRADE;
	if (strcasecmp(to, "websocket") != 0)
		return "400 Bad Request";
	if (!header_is(wsi, WSI_TOKEN_GET_URI, "/sub"))
		return "404 Not Found";
	if (!header_is(wsi, WSI_TOKEN_VERSION, "13"))
		return "426 Upgrade Required";
	/* We have no subprotocol to choose, and browsers insist on a choice. */
	if (!header_is(wsi, WSI_TOKEN_HTTP, "HTTP/1.1") || !has_key(wsi) ||
	    lws_hdr_total_length(wsi, WSI_TOKEN_HOST) == 0 || lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) > 0)
		return "400 Bad Request";
	if (!is_origin_allowed(wsi, origins)) {
		*why = CLOSE_WEBSOCKET_ORIGIN;
		return "403 Forbidden";
	}
	return NULL;
}

const char *ws_upgrade_missing(struct lws *wsi)
{
	return header_is(wsi, WSI_TOKEN_GET_URI, "/sub") ? "426 Upgrade Required" : "404 Not Found";
}
