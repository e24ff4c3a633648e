/* tls_tickets: the keys that session tickets are sealed with, so that a client which comes again is spared the signature of a
 * whole handshake. They are renewed each day and at SIGHUP: a thief of one learns no older sessions. SPDX-License-Identifier: MIT
 * */
#ifndef COMMON_TLS_TLS_TICKETS_H
#define COMMON_TLS_TLS_TICKETS_H

#include <stdint.h>

#include "common/base/lock.h"
#include "common/base/reload.h"

struct ticket_key {
	unsigned char name[16], cipher[32], mac[32];
};

struct tls_tickets {
	unsigned magic;
#define TLS_TICKETS_MAGIC 0x71c4e755
	/* under lock */
	struct lock lock;
	struct ticket_key keys[2]; /* the first seals and opens, the one before it only opens */
	int64_t made_ns;           /* the first */
	/* reload only */
	struct ticket_key next;
};

/* 0, or -EIO: OpenSSL has no random numbers. */
int tls_tickets_init(struct tls_tickets *t);
void tls_tickets_fini(struct tls_tickets *t);

/* Have a server's SSL_CTX (of OpenSSL) use them, which takes its application data for that. t must outlive it. 0, -ENOMEM. */
int tls_tickets_attach(struct tls_tickets *t, void *ssl_ctx);

/* To begin with a new key; tickets of the last one are still good. NULL: nothing to reload. */
struct reload_part tls_tickets_reload(struct tls_tickets *t);

#endif
