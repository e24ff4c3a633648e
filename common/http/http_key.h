/* http_key: an API key: the name of its owner, and what it may do. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_KEY_H
#define COMMON_HTTP_HTTP_KEY_H

#include <stdbool.h>
#include <stdint.h>

#define HTTP_KEY_NAME_BYTES  64  /* longest name with its zero byte */
#define HTTP_KEY_ROOMS_BYTES 256 /* its rooms */
#define HTTP_SCOPES_BYTES    128 /* words of all scopes */

enum {
#define scope(NAME, word) HTTP_BIT_##NAME,
#include "common/http/http_scope.def"
#undef scope
};

enum http_scope {
	HTTP_FREE = 0, /* of a path: needs no key */
#define scope(NAME, word) HTTP_##NAME = 1 << HTTP_BIT_##NAME,
#include "common/http/http_scope.def"
#undef scope
	/* sums */
	HTTP_PUSH = HTTP_PUSH_KEYS | HTTP_PUSH_USERS | HTTP_PUSH_ROOMS | HTTP_PUSH_ALL,
	HTTP_READ = HTTP_METRICS | HTTP_ONLINE | HTTP_UPSTREAM | HTTP_EVENTS | HTTP_STREAM,
	HTTP_ALL = HTTP_READ | HTTP_PUSH | HTTP_KICK | HTTP_ADMIN,
	/* those that a key with rooms may have: of others it could not be said which rooms they touch */
	HTTP_BY_ROOM = HTTP_METRICS | HTTP_ONLINE | HTTP_STREAM | HTTP_PUSH_ROOMS,
};

struct http_key {
	char name[HTTP_KEY_NAME_BYTES]; /* for logs and counters */
	unsigned scopes;                /* HTTP_KICK | ... */
	unsigned label;                 /* of comet_http_calls_total */
	int rate;                       /* calls a second; 0: http.rate */
	int64_t until_s;                /* it is over then, in seconds since 1970; 0: never */
	bool none_is_set;               /* server.closed, and nobody has a key: nobody may do anything */
	char rooms
		[HTTP_KEY_ROOMS_BYTES]; /* that it may push to and ask for, with commas, a * at the end of a name; "": all */
};

/* The word of one scope or of a sum; 0: there is none. */
unsigned http_scope_of(const char *word);
/* Their words, with `between` between them. */
void http_scopes_words(unsigned scopes, const char *between, char words[HTTP_SCOPES_BYTES]);

/* May it have to do with this room? */
bool http_key_may_room(const struct http_key *key, const char *room);

#endif
