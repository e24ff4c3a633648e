/* operator: the treatment of a packet that is no heartbeat. SPDX-License-Identifier: MIT */
#ifndef COMET_OPERATOR_H
#define COMET_OPERATOR_H

#include "comet/connection.h"
#include "comet/server.h"

/* Act on the packet and turn it into its reply. Reader only; may block as long as logic may.
 *   0; -ERR_PACKET_OP: this dialect closes for that operation; -EBADMSG: bad room id; -ENOMEM */
int operate(struct server *s, struct connection *c, struct packet *p);

/* Turn a heartbeat into its reply: v2 tells how many are online in the room. 0 or -ENOMEM. */
int operate_heartbeat(struct server *s, struct connection *c, struct packet *p);

#endif
