/* http_call: see http_call.h. SPDX-License-Identifier: MIT */
#include "common/http/http_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/base/counters.h"
#include "common/base/network.h"
#include "common/http/http_query.h"

static const char *const statuses[] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};

COUNTER_LABELS(HTTP_REQUESTS, statuses, sizeof(statuses) / sizeof(statuses[0]));

/* ---- reading ---- */

/* NULL: it was not sent. */
static const char *text_of(const char *text, uint32_t place)
{
	return place != 0 ? text + place : NULL;
}

const char *http_call_shown_key(const struct http_head *head, const char *text)
{
	static const char bearer[] = "Bearer ";
	const char *value = text_of(text, head->authorization);

	if (head->api_key != 0)
		return text + head->api_key;
	if (value != NULL && strncasecmp(value, bearer, sizeof(bearer) - 1) == 0)
		return value + sizeof(bearer) - 1;
	return NULL;
}

/* A request of a page has the Origin of the page; a program that is no browser sends none. */
static bool comes_from_elsewhere(const char *origin, const char *host)
{
	const char *site = origin != NULL ? strstr(origin, "://") : NULL;

	return origin != NULL && (site == NULL || host == NULL || strcasecmp(site + 3, host) != 0);
}

/* For an image or a link there is no Origin, but browsers say where it stands. */
static bool is_cross_site(const char *site)
{
	return site != NULL && strcmp(site, "cross-site") == 0;
}

int http_call_init(struct http_call *call, const struct http_head *head, char *text)
{
	struct http_request *request = &call->request;
	const char *host = text_of(text, head->host), *accept = text_of(text, head->accept);
	char *path = text + head->target, *query = strchr(path, '?');
	int rc;

	*call = (struct http_call){.reply = {.status = 500, .content_type = "text/plain"}};
	if (query != NULL)
		*query++ = '\0';
	rc = http_path_decode(path);
	if (rc == 0 && query != NULL)
		rc = http_params_decode(query, &call->params, &request->n_params);
	request->params = call->params;
	request->bad_params = rc < 0;
	request->method = strcmp(text + head->method, "HEAD") == 0 ? "GET" : text + head->method;
	request->path = path;
	request->wants_html = accept != NULL && strstr(accept, "text/html") != NULL;
	request->is_elsewheres =
		comes_from_elsewhere(text_of(text, head->origin), host) || is_cross_site(text_of(text, head->site));
	request->content_type = text_of(text, head->content_type);
	request->wants_told = (head->seen & HTTP_SEEN_TELL) != 0;
	request->idempotency_key = text_of(text, head->idempotency_key);
	request->is_renamed = host != NULL && !network_is_literal(host);
	return rc == -ENOMEM ? rc : 0;
}

void http_call_fini(struct http_call *call)
{
	free(call->params);
	free(call->reply.body);
}

/* ---- answering ---- */

static const char *phrase_of(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {{200, "OK"},
		       {400, "Bad Request"},
		       {401, "Unauthorized"},
		       {403, "Forbidden"},
		       {404, "Not Found"},
		       {405, "Method Not Allowed"},
		       {413, "Content Too Large"},
		       {414, "URI Too Long"},
		       {415, "Unsupported Media Type"},
		       {429, "Too Many Requests"},
		       {431, "Request Header Fields Too Large"},
		       {500, "Internal Server Error"},
		       {501, "Not Implemented"},
		       {503, "Service Unavailable"},
		       {505, "HTTP Version Not Supported"}};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "";
}

/* The Date of this second, which each thread writes once. */
static const char *date_now(void)
{
	static __thread struct {
		time_t second;
		char text[40];
	} date;
	time_t now = time(NULL);
	struct tm parts;

	if (now != date.second && gmtime_r(&now, &parts) != NULL) {
		(void)strftime(date.text, sizeof(date.text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
		date.second = now;
	}
	return date.text;
}

/* Inline, as nearly all texts are constants, whose lengths then are, too. */
static inline __attribute__((always_inline)) void put(struct http_buffer *out, const char *text)
{
	const size_t n = strlen(text);

	memcpy(out->bytes + out->end, text, n);
	out->end += n;
}

static void put_number(struct http_buffer *out, size_t number)
{
	char text[24], *digit = text + sizeof(text) - 1;

	*digit = '\0';
	do
		*--digit = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	put(out, digit);
}

static void put_header(struct http_buffer *out, const char *name, const char *value)
{
	put(out, name);
	put(out, ": ");
	put(out, value);
	put(out, "\r\n");
}

static void put_number_header(struct http_buffer *out, const char *name, size_t number)
{
	put(out, name);
	put(out, ": ");
	put_number(out, number);
	put(out, "\r\n");
}

/* Longer than any head: all of its texts are ours but for the extra header, which is counted. */
#define ANSWER_HEAD_BYTES 512

int http_call_answer(const struct http_reply *reply, const struct http_answer *answer, struct http_buffer *out)
{
	const size_t extra = reply->extra_header != NULL ? strlen(reply->extra_header) + strlen(reply->extra_value) : 0;
	const size_t body_bytes = answer->head_only ? 0 : reply->body_bytes;

	if (http_buffer_reserve(out, ANSWER_HEAD_BYTES + extra + body_bytes) < 0)
		return -ENOMEM;
	put(out, "HTTP/1.1 ");
	put_number(out, (size_t)reply->status);
	put(out, " ");
	put(out, phrase_of(reply->status));
	put(out, "\r\nDate: ");
	put(out, date_now());
	put(out, "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
	put_header(out, "Content-Type", reply->content_type);
	if (reply->extra_header != NULL)
		put_header(out, reply->extra_header, reply->extra_value);
	for (unsigned i = 0; i < HTTP_NUMBERS && reply->numbers[i].name != NULL; i++)
		put_number_header(out, reply->numbers[i].name, reply->numbers[i].value);
	if (reply->for_any_site)
		put_header(out, "Access-Control-Allow-Origin", "*");
	if (answer->idle_seconds > 0) {
		put(out, "Connection: keep-alive\r\nKeep-Alive: timeout=");
		put_number(out, answer->idle_seconds);
	} else {
		put(out, "Connection: close");
	}
	put(out, "\r\nContent-Length: ");
	put_number(out, reply->body_bytes);
	put(out, "\r\n\r\n");
	if (body_bytes > 0)
		memcpy(out->bytes + out->end, reply->body, body_bytes);
	out->end += body_bytes;
	count_by(COUNT_HTTP_REQUESTS, (unsigned)reply->status / 100);
	return 0;
}
