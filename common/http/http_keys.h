/* http_keys: who may call the HTTP API: keys with a name and scopes, from http.api_key and from a file. Only their hashes are
 * kept, and each is compared with all of them, whichever fits. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_KEYS_H
#define COMMON_HTTP_HTTP_KEYS_H

#include <stdbool.h>

#include "common/base/reload.h"
#include "common/config/config.h"
#include "common/http/http_key.h"

struct http_keys;

/* The one key of http.api_key, which may do everything ("" for none), and those of the file ("" for none). Its lines are
 * http_keys_file's. 0, or -ERR_CONFIG or -errno with a log line for each fault, -ENOMEM. */
int http_keys_new(const char *api_key, const char *file, struct http_keys **out);
/* Those of the settings http.api_key, http.api_key_file and http.keys_file; cfg outlives them. The same. */
int http_keys_of(const struct config *cfg, struct http_keys **out);
void http_keys_free(struct http_keys **keys);

/* To read the file again. NULL, or no file: nothing to reload. */
struct reload_part http_keys_reload(struct http_keys *keys);
/* The same of http.api_key_file. */
struct reload_part http_keys_reload_api_key(struct http_keys *keys);

/* Find the owner of this key (NULL: none was shown). Where no keys are set everybody may do everything, and has no name, unless all are refused. False:
 * it is nobody's. Any thread. */
bool http_keys_find(struct http_keys *keys, const char *shown, struct http_key *found);

/* The same of a name in a certificate that was good. */
bool http_keys_find_certificate(struct http_keys *keys, const char *name, struct http_key *found);

#endif
