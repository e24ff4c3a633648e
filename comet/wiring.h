/* wiring: how a comet is connected to logic, up and down. Two makers: alone_wire (logic is in this process) and cluster_wire
 * (it is behind Redis). main asks once which of them. SPDX-License-Identifier: MIT */
#ifndef COMET_WIRING_H
#define COMET_WIRING_H

#include <stdbool.h>

#include "comet/server.h"
#include "common/base/client_ports.h"
#include "common/base/reload.h"
#include "common/http/http.h"
#include "logic_client/logic_client.h"

struct wiring {
	struct logic_client logic;               /* for server.logic */
	bool alone;                              /* no other comet is there */
	struct reload_part reload, reload_rooms; /* of auth; all zero: nothing to read again */
	/* The HTTP API of this program; arg is self. */
	http_handler *handle;
	void *self;
	/* The doors are open: before the API is started. */
	void (*opened)(void *self, struct client_ports ports);
	/* From now on /readyz answers 503. Any thread. */
	void (*draining)(void *self);
	/* Callers of the API that wait for something are answered now, so that http_stop need not wait for them. */
	void (*stop_waiting)(void *self);
	/* Nobody calls its table or its API any more; before the pushes' sink goes. */
	void (*free)(void *self);
};

/* A maker fills the wiring: pushes go to sink(sink_self, ...) from now on. The arguments outlive it. 0, or -errno with log
 * lines that say what failed; the wiring is then all zero. */
typedef int wiring_maker(struct server *s, const char *server_id, push_sink *sink, void *sink_self, struct wiring *out);

#endif
