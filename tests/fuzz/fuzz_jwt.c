/* Fuzzes what reads tokens and answers about them: any bytes as a token; any bytes as the claims of a token that is signed
 * well, with the rest as what the client says beside it; any bytes as a webhook's answer, and as a login service's keys. Who is let in has names that every
 * place that keeps them has room for. No random bytes are signed well. SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/wire/wire.h"
#include "logic/auth.h"
#include "logic/auth_webhook.h"
#include "logic/jwk_set.h"
#include "tests/unit/signed_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const char header[] = "{\"alg\":\"HS256\"}";

static struct auth *start(void)
{
	static struct config cfg;
	char name[] = "/tmp/comet-fuzz-jwt-XXXXXX", assignment[64];
	struct auth *a;
	int fd = mkstemp(name);

	log_setup(LOG_ERROR, LOG_TEXT);
	BUG_UNLESS(fd >= 0 && write(fd, SECRET, strlen(SECRET)) == (ssize_t)strlen(SECRET));
	(void)snprintf(assignment, sizeof(assignment), "auth.jwt_keys=HS256:%s", name);
	BUG_UNLESS(config_init(&cfg) == 0 && config_flag(&cfg, "auth.mode=jwt", stderr) == 0 &&
		   config_flag(&cfg, assignment, stderr) == 0 && auth_new(&cfg, &a) == 0);
	(void)close(fd);
	(void)unlink(name);
	return a;
}

static void must_be_a_name(const char *text, size_t bytes_max)
{
	BUG_UNLESS(strlen(text) < bytes_max);
	for (; *text != '\0'; text++)
		BUG_UNLESS(!iscntrl((unsigned char)*text));
}

static void must_be_somebody(const struct auth_identity *who)
{
	must_be_a_name(who->key, WIRE_KEY_BYTES);
	must_be_a_name(who->room, WIRE_ROOM_BYTES);
	must_be_a_name(who->platform, WIRE_TEXT_BYTES);
	BUG_UNLESS(who->n_accepts <= WIRE_ACCEPTS_MAX && (who->n_accepts == 0 || who->accepts != NULL));
	BUG_UNLESS(who->lifetime_ms >= 0 && who->heartbeat_ms >= 0 && who->heartbeat_ms <= 86400000);
}

static int check(struct auth *a, const char *token, size_t n)
{
	const struct auth_request request = {
		.token = (const uint8_t *)token, .token_bytes = n, .peer = "", .server = ""};
	struct auth_identity who;
	int rc = auth_check(a, &request, &who);

	BUG_UNLESS(rc == 0 || rc == -ERR_REFUSED);
	if (rc == 0) {
		must_be_somebody(&who);
		BUG_UNLESS(who.lifetime_ms > 0);
		auth_identity_fini(&who);
	} else {
		BUG_UNLESS(who.refusal[0] != '\0');
	}
	return rc;
}

/* The claims up to the first zero byte; what is behind it stands beside the token. */
static void try_signed(struct auth *a, const uint8_t *data, size_t bytes)
{
	const uint8_t *zero = bytes > 0 ? memchr(data, '\0', bytes) : NULL;
	size_t n = zero != NULL ? (size_t)(zero - data) : bytes, beside = zero != NULL ? bytes - n - 1 : 0, used;
	char *token = malloc(n * 2 + 256), *text = malloc(n * 2 + 256 + beside + 32);

	BUG_UNLESS(token != NULL && text != NULL);
	used = sign_token_bytes(token, n * 2 + 256, SECRET, header, n > 0 ? (const void *)data : "", n);
	(void)check(a, token, used);
	used = (size_t)sprintf(text, "{\"token\":\"%s\"", token);
	if (beside > 0)
		memcpy(text + used, zero + 1, beside);
	(void)check(a, text, used + beside);
	free(token);
	free(text);
}

static void try_answer(const char *text, size_t n)
{
	struct auth_identity who = {0};
	int rc = auth_webhook_read(text, n, &who);

	BUG_UNLESS(rc == 0 || rc == -ERR_REFUSED || rc == -EBADMSG);
	if (rc == 0)
		must_be_somebody(&who);
	auth_identity_fini(&who);
}

static void try_set(const char *text, size_t n)
{
	struct jwt_keys *keys = NULL;
	const char *fault;
	unsigned left_out;
	int rc = jwk_set_read(text, n, &keys, &left_out, &fault);

	BUG_UNLESS(rc == 0 ? jwt_keys_count(keys) > 0 : rc == -EBADMSG && fault != NULL && keys == NULL);
	if (rc == 0)
		jwt_keys_unref(&keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct auth *a;
	/* Of its exact size, so that a read beyond it is seen. */
	char *text = malloc(bytes + (bytes == 0));

	BUG_UNLESS(text != NULL);
	if (bytes > 0)
		memcpy(text, data, bytes);
	if (a == NULL)
		a = start();
	if (bytes > 0)
		(void)check(a, text, bytes);
	try_signed(a, data, bytes);
	try_answer(text, bytes);
	try_set(text, bytes);
	free(text);
	return 0;
}
