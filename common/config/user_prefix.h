/* user_prefix: auth.user_prefix, the beginnings of the users' names that each issuer of tokens may give. Pure functions.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_USER_PREFIX_H
#define COMMON_CONFIG_USER_PREFIX_H

#include <stdio.h>

struct config;

/* Stands for the KID of certificates. */
#define USER_PREFIX_CERTIFICATE "tls.client_ca"

#define USER_PREFIX_BYTES 64 /* of the longest one, with its zero byte */

/* Each KID is that of a key of auth.jwt_keys, or USER_PREFIX_CERTIFICATE, no prefix begins another, and with none a name can be taken for a number. 0;
 * -ERR_CONFIG: a line in `errors` for the first fault. */
int user_prefix_check(const struct config *cfg, FILE *errors);

/* The prefix for tokens that the key `signer` of auth.jwt_keys has signed; NULL: a key without a name, or one that was fetched. With
 * USER_PREFIX_CERTIFICATE that for certificates. "" for none. Returns `prefix`. */
const char *user_prefix_find(const struct config *cfg, const char *signer, char prefix[USER_PREFIX_BYTES]);

#endif
