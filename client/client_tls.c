/* client_tls: see client_tls.h. SPDX-License-Identifier: MIT */
#include "client/client_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_tcp.h"
#include "client/sigpipe.h"
#include "common/base/err.h"
#include "common/wire/packet.h"

#define SMALL_BYTES 4096 /* of a packet that goes into one record with its header */

struct client_tls {
	struct client_link link;
	struct client_link *tcp;
	SSL *ssl;
};

/* ---- the settings ---- */

bool client_tls_is_address(const char *host)
{
	struct in6_addr address;

	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

int client_tls_refuse(const struct client_options *opt, long verdict)
{
	client_link_say(opt, "its certificate is not accepted: %s", X509_verify_cert_error_string(verdict));
	return -ERR_TLS;
}

int client_tls_miss(const struct client_options *opt, const char *alert)
{
	client_link_say(opt, "no TLS handshake came about%s%s", alert[0] != '\0' ? ": " : "", alert);
	return -EPROTO;
}

const char *client_tls_alert(int alert)
{
	const char *words = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_AD_REASON_OFFSET + alert));

	if (alert == SSL_AD_CERTIFICATE_REQUIRED)
		return "the server wants a certificate of ours";
	return words != NULL ? words : "an alert that OpenSSL does not know";
}

static int trust(SSL_CTX *ctx, const struct client_options *opt)
{
	if (opt->insecure)
		return 0;
	if (opt->ca_file == NULL)
		return SSL_CTX_set_default_verify_paths(ctx) == 1 ? 0 : -ENOMEM;
	if (SSL_CTX_load_verify_file(ctx, opt->ca_file) == 1)
		return 0;
	client_link_say(opt, "no certificates to trust could be read from %s", opt->ca_file);
	return -ERR_TLS;
}

/* Nobody is asked for the password of a key. */
static int no_password(char *text, int bytes, int is_new, void *arg)
{
	(void)text, (void)bytes, (void)is_new, (void)arg;
	return -1;
}

static int show(SSL_CTX *ctx, const struct client_options *opt)
{
	const char *key_file = opt->key_file != NULL ? opt->key_file : opt->cert_file;

	if (opt->cert_file == NULL)
		return 0;
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
	if (SSL_CTX_use_certificate_chain_file(ctx, opt->cert_file) != 1) {
		client_link_say(opt, "no certificate of ours could be read from %s", opt->cert_file);
		return -ERR_TLS;
	}
	/* It has to be that of the certificate, too. */
	if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) == 1)
		return 0;
	client_link_say(opt, "%s has no key of our certificate that needs no password", key_file);
	return -ERR_TLS;
}

int client_tls_check(const struct client_options *opt)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int rc = ctx != NULL ? 0 : -ENOMEM;

	if (rc == 0 && opt->ca_file != NULL)
		rc = trust(ctx, opt);
	if (rc == 0)
		rc = show(ctx, opt);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

static int expect_name(SSL_CTX *ctx, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (client_tls_is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 ? 0 : -ENOMEM;
	return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 ? 0 : -ENOMEM;
}

int client_tls_context(const struct client_options *opt, SSL_CTX **out)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int rc = -ENOMEM;

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		goto free_context;
	/* Packets have a length, and so tell by themselves whether one was cut off. */
	(void)SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, opt->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if ((rc = trust(ctx, opt)) < 0 || (rc = show(ctx, opt)) < 0 || (rc = expect_name(ctx, opt->host)) < 0)
		goto free_context;
	*out = ctx;
	return 0;

free_context:
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return rc;
}

/* ---- the link ---- */

/* By what the server ended it, if it has said that. */
static void keep_alert(struct client_tls *t)
{
	const unsigned long error = ERR_peek_error();
	const int alert = ERR_GET_REASON(error) - SSL_AD_REASON_OFFSET;

	if (ERR_GET_LIB(error) == ERR_LIB_SSL && alert > 0)
		(void)snprintf(t->link.said, sizeof(t->link.said), "%s", client_tls_alert(alert));
}

/* After a call of OpenSSL's that did not do: wait for what it wants, or the error that it was. */
static int wait_for_more(struct client_tls *t, int result, int64_t deadline_ns)
{
	int error = errno;

	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return client_link_wait(&t->link, POLLIN, deadline_ns);
	case SSL_ERROR_WANT_WRITE:
		return client_link_wait(&t->link, POLLOUT, deadline_ns);
	case SSL_ERROR_ZERO_RETURN:
		return -ERR_EOF;
	case SSL_ERROR_SYSCALL:
		return error != 0 ? -error : -ERR_EOF;
	default:
		keep_alert(t);
		return -ERR_TLS;
	}
}

/* errno and OpenSSL's list of errors are this thread's and may hold something old. */
static void begin_call(struct sigpipe *held)
{
	sigpipe_hold(held);
	ERR_clear_error();
	errno = 0;
}

static int write_all(struct client_tls *t, const uint8_t *bytes, size_t n, int64_t deadline_ns)
{
	struct sigpipe held;
	size_t written;
	int result, rc = 0;

	while (n > 0 && rc == 0) {
		begin_call(&held);
		result = SSL_write_ex(t->ssl, bytes, n, &written);
		sigpipe_drop(&held);
		if (result == 1)
			return 0; /* without partial writes it is all of it */
		rc = wait_for_more(t, result, deadline_ns);
	}
	return rc;
}

static int tls_send(struct client_link *l, const uint8_t *head, const void *body, size_t body_bytes,
		    int64_t deadline_ns)
{
	struct client_tls *t = (struct client_tls *)l;
	uint8_t small[SMALL_BYTES];
	int rc;

	if (body_bytes <= sizeof(small) - PACKET_HEAD_BYTES) {
		memcpy(small, head, PACKET_HEAD_BYTES);
		if (body_bytes > 0)
			memcpy(small + PACKET_HEAD_BYTES, body, body_bytes);
		return write_all(t, small, PACKET_HEAD_BYTES + body_bytes, deadline_ns);
	}
	rc = write_all(t, head, PACKET_HEAD_BYTES, deadline_ns);
	return rc == 0 ? write_all(t, body, body_bytes, deadline_ns) : rc;
}

static int tls_receive(struct client_link *l, uint8_t *buf, size_t max, int64_t deadline_ns, size_t *n)
{
	struct client_tls *t = (struct client_tls *)l;
	struct sigpipe held;
	int result, rc;

	do {
		if (client_link_cancelled(l))
			return -ECANCELED;
		begin_call(&held); /* the answer to a change of keys is written by a read */
		result = SSL_read_ex(t->ssl, buf, max, n);
		sigpipe_drop(&held);
		rc = result == 1 ? 0 : wait_for_more(t, result, deadline_ns);
	} while (result != 1 && rc == 0);
	return rc;
}

static void tls_free(struct client_link *l)
{
	struct client_tls *t = (struct client_tls *)l;
	struct sigpipe held;

	if (t->ssl != NULL) {
		begin_call(&held);
		(void)SSL_shutdown(t->ssl); /* says goodbye, and waits for none */
		sigpipe_drop(&held);
		SSL_free(t->ssl);
		ERR_clear_error();
	}
	if (t->tcp != NULL)
		t->tcp->ops->free(t->tcp);
	free(t);
}

static int shake_hands(struct client_tls *t, const struct client_options *opt, int64_t deadline_ns)
{
	struct sigpipe held;
	long verdict;
	int result, rc;

	do {
		begin_call(&held);
		result = SSL_connect(t->ssl);
		sigpipe_drop(&held);
		if (result == 1)
			return 0;
		rc = wait_for_more(t, result, deadline_ns);
	} while (rc == 0);
	verdict = SSL_get_verify_mode(t->ssl) == SSL_VERIFY_NONE ? X509_V_OK : SSL_get_verify_result(t->ssl);
	if (rc == -ERR_TLS && verdict != X509_V_OK)
		return client_tls_refuse(opt, verdict);
	return rc == -ERR_TLS || rc == -ERR_EOF ? client_tls_miss(opt, t->link.said) : rc;
}

static const struct client_link_ops ops = {tls_send, tls_receive, tls_free};

int client_tls_open(const struct client_options *opt, const struct addrinfo *at, int64_t deadline_ns,
		    struct client_link **out)
{
	struct client_tls *t = calloc(1, sizeof(*t));
	SSL_CTX *ctx = NULL;
	int rc;

	if (t == NULL)
		return -ENOMEM;
	if ((rc = client_tls_context(opt, &ctx)) < 0 || (rc = client_tcp_open(opt, at, deadline_ns, &t->tcp)) < 0)
		goto free_link;
	t->link = (struct client_link){.ops = &ops, .fd = t->tcp->fd, .cancel_fd = opt->cancel_fd};
	rc = -ENOMEM;
	t->ssl = SSL_new(ctx);
	if (t->ssl == NULL || SSL_set_fd(t->ssl, t->link.fd) != 1 ||
	    (!client_tls_is_address(opt->host) && SSL_set_tlsext_host_name(t->ssl, opt->host) != 1))
		goto free_link;
	if ((rc = shake_hands(t, opt, deadline_ns)) < 0)
		goto free_link;
	SSL_CTX_free(ctx); /* the SSL has a reference of its own */
	*out = &t->link;
	return 0;

free_link:
	SSL_CTX_free(ctx);
	tls_free(&t->link);
	return rc;
}
