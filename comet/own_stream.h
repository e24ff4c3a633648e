/* own_stream: the numbered stream of a connection's own user (stream.users), which a client with streams has from AUTH to its end, unless it
 * says that it does not want it. What it missed is replayed as that of a room is (joins.h). For the reader.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_OWN_STREAM_H
#define COMET_OWN_STREAM_H

#include "comet/connection.h"
#include "comet/join_body.h"
#include "comet/server.h"

/* Before a bucket has the connection, whose seat is set: does it get the stream? */
void own_stream_claim(const struct server *s, struct connection *c, const struct join_streams *asked);
/* The registration has taken effect: join the stream, deaf, and decide where the client goes on. May wait for logic. 0 and *outcome, which
 * is to be told; -ERR_NO_LOGIC, -ENOMEM: the client is to come again. */
int own_stream_join(struct server *s, struct connection *c, const struct join_streams *asked,
		    struct join_outcome *outcome);
/* The answer to AUTH is written: what was missed comes next. */
void own_stream_begin(struct connection *c, const struct join_outcome *outcome);
/* ACK: the client has processed all up to the number in the body. p becomes nothing: there is no answer. In a cluster Redis knows of it a
 * moment later (feed_source_tell). */
void own_stream_ack(struct server *s, struct connection *c, struct packet *p);
/* At the connection's end. May wait a moment until Redis knows what was confirmed. */
void own_stream_leave(struct server *s, struct connection *c);

#endif
