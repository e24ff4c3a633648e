/* bench_tls: TLS of a load process's connections, on sockets that never wait. Who is trusted, and with which words not, is
 * client_tls's. A process has one thread for all of it. SPDX-License-Identifier: MIT */
#ifndef BENCH_BENCH_TLS_H
#define BENCH_BENCH_TLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/client_link.h"

/* OpenSSL's SSL_CTX and SSL, which only bench_tls.c looks into. */
struct ssl_ctx_st;
struct ssl_st;

/* The settings of all connections to to->host. 0; an error of client_tls_context's, with words in bench_tls_why. */
int bench_tls_context(struct client_options to, struct ssl_ctx_st **out);
/* Of NULL, too. */
void bench_tls_context_free(struct ssl_ctx_st *ctx);

/* TLS on this connected socket, which stays the caller's. 0 or -ENOMEM. */
int bench_tls_start(struct ssl_ctx_st *ctx, const char *host, int fd, struct ssl_st **out);
/* Say goodbye as far as the socket takes it, and free. Of NULL, too. */
void bench_tls_free(struct ssl_st *tls);

/* Go on with the handshake. 0 done; EPOLLIN, EPOLLOUT: when to go on; -ERR_TLS with words in bench_tls_why, or -errno. */
int bench_tls_shake(struct ssl_st *tls);
/* As send: all n bytes, or -EAGAIN: the same bytes are to be sent again before others; -ERR_EOF, -ERR_TLS, -errno. */
ssize_t bench_tls_send(struct ssl_st *tls, const uint8_t *bytes, size_t n);
/* As recv: all that is there of max bytes, 0 at the end; -EAGAIN, -ERR_TLS, -errno. With fewer than max nothing is left for which
 * the socket would not become readable. */
ssize_t bench_tls_receive(struct ssl_st *tls, uint8_t *buf, size_t max);

/* Words for the last -ERR_TLS, or for what bench_tls_context returned. */
const char *bench_tls_why(void);

#endif
