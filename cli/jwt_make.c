/* jwt_make: see jwt_make.h. SPDX-License-Identifier: MIT */
#include "cli/jwt_make.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHA256_BYTES 32

/* base64url without padding; malloc'ed, or NULL. */
static char *encode(const void *bytes, size_t n)
{
	char *text = malloc((n + 2) / 3 * 4 + 1);
	size_t end;

	if (text == NULL)
		return NULL;
	end = (size_t)EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);
	while (end > 0 && text[end - 1] == '=')
		end--;
	text[end] = '\0';
	for (char *at = text; *at != '\0'; at++)
		*at = (char)(*at == '+' ? '-' : *at == '/' ? '_' : *at);
	return text;
}

/* NULL without memory. */
static char *encode_json(const json_t *value)
{
	char *written = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL, *text = NULL;

	if (written != NULL)
		text = encode(written, strlen(written));
	free(written);
	return text;
}

int jwt_make(const json_t *claims, const char *kid, const void *secret, size_t secret_bytes, char **token)
{
	json_t *said = json_pack("{s:s,s:s,s:s*}", "alg", "HS256", "typ", "JWT", "kid", kid);
	char *header = encode_json(said), *body = encode_json(claims), *text = NULL, *signature = NULL;
	unsigned char mac[SHA256_BYTES];
	int rc = -ENOMEM;

	if (header != NULL && body != NULL && asprintf(&text, "%s.%s", header, body) >= 0 &&
	    HMAC(EVP_sha256(), secret, (int)secret_bytes, (const unsigned char *)text, strlen(text), mac, NULL) != NULL)
		signature = encode(mac, sizeof(mac));
	if (signature != NULL && asprintf(token, "%s.%s", text, signature) >= 0)
		rc = 0;
	free(signature);
	free(text);
	free(body);
	free(header);
	json_decref(said);
	return rc;
}
