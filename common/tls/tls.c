/* tls: see tls.h. SPDX-License-Identifier: MIT */
#include "common/tls/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/tls/tls_certs.h"
#include "common/tls/tls_gate.h"
#include "common/tls/tls_tickets.h"

/* The bytes that we put into one record. TLS allows four times as much, but this lies on the stack of a connection's thread. */
#define RECORD_BYTES 4096

/* So often may a peer change its keys between two bytes that it sends. TLS asks for it after some ten million records. */
#define KEY_UPDATES_MAX 64

/* For a place in the gate. Most of those who have waited so long are over the handshake's deadline, too. */
#define SIGN_WAIT_NS (10 * CLOCK_SEC)

struct tls_server {
	unsigned magic;
#define TLS_SERVER_MAGIC 0x7c155e4e
	SSL_CTX *ctx;
	struct tls_certs *certs;
	struct tls_tickets tickets;
	struct tls_gate gate;
	struct tls_authorities clients;
};

struct tls {
	unsigned magic;
#define TLS_MAGIC 0x7c155711
	struct tls_server *server;
	int fd;
	/* the reader's */
	bool is_open; /* something was read, so the handshake is over */
	bool has_more;
	bool waits_to_write;
	bool waits_to_sign;
	bool in_turn; /* set once */
	struct tls_guest guest;
	/* under lock */
	struct lock lock;
	SSL *ssl;
	bool may_sign;        /* it has a place in the gate, or needs none */
	unsigned key_updates; /* the peer's since its last byte */
	size_t owed;          /* bytes of a record that was made and that the socket has not taken whole */
	int broken; /* 0, or the fatal error after which OpenSSL forbids any call: to the other side it is the same one */
};

/* In a handshake that begins no resumed session, before the signature. -1: not now, SSL_ERROR_WANT_X509_LOOKUP; it is asked again
 * when the handshake goes on. */
static int before_signing(SSL *ssl, void *arg)
{
	struct tls *tls = SSL_get_app_data(ssl);
	struct tls_server *server = arg;

	OBJ_CHECK(tls, TLS_MAGIC);
	return tls->may_sign ? tls_certs_show(server->certs, ssl) : -1;
}

/* Of each message and each record's head, sent and received. */
static void count_key_updates(int is_sent, int version, int type, const void *bytes, size_t n, SSL *ssl, void *arg)
{
	struct tls *tls = SSL_get_app_data(ssl);

	(void)version, (void)arg;
	if (!is_sent && type == SSL3_RT_HANDSHAKE && n > 0 && *(const uint8_t *)bytes == SSL3_MT_KEY_UPDATE)
		tls->key_updates++;
}

int tls_server_new(struct tls_certs *certs, const struct tls_asks *asks, struct tls_server **out)
{
	struct tls_server *server = calloc(1, sizeof(*server));
	int rc;

	if (server == NULL)
		return -ENOMEM;
	if (tls_tickets_init(&server->tickets) < 0) {
		free(server);
		return -ENOMEM;
	}
	server->magic = TLS_SERVER_MAGIC;
	tls_gate_init(&server->gate);
	server->ctx = SSL_CTX_new(TLS_server_method());
	rc = tls_authorities_init(&server->clients, asks);
	if (rc == 0 && (server->ctx == NULL || tls_certs_prepare(server->ctx) < 0 ||
			tls_tickets_attach(&server->tickets, server->ctx) < 0))
		rc = -ENOMEM;
	if (rc < 0) {
		ERR_clear_error();
		tls_server_free(&server);
		return rc;
	}
	server->certs = certs;
	SSL_CTX_set_cert_cb(server->ctx, before_signing, server);
	SSL_CTX_set_msg_callback(server->ctx, count_key_updates);
	(void)SSL_CTX_set_mode(server->ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A record that brings no bytes, such as a change of keys, ends the read: or a client that sends them without end would have the
	 * thread, and the lock, for as long. */
	(void)SSL_CTX_clear_mode(server->ctx, SSL_MODE_AUTO_RETRY);
	(void)SSL_CTX_set_session_cache_mode(server->ctx, SSL_SESS_CACHE_OFF); /* tickets do, and need no memory */
	*out = server;
	return 0;
}

void tls_server_free(struct tls_server **reference)
{
	struct tls_server *server = *reference;

	OBJ_CHECK(server, TLS_SERVER_MAGIC);
	SSL_CTX_free(server->ctx);
	tls_tickets_fini(&server->tickets);
	tls_gate_fini(&server->gate);
	tls_authorities_fini(&server->clients);
	server->magic = 0;
	free(server);
	*reference = NULL;
}

struct reload_part tls_server_reload(struct tls_server *server)
{
	return tls_tickets_reload(server != NULL ? &server->tickets : NULL);
}

struct reload_part tls_server_reload_client_ca(struct tls_server *server)
{
	return server != NULL ? tls_authorities_reload(&server->clients) : (struct reload_part){0};
}

int tls_new(struct tls_server *server, int fd, struct tls **out)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	int flags = fcntl(fd, F_GETFL);

	OBJ_CHECK(server, TLS_SERVER_MAGIC);
	if (tls == NULL || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    (tls->ssl = SSL_new(server->ctx)) == NULL || SSL_set_fd(tls->ssl, fd) != 1 ||
	    SSL_set_app_data(tls->ssl, tls) != 1 || tls_authorities_ask(&server->clients, tls->ssl) < 0) {
		if (tls != NULL)
			SSL_free(tls->ssl);
		free(tls);
		ERR_clear_error();
		return -ENOMEM;
	}
	SSL_set_accept_state(tls->ssl);
	tls->magic = TLS_MAGIC;
	tls->server = server;
	tls->fd = fd;
	lock_init(&tls->lock, LOCK_CHANNEL);
	*out = tls;
	return 0;
}

void tls_free(struct tls **reference)
{
	struct tls *tls = *reference;

	OBJ_CHECK(tls, TLS_MAGIC);
	tls_gate_forget(&tls->server->gate, &tls->guest); /* it may never have used its place */
	SSL_free(tls->ssl);
	lock_fini(&tls->lock);
	tls->magic = 0;
	free(tls);
	*reference = NULL;
}

/* Before each call of OpenSSL's: an error that something else left on this thread, which may be any pusher's, would pass for
 * the call's own. */
static void forget_errors(void)
{
	ERR_clear_error();
	errno = 0;
}

/* Has it shown no certificate, or one that is not believed? */
static bool is_about_certificate(void)
{
	const int why = ERR_GET_REASON(ERR_peek_last_error());

	return why == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE || why == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

/* The outcome of a call of OpenSSL's. On -EAGAIN *events says what the socket must be ready for; -EBUSY: it is about to sign. */
static int outcome_locked(struct tls *tls, int result, short *events) NEEDS(tls->lock)
{
	int rc = -ERR_TLS;

	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		*events = POLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*events = POLLOUT;
		return -EAGAIN;
	case SSL_ERROR_WANT_X509_LOOKUP:
		return -EBUSY;
	case SSL_ERROR_ZERO_RETURN:
		return -ERR_EOF;
	case SSL_ERROR_SYSCALL:
		rc = errno != 0 ? -errno : -ERR_EOF;
		break;
	default:
		rc = is_about_certificate() ? -ERR_CERTIFICATE : -ERR_TLS;
		break;
	}
	ERR_clear_error();
	tls->broken = rc;
	return rc;
}

/* A resumed session has a certificate that was looked at when the session began, and that may have expired since. */
static int check_age_locked(struct tls *tls) NEEDS(tls->lock)
{
	X509 *shown = SSL_session_reused(tls->ssl) ? SSL_get1_peer_certificate(tls->ssl) : NULL;

	if (shown != NULL && X509_cmp_current_time(X509_get0_notAfter(shown)) <= 0) {
		SSL_set_verify_result(tls->ssl, X509_V_ERR_CERT_HAS_EXPIRED);
		tls->broken = -ERR_CERTIFICATE;
	}
	X509_free(shown);
	return tls->broken;
}

/* False: the deadline has passed. */
static bool wait_for(const struct tls *tls, short events, int64_t deadline_ns)
{
	struct pollfd fd = {.fd = tls->fd, .events = events};
	int64_t left_ms = -1;

	if (deadline_ns > 0) {
		left_ms = (deadline_ns - clock_now_ns() + CLOCK_MS - 1) / CLOCK_MS;
		if (left_ms <= 0)
			return false;
	}
	/* An error (EINTR) is found out by the next call. */
	return poll(&fd, 1, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX) != 0;
}

/* They bring no bytes, so that no limit of a connection's counts them, and each costs a wake-up. */
static int check_key_updates_locked(struct tls *tls, int rc) NEEDS(tls->lock)
{
	if (rc > 0)
		tls->key_updates = 0;
	if (tls->key_updates <= KEY_UPDATES_MAX)
		return rc;
	return tls->broken = -ERR_TLS;
}

/* What is there, as tls_read has it; or -EBUSY, where it may not sign. */
static int read_now(struct tls *tls, bool may_sign, void *bytes, size_t max, short *events)
{
	int n, rc;

	lock_take(&tls->lock);
	forget_errors();
	tls->may_sign = may_sign;
	if (tls->broken < 0)
		rc = tls->broken;
	else if ((n = SSL_read(tls->ssl, bytes, max < INT32_MAX ? (int)max : INT32_MAX)) > 0)
		rc = n;
	else
		rc = outcome_locked(tls, n, events);
	if (rc > 0 && !tls->is_open && check_age_locked(tls) < 0)
		rc = tls->broken;
	rc = check_key_updates_locked(tls, rc);
	tls->has_more = rc > 0 && SSL_has_pending(tls->ssl);
	tls->waits_to_write = rc == -EAGAIN && *events == POLLOUT;
	lock_drop(&tls->lock);
	return rc;
}

/* The same, with a place in the gate. */
static int sign_and_read(struct tls *tls, void *bytes, size_t max, short *events)
{
	int rc = tls_gate_enter(&tls->server->gate, clock_now_ns() + SIGN_WAIT_NS);

	if (rc < 0)
		return rc;
	rc = read_now(tls, true, bytes, max, events);
	tls_gate_leave(&tls->server->gate);
	return rc;
}

/* The same without waiting for one, or without one where nobody parks: -EAGAIN, and tls_park waits. */
static int sign_now(struct tls *tls, void *bytes, size_t max, short *events)
{
	int rc = tls->in_turn ? tls_gate_try(&tls->server->gate, &tls->guest) : 0;

	tls->waits_to_sign = rc == -EAGAIN;
	if (rc < 0)
		return rc;
	rc = read_now(tls, true, bytes, max, events);
	tls_gate_forget(&tls->server->gate, &tls->guest);
	return rc;
}

ssize_t tls_read(struct tls *tls, void *bytes, size_t max, bool wait)
{
	short events = POLLIN;
	int rc;

	OBJ_CHECK(tls, TLS_MAGIC);
	if (!tls->is_open)
		park_go_long();
	for (;;) {
		if ((rc = read_now(tls, false, bytes, max, &events)) == -EBUSY)
			rc = wait ? sign_and_read(tls, bytes, max, &events) : sign_now(tls, bytes, max, &events);
		if (rc != -EAGAIN || !wait)
			break;
		(void)wait_for(tls, events, 0); /* the connection's deadline ends it, with a shutdown of the socket */
	}
	tls->is_open |= rc > 0;
	return rc == -ERR_EOF ? 0 : rc;
}

bool tls_has_more(const struct tls *tls)
{
	return tls->has_more;
}

void tls_sign_in_turn(struct tls *tls)
{
	tls->in_turn = true;
}

int tls_park(struct tls *tls, struct park *park, struct parked *p)
{
	OBJ_CHECK(tls, TLS_MAGIC);
	if (!tls->waits_to_sign)
		return park_on_socket(park, p, tls->fd, tls->waits_to_write ? EPOLLOUT : EPOLLIN | EPOLLRDHUP);
	tls->waits_to_sign = false;
	tls_gate_park(&tls->server->gate, &tls->guest, park, p);
	return 0;
}

void tls_shut(struct tls *tls)
{
	OBJ_CHECK(tls, TLS_MAGIC);
	tls_gate_send_away(&tls->server->gate, &tls->guest);
}

/* How many bytes of a record are counted when it was made, but not taken. */
static size_t counted_of_owed(size_t n)
{
	return n > 1 ? 1 : 0;
}

/* One record: what was made and is still owed, or the next of `bytes`. *taken: how many of the bytes are done with. */
static int write_record(struct tls *tls, const uint8_t *bytes, size_t n, size_t *taken, short *events)
{
	size_t owed;
	int result, rc = 0;

	lock_take(&tls->lock);
	owed = tls->owed;
	*taken = 0;
	forget_errors();
	tls->may_sign = true; /* a goodbye before the handshake is over: they are few, and wait for nobody */
	if (tls->broken < 0) {
		rc = tls->broken;
	} else if ((result = SSL_write(tls->ssl, bytes, (int)(owed > 0 ? owed : n))) > 0) {
		*taken = owed > 0 ? owed - counted_of_owed(owed) : n;
		tls->owed = 0;
	} else if ((rc = outcome_locked(tls, result, events)) == -EAGAIN && owed == 0 &&
		   SSL_is_init_finished(tls->ssl)) {
		/* A handshake that is not done yet makes no record. */
		tls->owed = n;
		*taken = counted_of_owed(n);
	}
	lock_drop(&tls->lock);
	return rc;
}

/* Up to a record's worth of the bytes that follow the first `skip`. The last byte of a piece stands alone, or a record that is
 * owed could count as a whole item and the beginning of none (tls.h). */
static size_t gather(const struct iovec *iov, size_t n_iov, size_t skip, uint8_t record[RECORD_BYTES])
{
	size_t n = 0;

	for (size_t i = 0; i < n_iov && n < RECORD_BYTES; i++) {
		size_t more = iov[i].iov_len;

		if (skip >= more) {
			skip -= more;
			continue;
		}
		more -= skip;
		if (more > RECORD_BYTES - n)
			more = RECORD_BYTES - n;
		memcpy(record + n, (const char *)iov[i].iov_base + skip, more);
		n += more;
		if (n == 1)
			break;
		skip = 0;
	}
	return n;
}

int tls_write(struct tls *tls, const struct iovec *iov, size_t n_iov, int64_t deadline_ns, size_t *written)
{
	uint8_t record[RECORD_BYTES];
	short events = POLLOUT;
	size_t n, taken;

	OBJ_CHECK(tls, TLS_MAGIC);
	*written = 0;
	while ((n = gather(iov, n_iov, *written, record)) > 0) {
		int rc = write_record(tls, record, n, &taken, &events);

		*written += taken;
		if (rc == -EAGAIN && deadline_ns == 0)
			return rc;
		if (rc < 0 && rc != -EAGAIN)
			return rc == -ERR_EOF ? -EPIPE : rc == -ETIMEDOUT ? -ECONNRESET /* the kernel's */ : rc;
		if (rc < 0 && !wait_for(tls, events, deadline_ns))
			return -ETIMEDOUT;
	}
	return 0;
}

X509 *tls_peer(struct tls *tls)
{
	X509 *shown = NULL;

	OBJ_CHECK(tls, TLS_MAGIC);
	lock_take(&tls->lock);
	if (SSL_is_init_finished(tls->ssl) && SSL_get_verify_result(tls->ssl) == X509_V_OK)
		shown = SSL_get1_peer_certificate(tls->ssl);
	lock_drop(&tls->lock);
	return shown;
}

const char *tls_peer_fault(struct tls *tls)
{
	long result;

	OBJ_CHECK(tls, TLS_MAGIC);
	lock_take(&tls->lock);
	result = SSL_get_verify_result(tls->ssl);
	lock_drop(&tls->lock);
	return result == X509_V_OK ? "it shows no certificate" : X509_verify_cert_error_string(result);
}

void tls_finish(struct tls *tls)
{
	lock_take(&tls->lock);
	if (tls->broken == 0 && tls->owed == 0 && SSL_is_init_finished(tls->ssl)) {
		(void)SSL_shutdown(tls->ssl);
		ERR_clear_error();
	}
	lock_drop(&tls->lock);
}
