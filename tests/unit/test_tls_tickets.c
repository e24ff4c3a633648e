/* Tests of common/tls/tls_tickets: a server and a client of OpenSSL that speak to each other in memory.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/base/clock.h"
#include "common/tls/tls_tickets.h"
#include "tests/unit/seam.h"

#define DAY_NS (86400 * CLOCK_SEC)

static struct tls_tickets tickets;
static SSL_CTX *server_ctx, *client_ctx;
static SSL_SESSION *session; /* the last that the client got */

static int keep_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	SSL_SESSION_free(session);
	session = s;
	return 1;
}

/* A certificate for nobody, signed by itself. */
static int show_certificate(SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	int good = key != NULL && cert != NULL && X509_gmtime_adj(X509_getm_notBefore(cert), 0) != NULL &&
		   X509_gmtime_adj(X509_getm_notAfter(cert), 3600) != NULL && X509_set_pubkey(cert, key) == 1 &&
		   X509_sign(cert, key, EVP_sha256()) > 0 && SSL_CTX_use_certificate(ctx, cert) == 1 &&
		   SSL_CTX_use_PrivateKey(ctx, key) == 1;

	X509_free(cert);
	EVP_PKEY_free(key);
	return good ? 0 : -1;
}

static int set_up(void **state)
{
	(void)state;
	session = NULL;
	server_ctx = SSL_CTX_new(TLS_server_method());
	client_ctx = SSL_CTX_new(TLS_client_method());
	if (server_ctx == NULL || client_ctx == NULL || show_certificate(server_ctx) < 0)
		return -1;
	(void)SSL_CTX_set_session_cache_mode(server_ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(client_ctx, keep_session);
	return tls_tickets_init(&tickets) < 0 ? -1 : tls_tickets_attach(&tickets, server_ctx);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	SSL_SESSION_free(session);
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
	tls_tickets_fini(&tickets);
	return 0;
}

/* A handshake of a client that shows this session, or none. Was it resumed? */
static bool shake_hands(SSL_SESSION *shown)
{
	SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
	BIO *up, *down;
	char byte = 'x';
	bool resumed;

	assert_int_equal(BIO_new_bio_pair(&up, 0, &down, 0), 1);
	SSL_set_bio(server, up, up);
	SSL_set_bio(client, down, down);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	if (shown != NULL)
		assert_int_equal(SSL_set_session(client, shown), 1);
	for (unsigned i = 0; i < 10; i++) {
		(void)SSL_do_handshake(client);
		(void)SSL_do_handshake(server);
	}
	/* With TLS 1.3 tickets come after the handshake. */
	assert_int_equal(SSL_write(server, &byte, 1), 1);
	assert_int_equal(SSL_read(client, &byte, 1), 1);
	resumed = SSL_session_reused(server) == 1;
	(void)SSL_shutdown(client);
	SSL_free(server);
	SSL_free(client);
	return resumed;
}

static void reload(bool use)
{
	struct reload_part part = tls_tickets_reload(&tickets);

	assert_int_equal(part.read(part.self), 0);
	part.settle(part.self, use);
}

/* The session that the client has now, kept while others come. */
static SSL_SESSION *take_session(void)
{
	assert_non_null(session);
	assert_int_equal(SSL_SESSION_up_ref(session), 1);
	return session;
}

static void a_client_that_comes_again_is_resumed(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		SSL_SESSION *first;

		assert_int_equal(SSL_CTX_set_max_proto_version(client_ctx, versions[i]), 1);
		assert_false(shake_hands(NULL));
		first = take_session();
		assert_true(shake_hands(first));
		SSL_SESSION_free(first);
	}
}

static void a_ticket_is_good_for_one_reload_and_not_for_two(void **state)
{
	SSL_SESSION *first;

	(void)state;
	assert_false(shake_hands(NULL));
	first = take_session();
	reload(false);
	reload(true);
	reload(false);
	assert_true(shake_hands(first));
	SSL_SESSION_free(first);
	first = take_session(); /* of the new key */
	reload(true);
	assert_true(shake_hands(first));
	reload(true);
	assert_false(shake_hands(first));
	SSL_SESSION_free(first);
}

static void keys_are_renewed_each_day(void **state)
{
	struct ticket_key key = tickets.keys[0];

	(void)state;
	assert_false(shake_hands(NULL));
	seam_clock_advance(DAY_NS - CLOCK_SEC);
	assert_false(shake_hands(NULL));
	assert_memory_equal(&key, &tickets.keys[0], sizeof(key));
	seam_clock_advance(2 * CLOCK_SEC);
	assert_false(shake_hands(NULL));
	assert_memory_equal(&key, &tickets.keys[1], sizeof(key));
	assert_memory_not_equal(&key, &tickets.keys[0], sizeof(key));
}

static void nothing_is_reloaded_where_there_is_no_tls(void **state)
{
	(void)state;
	assert_null(tls_tickets_reload(NULL).self);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_client_that_comes_again_is_resumed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_ticket_is_good_for_one_reload_and_not_for_two, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_are_renewed_each_day, set_up, tear_down),
		cmocka_unit_test(nothing_is_reloaded_where_there_is_no_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
