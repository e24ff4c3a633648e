/* who: the question which connections a comet has, and a page of them as its answer, as texts over Redis. A connection is a JSON object
 * that comet/who.h makes; here only its "key" is known. Pure functions. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_WHO_H
#define COMMON_WIRE_WHO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHO_LIMIT_MAX    1000                       /* connections in a page */
#define WHO_KEYS_MAX     1000                       /* in a question */
#define WHO_TRACE_MS_MAX (3650 * INT64_C(86400000)) /* as long as the API takes: ten years */

/* What the question is about, beside: have these keys or users traced. */
enum who_trace { WHO_NO_TRACE, WHO_TRACE_KEYS, WHO_TRACE_USERS };

struct who_query {
	const char *room;        /* those in this room; NULL: in any, or in none */
	const char *const *keys; /* those with one of these keys; NULL: with any */
	size_t n_keys;
	enum who_trace trace; /* first have them traced, which of WHO_TRACE_USERS are users, and then list theirs */
	int64_t trace_ms;     /* for so long; 0: no longer */
	int64_t queued;       /* for whom at least so many messages wait; 0: all */
	const char *after;    /* whose keys come behind this one, byte by byte; "": all */
	size_t limit;         /* the first of them, at most so many */
};

/* Connections in the order of their keys. */
struct who_page {
	json_t *connections; /* the owner's; NULL: none was made */
	bool more;           /* others come behind them */
};

struct who_question {
	const char *id;     /* the answer repeats it */
	const char *reply;  /* channel for the answer */
	int64_t expires_ms; /* nobody waits for the answer any more, on Redis's clock; 0: never */
	struct who_query query;
	void *owned[2]; /* of a decoded one: the object, and its list of keys */
};

/* A text, malloc'ed, ended by a zero byte that *bytes does not count. 0; -ENOMEM, also for a room or key that is not UTF-8. */
int who_question_encode(const struct who_question *question, char **text, size_t *bytes);
/* 0; -EBADMSG, -ENOMEM. In each case who_question_fini may follow. */
int who_question_decode(const char *text, size_t bytes, struct who_question *out);
void who_question_fini(struct who_question *question);

struct who_answer {
	const char *id;
	const char *server;   /* the comet's name */
	bool failed;          /* it had no memory */
	struct who_page page; /* borrowed from `owned` where it was decoded */
	json_t *owned;
};

/* The same for answers; encoding takes the page's connections over. */
int who_answer_encode(struct who_answer *answer, char **text, size_t *bytes);
int who_answer_decode(const char *text, size_t bytes, struct who_answer *out);
void who_answer_fini(struct who_answer *answer);

/* Add copies of its connections to a page of several comets, which is sorted and cut to the limit once all are there. 0 or -ENOMEM. */
int who_page_add(struct who_page *to, const struct who_page *from);
int who_page_sort(struct who_page *page, size_t limit);

#endif
