/* ws_request: see ws_request.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/config/config.h"
#include "common/http/http_text.h"

enum seen {
	SEEN_HEAD = 1,     /* its method is HEAD, ... */
	SEEN_OTHER = 2,    /* ... neither that nor GET */
	SEEN_PATH = 4,     /* of ours */
	SEEN_HTTP_1_1 = 8, /* the version on its first line */
	SEEN_HOST = 16,
	SEEN_UPGRADE = 32,   /* to anything, ... */
	SEEN_WEBSOCKET = 64, /* ... to ours */
	SEEN_CONNECTION = 128,
	SEEN_VERSION = 256, /* that we have */
	SEEN_KEY = 512,
	SEEN_BAD_HOST = 1024, /* more than one */
	SEEN_BAD_KEY = 2048,
	SEEN_BAD_VERSION = 4096,
	SEEN_ORIGIN = 8192,
	SEEN_BAD_ORIGIN = 16384,
};

/* A piece of the text. */
struct piece {
	const char *at;
	size_t n;
};

static bool is(struct piece p, const char *word)
{
	return p.n == strlen(word) && memcmp(p.at, word, p.n) == 0;
}

static bool is_in_any_case(struct piece p, const char *word)
{
	return p.n == strlen(word) && strncasecmp(p.at, word, p.n) == 0;
}

static bool is_token(struct piece p)
{
	return http_is_token(p.at, p.n);
}

/* The text before the first such byte, which is taken off together with it; false: there is none. */
static bool split(struct piece *rest, char byte, struct piece *first)
{
	const char *at = memchr(rest->at, byte, rest->n);

	if (at == NULL)
		return false;
	*first = (struct piece){rest->at, (size_t)(at - rest->at)};
	rest->n -= first->n + 1;
	rest->at = at + 1;
	return true;
}

/* ---- the first line ---- */

/* The path of /sub?a=b and of http://host/sub?a=b. */
static struct piece path_of(struct piece target)
{
	struct piece path = target, before;
	size_t host;

	if (split(&path, ':', &before) && path.n > 2 && memcmp(path.at, "//", 2) == 0 && is_token(before)) {
		path.at += 2;
		path.n -= 2;
		for (host = 0; host < path.n && path.at[host] != '/'; host++)
			;
		target = (struct piece){path.at + host, path.n - host};
	}
	return split(&target, '?', &path) ? path : target;
}

static bool is_target(struct piece p)
{
	return p.n > 0 && http_is_text(p.at, p.n, false);
}

static int read_first_line(struct ws_request *r, struct piece line)
{
	struct piece method, target;

	if (!split(&line, ' ', &method) || !split(&line, ' ', &target) || !is_token(method) || !is_target(target) ||
	    line.n != 8 || memcmp(line.at, "HTTP/", 5) != 0)
		return WS_FAULT_BROKEN;
	if (is(method, "HEAD"))
		r->seen |= SEEN_HEAD;
	else if (!is(method, "GET"))
		r->seen |= SEEN_OTHER;
	if (is(path_of(target), "/sub"))
		r->seen |= SEEN_PATH;
	if (is(line, "HTTP/1.1"))
		r->seen |= SEEN_HTTP_1_1;
	return WS_FAULT_NONE;
}

/* Bytes that are no HTTP mostly have no line end to wait for. */
static bool may_become_a_line(const char *text, size_t n)
{
	for (size_t i = 0; i < n && i < 16 && text[i] != ' '; i++)
		if (!http_is_token_byte(text[i]))
			return false;
	return true;
}

/* ---- the others ---- */

static bool is_base64(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

static bool is_key(struct piece p)
{
	if (p.n != WS_KEY_BYTES || memcmp(p.at + 22, "==", 2) != 0)
		return false;
	for (unsigned i = 0; i < 22; i++)
		if (!is_base64(p.at[i]))
			return false;
	return true;
}

static void see(struct ws_request *r, bool good, unsigned seen, unsigned bad)
{
	r->seen |= (uint16_t)(!good || (r->seen & seen) ? bad : seen);
}

static void take_header(struct ws_request *r, const char *text, struct piece name, struct piece value)
{
	if (is_in_any_case(name, "Host")) {
		see(r, true, SEEN_HOST, SEEN_BAD_HOST);
		r->host = (uint16_t)(value.at - text);
		r->host_bytes = (uint16_t)value.n;
	} else if (is_in_any_case(name, "Upgrade")) {
		r->seen |= (uint16_t)(SEEN_UPGRADE | (http_lists(value.at, value.n, "websocket") ? SEEN_WEBSOCKET : 0));
	} else if (is_in_any_case(name, "Connection")) {
		r->seen |= (uint16_t)(http_lists(value.at, value.n, "Upgrade") ? SEEN_CONNECTION : 0);
	} else if (is_in_any_case(name, "Sec-WebSocket-Version")) {
		see(r, is(value, "13"), SEEN_VERSION, SEEN_BAD_VERSION);
	} else if (is_in_any_case(name, "Sec-WebSocket-Key")) {
		see(r, is_key(value), SEEN_KEY, SEEN_BAD_KEY);
		r->key = (uint16_t)(value.at - text);
	} else if (is_in_any_case(name, "Sec-WebSocket-Extensions")) {
		ws_offer_read(&r->offer, value.at, value.n);
	} else if (is_in_any_case(name, "Origin")) {
		see(r, true, SEEN_ORIGIN, SEEN_BAD_ORIGIN);
		r->origin = (uint16_t)(value.at - text);
		r->origin_bytes = (uint16_t)value.n;
	}
}

static int read_header(struct ws_request *r, const char *text, struct piece line)
{
	struct piece name;

	/* No line that goes on the one before, no space around the name, nothing that is not to be seen. */
	if (!split(&line, ':', &name) || !is_token(name))
		return WS_FAULT_BROKEN;
	if (!http_is_text(line.at, line.n, true))
		return WS_FAULT_BROKEN;
	http_trim(&line.at, &line.n);
	take_header(r, text, name, line);
	return WS_FAULT_NONE;
}

/* ---- all together ---- */

static enum ws_fault judge(const struct ws_request *r)
{
	if (r->seen & SEEN_OTHER)
		return WS_FAULT_METHOD;
	if (!(r->seen & SEEN_PATH))
		return WS_FAULT_PATH;
	if (!(r->seen & SEEN_UPGRADE))
		return WS_FAULT_NO_UPGRADE;
	if (r->seen & SEEN_HEAD)
		return WS_FAULT_METHOD;
	if (!(r->seen & SEEN_HTTP_1_1))
		return WS_FAULT_HTTP_VERSION;
	if (!(r->seen & SEEN_WEBSOCKET) || !(r->seen & SEEN_CONNECTION))
		return WS_FAULT_UPGRADE;
	if (!(r->seen & SEEN_HOST) || (r->seen & SEEN_BAD_HOST))
		return WS_FAULT_HOST;
	if (r->seen & SEEN_BAD_ORIGIN)
		return WS_FAULT_ORIGINS;
	if (!(r->seen & SEEN_VERSION) || (r->seen & SEEN_BAD_VERSION))
		return WS_FAULT_VERSION;
	if (!(r->seen & SEEN_KEY) || (r->seen & SEEN_BAD_KEY))
		return WS_FAULT_KEY;
	return WS_FAULT_NONE;
}

/* The line that ends before `end`, with its line end. -EAGAIN: go on with the next. */
static int read_line(struct ws_request *r, const char *text, size_t end)
{
	struct piece line = {text + r->line, end - r->line};
	int rc;

	if (end > WS_REQUEST_BYTES)
		return WS_FAULT_TOO_LONG;
	if (line.n < 2 || line.at[line.n - 2] != '\r')
		return WS_FAULT_BROKEN;
	line.n -= 2;
	if (line.n == 0 && r->line > 0) {
		r->bytes = (uint16_t)end;
		return (int)judge(r);
	}
	rc = r->line == 0 ? read_first_line(r, line) : read_header(r, text, line);
	r->line = (uint16_t)end;
	r->scanned = (uint16_t)end;
	return rc == WS_FAULT_NONE ? -EAGAIN : rc;
}

int ws_request_read(struct ws_request *r, const char *text, size_t n)
{
	int rc = -EAGAIN;

	while (rc == -EAGAIN) {
		const char *end = r->scanned < n ? memchr(text + r->scanned, '\n', n - r->scanned) : NULL;

		if (end == NULL)
			break;
		rc = read_line(r, text, (size_t)(end - text) + 1);
	}
	if (rc == -EAGAIN && n >= WS_REQUEST_BYTES)
		rc = WS_FAULT_TOO_LONG;
	if (rc == -EAGAIN && r->line == 0 && !may_become_a_line(text, n))
		rc = WS_FAULT_BROKEN;
	if (rc == -EAGAIN)
		r->scanned = (uint16_t)n;
	else
		r->fault = (uint8_t)rc;
	return rc;
}

void ws_request_forwarded(const struct ws_request *r, const char *text, struct forwarded *f)
{
	const char *wanted = forwarded_name(f->header);
	struct piece rest = {text, r->bytes}, line, name;

	/* The first line has a colon only in its target, and that is no token. */
	while (split(&rest, '\n', &line))
		if (split(&line, ':', &name) && is_in_any_case(name, wanted))
			forwarded_take(f, line.at, line.n - 1);
}

/* Bytes put behind each other, or only counted. */
struct gathered {
	char *at;
	size_t n;
};

static void gather(struct gathered *g, const char *bytes, size_t n)
{
	if (g->at != NULL)
		memcpy(g->at + g->n, bytes, n);
	g->n += n;
}

static void gather_query(struct piece line, struct gathered *g)
{
	struct piece method, target, path;

	/* Both are there, since the first line was read. */
	if (split(&line, ' ', &method) && split(&line, ' ', &target) && split(&target, '?', &path))
		gather(g, target.at, target.n);
}

static void gather_header(struct piece line, const char *names, struct gathered *g)
{
	char listed[128];
	struct piece name, value;

	if (!split(&line, ':', &name))
		return;
	while (config_list_next(&names, listed, sizeof(listed)))
		if (is_in_any_case(name, listed)) {
			value = (struct piece){line.at, line.n - 1};
			http_trim(&value.at, &value.n);
			gather(g, listed, strlen(listed));
			gather(g, ": ", 2);
			gather(g, value.at, value.n);
			gather(g, "\n", 1);
			return;
		}
}

/* The query, and then the headers. The bytes of the query. */
static size_t gather_all(const struct ws_request *r, const char *text, const char *names, struct gathered *g)
{
	struct piece rest = {text, r->bytes}, line;
	size_t query_bytes;

	if (split(&rest, '\n', &line))
		gather_query(line, g);
	query_bytes = g->n;
	while (split(&rest, '\n', &line))
		gather_header(line, names, g);
	return query_bytes;
}

int ws_request_gather(const struct ws_request *r, const char *text, const char *names, struct upgrade *out)
{
	struct gathered counted = {0}, written = {0};
	size_t query_bytes = gather_all(r, text, names, &counted);

	*out = (struct upgrade){0};
	if (counted.n > UPGRADE_BYTES)
		return WS_FAULT_UPGRADE_TOO_LONG;
	if (counted.n == 0)
		return WS_FAULT_NONE;
	if ((written.at = malloc(counted.n)) == NULL)
		return -ENOMEM;
	(void)gather_all(r, text, names, &written);
	*out = (struct upgrade){.query = written.at,
				.query_bytes = query_bytes,
				.headers = written.at + query_bytes,
				.headers_bytes = counted.n - query_bytes,
				.owned = written.at};
	return WS_FAULT_NONE;
}

bool ws_request_is_probe(const struct ws_request *r)
{
	return (r->fault == WS_FAULT_PATH || r->fault == WS_FAULT_NO_UPGRADE) && !(r->seen & SEEN_UPGRADE);
}

bool ws_request_is_head(const struct ws_request *r)
{
	return (r->seen & SEEN_HEAD) != 0;
}
