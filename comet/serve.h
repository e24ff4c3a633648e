/* serve: the reader's story, serveTCP of the Go original, once for all transports: handshake, authenticate, put into the
 * bucket, start the dispatcher, read packets, leave. SPDX-License-Identifier: MIT */
#ifndef COMET_SERVE_H
#define COMET_SERVE_H

#include "comet/connection.h"
#include "comet/server.h"

/* Start the reader of a connection that admission let in, or park it until the client speaks. Takes over the caller's reference,
 * also on an error: the client is then told, and the connection ended.
 *   0; -EAGAIN, -ENOMEM, -ENOSPC: no thread or no memory, logged with the limit that was hit */
int serve_start(struct server *s, struct connection *c);

/* From now on the server's connections are parked while they wait; reader_stop_park undoes it. Before the first comes. 0, or -errno. */
int serve_park(struct server *s);

#endif
