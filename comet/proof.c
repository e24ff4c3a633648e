/* proof: see proof.h. SPDX-License-Identifier: MIT */
#include "comet/proof.h"

#include <string.h>

#include "common/base/err.h"
#include "common/base/peer.h"

/* The setting begins with the token, and the kinds of names follow. */
_Static_assert(CONFIG_USER_OF_CN - 1 == (int)TLS_NAME_CN && CONFIG_USER_OF_EMAIL - 1 == (int)TLS_NAME_EMAIL,
	       "tls.client_user has the order of enum tls_name");

static int refuse(struct connection *c, const char *words)
{
	connection_explain(c, words);
	return -ERR_REFUSED;
}

static int certify(struct connection *c, struct proof *out)
{
	const int of = c->server->cfg->tls_client_user;
	struct tls *tls = transport_tls(c->transport);

	if (tls == NULL || of == CONFIG_USER_OF_TOKEN)
		return 0;
	if (!tls_peer_name(tls, (enum tls_name)(of - 1), out->certified, &out->request.certified_ms))
		return refuse(c, "the certificate names no user");
	/* The handshake was before its end, and no time would mean no end. */
	if (out->request.certified_ms <= 0)
		return refuse(c, "the certificate has expired");
	if (strlen(out->certified) >= USER_BYTES)
		return refuse(c, "the certificate names nobody who can be a user");
	out->request.certified = out->certified;
	return 0;
}

int proof_gather(struct connection *c, const struct packet *p, struct proof *out)
{
	out->request = (struct wire_connect){.token = p->body, .token_bytes = p->body_bytes, .peer = out->peer};
	peer_text(transport_peer(c->transport), false, out->peer, sizeof(out->peer));
	return certify(c, out);
}
