/* tls_tickets: see tls_tickets.h. SPDX-License-Identifier: MIT */
#include "common/tls/tls_tickets.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/obj.h"

/* Tickets themselves are good for two hours (OpenSSL). */
#define KEY_LIFE_NS (86400 * CLOCK_SEC)

static int make_key(struct ticket_key *key)
{
	if (RAND_bytes((unsigned char *)key, sizeof(*key)) == 1)
		return 0;
	ERR_clear_error();
	return -EIO;
}

static void renew_locked(struct tls_tickets *t, const struct ticket_key *key) NEEDS(t->lock)
{
	t->keys[1] = t->keys[0];
	t->keys[0] = *key;
	t->made_ns = clock_now_ns();
}

int tls_tickets_init(struct tls_tickets *t)
{
	*t = (struct tls_tickets){.magic = TLS_TICKETS_MAGIC, .made_ns = clock_now_ns()};
	lock_init(&t->lock, LOCK_POOL);
	/* Nobody has tickets of the second, but it must not be one that can be guessed. */
	return make_key(&t->keys[0]) < 0 ? -EIO : make_key(&t->keys[1]);
}

void tls_tickets_fini(struct tls_tickets *t)
{
	OBJ_CHECK(t, TLS_TICKETS_MAGIC);
	lock_fini(&t->lock);
	OPENSSL_cleanse(t, sizeof(*t));
}

/* The key for a new ticket. */
static bool key_to_seal(struct tls_tickets *t, struct ticket_key *key)
{
	struct ticket_key fresh;
	int rc = 0;

	lock_take(&t->lock);
	if (clock_now_ns() - t->made_ns >= KEY_LIFE_NS && (rc = make_key(&fresh)) == 0)
		renew_locked(t, &fresh);
	*key = t->keys[0];
	lock_drop(&t->lock);
	return rc == 0;
}

/* 1: the ticket is of the first key; 2: of the one before, so another ticket is due; 0: of neither. */
static int key_to_open(struct tls_tickets *t, const unsigned char name[16], struct ticket_key *key)
{
	int found = 0;

	lock_take(&t->lock);
	for (int i = 0; i < 2 && found == 0; i++)
		if (CRYPTO_memcmp(t->keys[i].name, name, sizeof(key->name)) == 0) {
			*key = t->keys[i];
			found = i + 1;
		}
	lock_drop(&t->lock);
	return found;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	char digest[] = "sha256";
	OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
			       OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
			       OSSL_PARAM_construct_end()};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL's: set up sealing a ticket, or opening one. Negative: fails; 0: no ticket, or none of ours. */
static int use_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	struct tls_tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct ticket_key key;
	int rc = 1;

	OBJ_CHECK(t, TLS_TICKETS_MAGIC);
	if (seal) {
		if (!key_to_seal(t, &key) || RAND_bytes(iv, 16) != 1)
			return 0;
		memcpy(name, key.name, sizeof(key.name));
	} else if ((rc = key_to_open(t, name, &key)) == 0) {
		return 0;
	}
	if (!set_mac(mac, &key) || EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv, seal) != 1)
		rc = -1;
	OPENSSL_cleanse(&key, sizeof(key));
	return rc;
}

int tls_tickets_attach(struct tls_tickets *t, void *ssl_ctx)
{
	SSL_CTX *ctx = ssl_ctx;

	if (SSL_CTX_set_app_data(ctx, t) != 1)
		return -ENOMEM;
	(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, use_key);
	return 0;
}

static int make_next(void *self)
{
	struct tls_tickets *t = self;

	OBJ_CHECK(t, TLS_TICKETS_MAGIC);
	return make_key(&t->next);
}

static void settle(void *self, bool use)
{
	struct tls_tickets *t = self;

	if (use) {
		lock_take(&t->lock);
		renew_locked(t, &t->next);
		lock_drop(&t->lock);
	}
	OPENSSL_cleanse(&t->next, sizeof(t->next));
}

struct reload_part tls_tickets_reload(struct tls_tickets *t)
{
	return (struct reload_part){"keys of TLS tickets", make_next, settle, t};
}
