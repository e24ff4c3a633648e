/* http_client: calls of the HTTP API over one connection that is kept, on libcurl. A client belongs to one thread at a
 * time. SPDX-License-Identifier: MIT */
#ifndef CLI_HTTP_CLIENT_H
#define CLI_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_CLIENT_WORDS_BYTES 384 /* curl's own, and a guess */

struct http_client;

struct http_client_options {
	const char *base;      /* host:port, or a URL with http:// or https:// and no path */
	const char *api_key;   /* said in X-Api-Key; NULL for none */
	const char *ca_file;   /* certificates to trust, PEM; NULL: those of the system */
	bool insecure;         /* any certificate will do */
	const char *cert_file; /* our own, PEM; NULL: we show none */
	const char *key_file;  /* its key, PEM, without a password; NULL: it is in cert_file */
	bool deletes;          /* each call is a DELETE, without a body */
	bool tell;             /* say Comet-Tell: 1, to be told what became of a push */
	long timeout_ms;       /* for one call, connecting included */
};

/* An answer; valid until the next call. */
struct http_answer {
	long status;
	const char *body; /* zero-terminated */
	size_t body_bytes;
	char words[HTTP_CLIENT_WORDS_BYTES]; /* on an error: its cause */
};

/* 0, or -ENOMEM. No connection is made yet. */
/* Whether such a base can be called: host[:port], or a URL with http:// or https://. */
bool http_client_takes(const char *base);
int http_client_new(const struct http_client_options *opt, struct http_client **out);
/* Close and free. *h becomes NULL. */
void http_client_free(struct http_client **h);

/* Call "/path?query": GET if body is NULL (or DELETE), POST otherwise. Any status that a server sent is 0.
 *   -ENOTCONN   nobody answers there
 *   -ETIMEDOUT  no whole answer in timeout_ms: whether the call was carried out is not known
 *   -EIO        the connection broke, or the answer is not HTTP; not known either
 *   -ENOMEM     nothing was sent
 * On an error answer->words has the cause. */
int http_client_call(struct http_client *h, const char *path_and_query, const void *body, size_t body_bytes,
		     struct http_answer *answer);

#endif
