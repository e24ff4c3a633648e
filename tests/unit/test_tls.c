/* Tests of common/tls/tls: with a client of OpenSSL at the other end of a socket pair. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/tls/tls.h"
#include "common/tls/tls_certs.h"

static char cert_file[] = "/tmp/test_tls_cert.XXXXXX", key_file[] = "/tmp/test_tls_key.XXXXXX";
static struct tls_certs *certs;
static struct tls_server *server;

/* For nobody, signed by itself. */
static int write_certificate(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	FILE *cert_out = fdopen(mkstemp(cert_file), "w"), *key_out = fdopen(mkstemp(key_file), "w");
	int good = key != NULL && cert != NULL && X509_gmtime_adj(X509_getm_notBefore(cert), 0) != NULL &&
		   X509_gmtime_adj(X509_getm_notAfter(cert), 3600) != NULL && X509_set_pubkey(cert, key) == 1 &&
		   X509_sign(cert, key, EVP_sha256()) > 0 && PEM_write_X509(cert_out, cert) == 1 &&
		   PEM_write_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) == 1;

	(void)fclose(cert_out);
	(void)fclose(key_out);
	X509_free(cert);
	EVP_PKEY_free(key);
	return good ? 0 : -1;
}

static int set_up(void **state)
{
	(void)state;
	return write_certificate() < 0 || tls_certs_new(cert_file, key_file, &certs) < 0
		       ? -1
		       : tls_server_new(certs, &(struct tls_asks){"", "", false}, &server);
}

static int tear_down(void **state)
{
	(void)state;
	tls_server_free(&server);
	tls_certs_free(&certs);
	(void)unlink(cert_file);
	(void)unlink(key_file);
	return 0;
}

/* Comes in, says one byte, and takes nothing more. */
static void *be_client(void *fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);

	if (SSL_set_fd(ssl, *(int *)fd) == 1 && SSL_connect(ssl) == 1)
		(void)SSL_write(ssl, "x", 1);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return NULL;
}

/* A thread's errors stay until somebody takes them, and OpenSSL tells what became of a call by them. */
static void an_error_that_others_left_on_the_thread_is_not_its_own(void **state)
{
	static uint8_t bytes[1 << 20];
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct tls *tls;
	pthread_t client;
	size_t written;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(tls_new(server, ends[0], &tls), 0);
	assert_int_equal(pthread_create(&client, NULL, be_client, &ends[1]), 0);
	assert_int_equal(tls_read(tls, bytes, 1, true), 1);
	assert_int_equal(pthread_join(client, NULL), 0);
	ERR_raise(ERR_LIB_USER, 1);
	assert_int_equal(tls_read(tls, bytes, 1, false), -EAGAIN);
	ERR_raise(ERR_LIB_USER, 1);
	assert_int_equal(tls_write(tls, &iov, 1, 0, &written), -EAGAIN);
	ERR_clear_error();
	tls_free(&tls);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

#define KEY_UPDATES 60

static unsigned key_updates;

/* Comes in, says one byte, changes its keys again and again, and says another. */
static void *be_restless_client(void *fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);

	if (SSL_set_fd(ssl, *(int *)fd) == 1 && SSL_connect(ssl) == 1)
		(void)SSL_write(ssl, "x", 1);
	for (unsigned i = 0; i < key_updates; i++)
		if (SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1 || SSL_do_handshake(ssl) != 1)
			break;
	(void)SSL_write(ssl, "y", 1);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return NULL;
}

/* How often tls_read has said -EAGAIN, with a client that changes its keys so often, and then something else: *rc. */
static unsigned read_restless(unsigned updates, int *rc)
{
	struct tls *tls;
	pthread_t client;
	unsigned times = 0;
	uint8_t byte = 0;
	int ends[2];

	key_updates = updates;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(tls_new(server, ends[0], &tls), 0);
	assert_int_equal(pthread_create(&client, NULL, be_restless_client, &ends[1]), 0);
	assert_int_equal(tls_read(tls, &byte, 1, true), 1);
	assert_int_equal(pthread_join(client, NULL), 0);
	while ((*rc = (int)tls_read(tls, &byte, 1, false)) == -EAGAIN && times < updates)
		times++;
	assert_int_equal(byte, *rc == 1 ? 'y' : 'x');
	tls_free(&tls);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return times;
}

/* A thread, and the lock that pushers take, for as long as there are more: whoever has others to serve is told of each. */
static void a_client_that_changes_its_keys_again_and_again_keeps_no_thread(void **state)
{
	int rc;

	(void)state;
	assert_int_equal(read_restless(KEY_UPDATES, &rc), KEY_UPDATES);
	assert_int_equal(rc, 1);
}

/* They are no packets and bring no bytes: no limit would count them. */
static void a_client_that_does_nothing_but_change_its_keys_is_closed(void **state)
{
	int rc;

	(void)state;
	assert_in_range(read_restless(2 * KEY_UPDATES, &rc), KEY_UPDATES, 2 * KEY_UPDATES);
	assert_int_equal(rc, -ERR_TLS);
}

/* Which of OpenSSL's allocations on this thread fails: the first is 1; 0: none. */
static _Thread_local int fails, allocated;

static bool may_have(void)
{
	return ++allocated != fails;
}

static void *allocate(size_t bytes, const char *file, int line)
{
	(void)file, (void)line;
	return may_have() ? malloc(bytes) : NULL;
}

static void *reallocate(void *at, size_t bytes, const char *file, int line)
{
	(void)file, (void)line;
	return may_have() ? realloc(at, bytes) : NULL;
}

static void release(void *at, const char *file, int line)
{
	(void)file, (void)line;
	free(at);
}

static void any_allocation_of_a_new_one_may_fail(void **state)
{
	uint8_t byte;
	struct tls *tls;
	pthread_t client;
	int last = 0, tried, ends[2], rc;

	(void)state;
	do {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
		allocated = 0;
		fails = ++last;
		rc = tls_new(server, ends[0], &tls);
		fails = 0;
		tried = allocated;
		if (rc == 0) { /* then it works */
			assert_int_equal(pthread_create(&client, NULL, be_client, &ends[1]), 0);
			assert_int_equal(tls_read(tls, &byte, 1, true), 1);
			assert_int_equal(pthread_join(client, NULL), 0);
			tls_free(&tls);
		} else {
			assert_int_equal(rc, -ENOMEM);
		}
		(void)close(ends[0]);
		(void)close(ends[1]);
	} while (tried >= last);
	assert_true(last > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_that_others_left_on_the_thread_is_not_its_own),
		cmocka_unit_test(a_client_that_changes_its_keys_again_and_again_keeps_no_thread),
		cmocka_unit_test(a_client_that_does_nothing_but_change_its_keys_is_closed),
		cmocka_unit_test(any_allocation_of_a_new_one_may_fail),
	};

	if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
		return 1;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
