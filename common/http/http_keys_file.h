/* http_keys_file: the lines of http.keys_file: "name scopes key [rooms=ROOM,…] [rate=N] [until=2027-01-31]". Scopes are words of
 * http_scope.def, or push, read or all, with commas; a key is its text, sha256: and the hash of its text in hex, or
 * certificate: and a name in the certificate that the caller shows. For http_keys.c only. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_KEYS_FILE_H
#define COMMON_HTTP_HTTP_KEYS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/http/http_key.h"

#define HTTP_KEYS_HASH_BYTES 32

struct http_keys_entry {
	struct http_key key;
	bool is_certificate; /* its hash is that of a name in a certificate, not of a key */
	uint8_t hash[HTTP_KEYS_HASH_BYTES];
};

struct http_keys_list {
	struct http_keys_entry *entries; /* free() it */
	unsigned n;
};

/* All entries of the file; no two have one name, or one key, and none has a label. 0; -ERR_CONFIG, -errno: with a log line for each
 * fault; -ENOMEM. On an error the list is empty. */
int http_keys_file_read(const char *name, struct http_keys_list *list);

/* False: no memory. */
bool http_keys_hash(const char *text, uint8_t hash[HTTP_KEYS_HASH_BYTES]);

#endif
