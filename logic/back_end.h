/* back_end: questions to a back end over HTTP: how many at a time, with which secret, by when, and what came back. Any thread.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_BACK_END_H
#define LOGIC_BACK_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/secret.h"
#include "common/config/config.h"
#include "logic/auth_calls.h"
#include "logic/auth_identity.h"

/* A longer body is no answer for us. */
#define BACK_END_ANSWER_MAX 65536

struct back_end {
	/* set once */
	const struct config *cfg;
	const char *setting, *url;
	struct secret secret;    /* of auth.secret_file */
	struct auth_calls calls; /* with handles of libcurl */
};

/* A question, and its answer. Too large for a connection's stack. */
struct exchange {
	/* the asker's */
	const char *question; /* JSON */
	const char *peer;     /* the address of the client that it is about */
	/* the answer */
	long status; /* of HTTP, 0: none came */
	size_t n;
	char text[BACK_END_ANSWER_MAX];
	/* back_end.c's */
	int64_t deadline_ns;
	void *curl;
	void *headers;
	int code;        /* of libcurl, of the last try */
	char words[256]; /* its own: CURL_ERROR_SIZE */
	const char *setting, *url;
	bool too_long;
};

/* At the address of this setting, with auth.secret, auth.ca_file, auth.concurrency and auth.timeout; cfg and url outlive it. 0; -ENOMEM; secret_start's
 * errors. */
int back_end_init(struct back_end *b, const struct config *cfg, const char *setting, const char *url);
void back_end_fini(struct back_end *b);
/* To read the secret again. */
struct reload_part back_end_reload(struct back_end *b);

/* The time of a question begins. Wait for a place. False: *who says why it is -ERR_NO_LOGIC. */
bool back_end_enter(struct back_end *b, struct exchange *x, struct auth_identity *who);
/* In it: ask, and once more if the back end was not there.
 *   0             an answer with status 2xx, 401 or 403 is there
 *   -ERR_NO_LOGIC there is none, *who has the cause, and the log the words
 *   -ENOMEM */
int back_end_ask(struct back_end *b, struct exchange *x, struct auth_identity *who);
/* Out of it. */
void back_end_leave(struct back_end *b, struct exchange *x);
/* The answer is none: counted and logged. -ERR_NO_LOGIC. */
int back_end_fail(const struct exchange *x, struct auth_identity *who, enum auth_cause cause, const char *why);

#endif
