/* bench_tls: see bench_tls.h. SPDX-License-Identifier: MIT */
#include "bench/bench_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "client/client_tls.h"
#include "common/base/err.h"

static char why[CLIENT_WORDS_BYTES];
static const struct client_options say = {.why = why};

const char *bench_tls_why(void)
{
	return why;
}

int bench_tls_context(struct client_options to, struct ssl_ctx_st **out)
{
	int rc;

	to.why = why;
	snprintf(why, sizeof(why), "%s", err_text(-ENOMEM)); /* where it says nothing */
	if ((rc = client_tls_context(&to, out)) < 0)
		return rc;
	/* Several records come by one recv, and 10000 connections at rest do not keep 16 KiB each. */
	SSL_CTX_set_read_ahead(*out, 1);
	(void)SSL_CTX_set_mode(*out, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return 0;
}

void bench_tls_context_free(struct ssl_ctx_st *ctx)
{
	SSL_CTX_free(ctx);
}

int bench_tls_start(struct ssl_ctx_st *ctx, const char *host, int fd, struct ssl_st **out)
{
	SSL *tls = SSL_new(ctx);

	if (tls == NULL || SSL_set_fd(tls, fd) != 1 ||
	    (!client_tls_is_address(host) && SSL_set_tlsext_host_name(tls, host) != 1)) {
		SSL_free(tls);
		ERR_clear_error();
		return -ENOMEM;
	}
	*out = tls;
	return 0;
}

void bench_tls_free(struct ssl_st *tls)
{
	if (tls == NULL)
		return;
	(void)SSL_shutdown(tls);
	SSL_free(tls);
	ERR_clear_error();
}

/* What the server ended TLS by, or "". */
static const char *alert_of(unsigned long error)
{
	const int alert = ERR_GET_REASON(error) - SSL_AD_REASON_OFFSET;

	return ERR_GET_LIB(error) == ERR_LIB_SSL && alert > 0 ? client_tls_alert(alert) : "";
}

/* The error that a call of OpenSSL's left. Its list of errors is empty then, as SSL_get_error wants it before each call. */
static int failure(SSL *tls, int result, const char **alert)
{
	const int rc = errno != 0 ? -errno : -ERR_EOF;

	*alert = alert_of(ERR_peek_error());
	switch (SSL_get_error(tls, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return -ERR_EOF;
	case SSL_ERROR_SYSCALL:
		ERR_clear_error();
		return rc;
	default:
		ERR_clear_error();
		return -ERR_TLS;
	}
}

/* The same, once the handshake is done. */
static int broken(SSL *tls, int result)
{
	const char *alert;
	const int rc = failure(tls, result, &alert);

	if (rc == -ERR_TLS)
		snprintf(why, sizeof(why), "%s", alert[0] != '\0' ? alert : err_text(rc));
	return rc;
}

int bench_tls_shake(struct ssl_st *tls)
{
	const char *alert;
	int result, rc;
	long verdict;

	errno = 0;
	if ((result = SSL_connect(tls)) == 1)
		return 0;
	if ((rc = failure(tls, result, &alert)) == -EAGAIN)
		return SSL_want_write(tls) ? EPOLLOUT : EPOLLIN;
	if (rc != -ERR_TLS && rc != -ERR_EOF)
		return rc;
	verdict = SSL_get_verify_result(tls);
	if (rc == -ERR_TLS && verdict != X509_V_OK && SSL_get_verify_mode(tls) != SSL_VERIFY_NONE)
		return client_tls_refuse(&say, verdict);
	(void)client_tls_miss(&say, alert);
	return -ERR_TLS;
}

ssize_t bench_tls_send(struct ssl_st *tls, const uint8_t *bytes, size_t n)
{
	size_t written;
	int result;

	errno = 0;
	result = SSL_write_ex(tls, bytes, n, &written); /* without partial writes it is all of it */
	return result == 1 ? (ssize_t)n : broken(tls, result);
}

ssize_t bench_tls_receive(struct ssl_st *tls, uint8_t *buf, size_t max)
{
	size_t got, n = 0;
	int result, rc;

	do {
		errno = 0;
		if ((result = SSL_read_ex(tls, buf + n, max - n, &got)) != 1) {
			rc = broken(tls, result);
			/* An end behind bytes is met once more: the socket stays readable. */
			return n > 0 ? (ssize_t)n : rc == -ERR_EOF ? 0 : rc;
		}
		n += got;
	} while (n < max && SSL_has_pending(tls) == 1);
	return (ssize_t)n;
}
