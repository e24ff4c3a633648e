/* tls: TLS slipped under a stream. OpenSSL; TLS 1.2 and later. SPDX-License-Identifier: MIT */
#ifndef COMMON_TLS_TLS_H
#define COMMON_TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/base/park.h"
#include "common/base/reload.h"
#include "common/tls/tls_authorities.h"

struct tls_certs;

struct tls_server; /* what all TLS connections of a door share */

/* 0; -ERR_CONFIG with a log line; -ENOMEM. `certs` and the file's name of `asks` must outlive it. */
int tls_server_new(struct tls_certs *certs, const struct tls_asks *asks, struct tls_server **out);
void tls_server_free(struct tls_server **server);

/* To begin with a new key for session tickets. NULL: nothing to reload. */
struct reload_part tls_server_reload(struct tls_server *server);
/* To read the file of `asks` again. The same. */
struct reload_part tls_server_reload_client_ca(struct tls_server *server);

/* A stream over a connected socket, which becomes non-blocking. One thread may read while another writes: what OpenSSL
 * does to the stream is under a lock, and nobody waits for the socket while holding it. */
struct tls;

/* 0 or -ENOMEM. The socket stays the caller's, and open until tls_free. */
int tls_new(struct tls_server *server, int fd, struct tls **out);
void tls_free(struct tls **tls);

/* At least one byte, up to `max`; the handshake comes first. With `wait`, waits for the peer until somebody shuts the socket down.
 * A handshake that has to sign waits in the gate (tls_gate.h), with `wait`; ten seconds at most: -ETIME.
 * More than 0: so many bytes; 0: the end, as the peer announced it or not; -EAGAIN: none are there now; -ERR_TLS; -ERR_CERTIFICATE:
 * the peer shows none that is believed, tls_peer_fault says why; -errno */
ssize_t tls_read(struct tls *tls, void *bytes, size_t max, bool wait);

/* After tls_read, for the same thread: are there more bytes that the socket need not bring? */
bool tls_has_more(const struct tls *tls);
/* Its handshake shall wait for its turn to sign also in a tls_read that does not wait: it then says -EAGAIN, and tls_park waits. Before
 * the first tls_read. */
void tls_sign_in_turn(struct tls *tls);
/* After tls_read has said -EAGAIN: resume p when it has more to say, whatever it waits for: bytes from the peer or its taking some,
 * as in a handshake, or its turn to sign. The reader, which then is another thread. 0; -errno of park_on_socket */
int tls_park(struct tls *tls, struct park *park, struct parked *p);

/* The socket was shut down: a handshake that waits for its turn to sign need not. Any thread. */
void tls_shut(struct tls *tls);

/* Write these, up to deadline_ns (clock_now_ns); 0: without waiting. *written is what need not be given again. Of a record
 * that the socket has not taken whole, which may be many pieces of iov, only the first byte counts: so what is counted beyond
 * that has left, and who is told less than all comes again, with the same bytes from there on, at least as many.
 *   0; -EAGAIN (deadline_ns 0); -ETIMEDOUT; -ERR_TLS; -errno */
int tls_write(struct tls *tls, const struct iovec *iov, size_t n, int64_t deadline_ns, size_t *written);

/* Once the handshake is over, the certificate that the peer has shown and that is believed, which is the caller's (X509_free); or NULL. */
struct x509_st *tls_peer(struct tls *tls);
/* For the names of that certificate, until is_it says true. False: none was taken, or
 * it has none. */
bool tls_peer_is(struct tls *tls, tls_name_is *is_it, void *arg);
/* The first name of this kind, and for how long it is still good. False: it has none. */
bool tls_peer_name(struct tls *tls, enum tls_name kind, char name[TLS_NAME_BYTES], int64_t *left_ms);
/* Why no certificate of the peer is believed: static words. */
const char *tls_peer_fault(struct tls *tls);

/* Tell the peer that nothing more comes, as far as that goes without waiting. */
void tls_finish(struct tls *tls);

#endif
