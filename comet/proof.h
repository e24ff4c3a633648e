/* proof: what logic is shown of a client that wants in, or to stay: its token, its address, and the user whom its certificate names.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_PROOF_H
#define COMET_PROOF_H

#include "comet/connection.h"
#include "comet/server.h"
#include "common/tls/tls.h"

struct proof {
	struct wire_connect request;
	char peer[TRANSPORT_PEER_BYTES];
	char certified[TLS_NAME_BYTES];
};

/* Of the AUTH packet p; good for as long as p is. On the reader's thread. 0; -ERR_REFUSED, with words for the client: the certificate has
 * no name of the kind that tls.client_user wants, or one that no user may have, or it has expired since the handshake. */
int proof_gather(struct connection *c, const struct packet *p, struct proof *out);

#endif
