/* cluster: the wiring of a comet in a cluster: logic is behind Redis, pushes come from a stream. What alone.h is for a comet
 * that runs alone. SPDX-License-Identifier: MIT */
#ifndef COMET_CLUSTER_H
#define COMET_CLUSTER_H

#include "comet/server.h"
#include "common/config/config.h"
#include "common/http/http.h"
#include "logic_client/logic_client.h"

struct cluster;

/* Take the comet's name in the cluster, and start: pushes go to sink(sink_self, ...) from now on. Waits for Redis. The
 * arguments outlive it. 0, or -errno with log lines that say what failed. */
int cluster_start(struct server *s, const char *server_id, push_sink *sink, void *sink_self, struct cluster **out);
/* Nobody calls its table or its handler any more. */
void cluster_stop(struct cluster **c);

/* The table for server.logic. */
struct logic_client cluster_logic_client(struct cluster *c);

/* /healthz, /readyz and /metrics, for http_start(..., cluster_handle, c, ...); the rest of the API is comet-logic's. */
http_handler cluster_handle;

/* From now on /readyz answers 503. Any thread. */
void cluster_set_draining(struct cluster *c);

#endif
