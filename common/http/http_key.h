/* http_key: an API key: the name of its owner, and what it may do. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_KEY_H
#define COMMON_HTTP_HTTP_KEY_H

#define HTTP_KEY_NAME_BYTES 64 /* longest name with its zero byte */

enum http_scope {
	HTTP_FREE = 0, /* of a path: needs no key */
	HTTP_PUSH = 1,
	HTTP_KICK = 2,
	HTTP_READ = 4,
	HTTP_ALL = HTTP_PUSH | HTTP_KICK | HTTP_READ,
};

struct http_key {
	char name[HTTP_KEY_NAME_BYTES]; /* for logs and counters */
	unsigned scopes;                /* HTTP_PUSH | ... */
	unsigned label;                 /* of comet_http_calls_total */
};

#endif
