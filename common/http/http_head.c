/* http_head: see http_head.h. Two servers that read one request differently are how requests are smuggled, so all that is not
 * as the RFC has it is refused: a bare LF, a folded header, a space before a colon, two lengths. SPDX-License-Identifier: MIT */
#include "common/http/http_head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/http/http_text.h"

static const struct {
	int status;
	const char *words;
} faults[] = {
	[HTTP_FAULT_NONE] = {200, ""},
#define fault(NAME, status, words) [HTTP_FAULT_##NAME] = {status, words},
#include "common/http/http_fault.def"
#undef fault
};

int http_fault_status(enum http_fault fault)
{
	return faults[fault].status;
}

const char *http_fault_words(enum http_fault fault)
{
	return faults[fault].words;
}

/* ---- the first line ---- */

/* http://host/path?query: the host counts in place of the header, and is moved towards the front, so that a zero byte fits
 * behind it. An empty path is "/". */
static int read_url(struct http_head *h, char *text)
{
	char *target = text + h->target, *host = strstr(target, "://");
	size_t n;

	if (host == NULL || !((host - target == 4 && strncasecmp(target, "http", 4) == 0) ||
			      (host - target == 5 && strncasecmp(target, "https", 5) == 0)))
		return HTTP_FAULT_TARGET;
	host += 3;
	n = strcspn(host, "/?#");
	if (n == 0 || memchr(host, '@', n) != NULL)
		return HTTP_FAULT_TARGET;
	h->host = h->target;
	h->target = (uint32_t)(host + n - text);
	memmove(target, host, n);
	target[n] = '\0';
	if (host[n] != '/')
		text[--h->target] = '/';
	return HTTP_FAULT_NONE;
}

static int read_first_line(struct http_head *h, char *text, size_t n)
{
	char *method = text + h->line, *target, *version, *end = method + n;

	if ((target = memchr(method, ' ', n)) == NULL || !http_is_token(method, (size_t)(target - method)))
		return HTTP_FAULT_BROKEN;
	*target++ = '\0';
	if ((version = memchr(target, ' ', (size_t)(end - target))) == NULL ||
	    !http_is_text(target, (size_t)(version - target), false) || version == target)
		return HTTP_FAULT_BROKEN;
	*version++ = '\0';
	if (end - version != 8 || memcmp(version, "HTTP/", 5) != 0)
		return HTTP_FAULT_BROKEN;
	if (memcmp(version + 5, "1.1", 3) == 0)
		h->seen |= HTTP_SEEN_HTTP_1_1;
	else if (memcmp(version + 5, "1.0", 3) != 0)
		return HTTP_FAULT_VERSION;
	h->method = (uint32_t)(method - text);
	h->target = (uint32_t)(target - text);
	if (*target == '/' || (strcmp(target, "*") == 0 && strcmp(method, "OPTIONS") == 0))
		return HTTP_FAULT_NONE;
	return read_url(h, text);
}

/* Bytes that are no HTTP mostly have no line end to wait for. */
static bool may_become_a_line(const char *text, size_t n)
{
	size_t word = 0;

	if (n == 0 || (n == 1 && text[0] == '\r'))
		return true;
	while (word < n && word < 32 && text[word] != ' ')
		word++;
	return word > 0 && http_is_token(text, word - (text[word - 1] == '\r'));
}

/* ---- the headers ---- */

static int read_length(struct http_head *h, const char *value)
{
	const size_t n = strspn(value, "0123456789");

	if (h->seen & (HTTP_SEEN_LENGTH | HTTP_SEEN_ENCODING))
		return HTTP_FAULT_TWO_LENGTHS;
	if (n == 0 || value[n] != '\0')
		return HTTP_FAULT_LENGTH;
	h->seen |= HTTP_SEEN_LENGTH;
	errno = 0;
	h->length = strtoull(value, NULL, 10);
	return errno == 0 ? HTTP_FAULT_NONE : HTTP_FAULT_BODY_TOO_LONG;
}

static int read_encoding(struct http_head *h, const char *value)
{
	if (h->seen & (HTTP_SEEN_LENGTH | HTTP_SEEN_ENCODING))
		return HTTP_FAULT_TWO_LENGTHS;
	h->seen |= HTTP_SEEN_ENCODING;
	if (!(h->seen & HTTP_SEEN_HTTP_1_1))
		return HTTP_FAULT_BROKEN;
	return strcasecmp(value, "chunked") == 0 ? HTTP_FAULT_NONE : HTTP_FAULT_ENCODING;
}

static int read_host(struct http_head *h, uint32_t value)
{
	if (h->seen & HTTP_SEEN_HOST)
		return HTTP_FAULT_HOST;
	h->seen |= HTTP_SEEN_HOST;
	if (h->host == 0)
		h->host = value;
	return HTTP_FAULT_NONE;
}

static void read_connection(struct http_head *h, const char *value)
{
	if (http_lists(value, strlen(value), "close"))
		h->seen |= HTTP_SEEN_CLOSE;
	if (http_lists(value, strlen(value), "keep-alive"))
		h->seen |= HTTP_SEEN_KEEP;
}

/* The first of several counts. */
static void note(uint32_t *place, uint32_t value)
{
	if (*place == 0)
		*place = value;
}

static int take_header(struct http_head *h, const char *name, const char *value, uint32_t place)
{
	if (strcasecmp(name, "Host") == 0)
		return read_host(h, place);
	if (strcasecmp(name, "Content-Length") == 0)
		return read_length(h, value);
	if (strcasecmp(name, "Transfer-Encoding") == 0)
		return read_encoding(h, value);
	if (strcasecmp(name, "Connection") == 0)
		read_connection(h, value);
	else if (strcasecmp(name, "Expect") == 0)
		h->seen |= strcasecmp(value, "100-continue") == 0 ? HTTP_SEEN_CONTINUE : 0;
	else if (strcasecmp(name, "Content-Encoding") == 0)
		h->seen |= strcasecmp(value, "identity") != 0 ? HTTP_SEEN_COMPRESSED : 0;
	else if (strcasecmp(name, "X-Api-Key") == 0)
		note(&h->api_key, place);
	else if (strcasecmp(name, "Authorization") == 0)
		note(&h->authorization, place);
	else if (strcasecmp(name, "Accept") == 0)
		note(&h->accept, place);
	else if (strcasecmp(name, "Origin") == 0)
		note(&h->origin, place);
	else if (strcasecmp(name, "Sec-Fetch-Site") == 0)
		note(&h->site, place);
	else if (strcasecmp(name, "Content-Type") == 0)
		note(&h->content_type, place);
	else if (strcasecmp(name, "Comet-Tell") == 0)
		h->seen |= strcmp(value, "1") == 0 ? HTTP_SEEN_TELL : 0;
	else if (strcasecmp(name, "Idempotency-Key") == 0)
		note(&h->idempotency_key, place);
	return HTTP_FAULT_NONE;
}

/* No line that goes on the one before, no space around the name, nothing that is not to be seen. */
static int read_header(struct http_head *h, char *text, size_t n)
{
	char *name = text + h->line, *end = name + n, *colon = memchr(name, ':', n);
	const char *value;
	size_t value_bytes;

	if (colon == NULL || !http_is_token(name, (size_t)(colon - name)))
		return HTTP_FAULT_BROKEN;
	*colon = '\0';
	value = colon + 1;
	value_bytes = (size_t)(end - value);
	if (!http_is_text(value, value_bytes, true))
		return HTTP_FAULT_BROKEN;
	http_trim(&value, &value_bytes);
	text[(size_t)(value - text) + value_bytes] = '\0';
	return take_header(h, name, value, (uint32_t)(value - text));
}

/* ---- all together ---- */

static int judge(const struct http_head *h)
{
	if ((h->seen & HTTP_SEEN_HTTP_1_1) && !(h->seen & HTTP_SEEN_HOST))
		return HTTP_FAULT_HOST;
	return h->seen & HTTP_SEEN_COMPRESSED ? HTTP_FAULT_COMPRESSED : HTTP_FAULT_NONE;
}

/* The line that ends before `end`, with its line end. -EAGAIN: go on with the next. One empty line before the first is what
 * some callers leave behind a body. */
static int read_line(struct http_head *h, char *text, size_t end)
{
	size_t n = end - h->line;
	int rc = HTTP_FAULT_NONE;

	if (n < 2 || text[end - 2] != '\r')
		return HTTP_FAULT_BROKEN;
	n -= 2;
	if (n == 0 && h->headers > 0) {
		h->bytes = h->line = h->scanned = (uint32_t)end;
		return judge(h);
	}
	if (n == 0 && h->line > 0)
		return HTTP_FAULT_BROKEN;
	if (n > 0 && h->headers == 0) {
		rc = read_first_line(h, text, n);
		h->headers = (uint32_t)end;
	} else if (n > 0) {
		rc = read_header(h, text, n);
	}
	h->line = (uint32_t)end;
	h->scanned = (uint32_t)end;
	return rc == HTTP_FAULT_NONE ? -EAGAIN : rc;
}

static int too_long(const struct http_head *h, size_t n)
{
	if (h->headers == 0)
		return n > HTTP_FIRST_LINE_BYTES ? HTTP_FAULT_TARGET_TOO_LONG : HTTP_FAULT_NONE;
	return n - h->headers > HTTP_HEADERS_BYTES ? HTTP_FAULT_HEAD_TOO_LONG : HTTP_FAULT_NONE;
}

int http_head_read(struct http_head *h, char *text, size_t n)
{
	int rc = -EAGAIN;

	while (rc == -EAGAIN) {
		const char *end = h->scanned < n ? memchr(text + h->scanned, '\n', n - h->scanned) : NULL;
		int fault = too_long(h, end != NULL ? (size_t)(end - text) + 1 : n);

		if (fault != HTTP_FAULT_NONE)
			return fault;
		if (end == NULL)
			break;
		rc = read_line(h, text, (size_t)(end - text) + 1);
	}
	if (rc != -EAGAIN)
		return rc;
	if (h->headers == 0 && !may_become_a_line(text + h->line, n - h->line))
		return HTTP_FAULT_BROKEN;
	h->scanned = (uint32_t)n;
	return rc;
}

void http_head_forwarded(const struct http_head *h, const char *text, struct forwarded *f)
{
	const char *name = forwarded_name(f->header), *line = text + h->headers, *end = text + h->bytes, *next;

	/* A zero byte stands behind each name and each value. */
	for (; line < end && (next = memchr(line, '\n', (size_t)(end - line))) != NULL; line = next + 1)
		if (strcasecmp(line, name) == 0)
			forwarded_take(f, line + strlen(name) + 1, strlen(line + strlen(name) + 1));
}

bool http_head_keeps(const struct http_head *h)
{
	if (h->seen & HTTP_SEEN_CLOSE)
		return false;
	return (h->seen & (HTTP_SEEN_HTTP_1_1 | HTTP_SEEN_KEEP)) != 0;
}
