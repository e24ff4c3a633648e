/* ws_upgrade: is a request an upgrade to a WebSocket that we take? libwebsockets would do with less: it takes any path, any
 * version, and HTTP/2. SPDX-License-Identifier: MIT */
#ifndef COMET_DOOR_WS_UPGRADE_H
#define COMET_DOOR_WS_UPGRADE_H

#include <libwebsockets.h>

#include "comet/close_reason.h"

/* In LWS_CALLBACK_HTTP_CONFIRM_UPGRADE, where `to` is what it wants to upgrade to; origins: websocket.origins. NULL: we take
 * it; else the status to answer with, and *why. */
const char *ws_upgrade_fault(struct lws *wsi, const char *to, const char *origins, enum close_reason *why);

/* In LWS_CALLBACK_HTTP, of a request that wants no upgrade: the status to answer with. */
const char *ws_upgrade_missing(struct lws *wsi);

#endif
