/* alone: the wiring of a comet that runs alone: the logic_client table filled with direct calls into logic/, the memory
 * registry, the in-process bus. The same logic code as comet-logic runs. SPDX-License-Identifier: MIT */
#ifndef COMET_ALONE_H
#define COMET_ALONE_H

#include <stdint.h>

#include "common/base/reload.h"
#include "common/config/config.h"
#include "common/http/http.h"
#include "logic_client/logic_client.h"

struct alone;

/* Logic with no connection yet; pushes go to sink(sink_self, ...). server_id outlives it.
 * 0, -ENOMEM, -ERR_CONFIG: the keys of tokens cannot be read (logged). */
int alone_new(const struct config *cfg, const char *server_id, push_sink *sink, void *sink_self, struct alone **out);
/* Nobody calls its table or its API any more. */
void alone_free(struct alone **a);

/* For -t: could alone_new read the keys of tokens? 0, where this comet is not alone, too; or as it. */
int alone_try_auth(const struct config *cfg);
/* To read again what logic has of keys. NULL: nothing to reload. */
struct reload_part alone_reload(struct alone *a);
/* Name the labels of logic's counters. Once, before threads start. */
void alone_label_counters(void);

/* The table for server.logic. */
struct logic_client alone_logic_client(struct alone *a);

/* The doors are open; the API tells clients these ports. Before the API is started. */
struct alone_ports {
	uint16_t tcp, websocket, websocket_tls; /* 0: none */
};
void alone_set_ports(struct alone *a, struct alone_ports ports);

/* The HTTP API, to be started with http_start(..., alone_handle, a, ...). */
http_handler alone_handle;

/* From now on /readyz answers 503. Any thread. */
void alone_set_draining(struct alone *a);
/* Callers of the API that wait for something are answered now, so that http_stop need not wait for them. */
void alone_stop_waiting(struct alone *a);

#endif
