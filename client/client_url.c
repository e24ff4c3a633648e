/* client_url: see client_url.h. SPDX-License-Identifier: MIT */
#include "client/client_url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_tls.h"
#include "client/client_ws.h"

struct scheme {
	const char *prefix;
	bool tls, websocket;
	const char *port; /* NULL: it has to be named */
};

static const struct scheme schemes[] = {
	{"tcp://", false, false, "3101"},
	{"tls://", true, false, NULL},
	{"ws://", false, true, "80"},
	{"wss://", true, true, "443"},
};

/* Copy n characters, if they fit and there are any. */
static bool copy(char *out, size_t out_bytes, const char *text, size_t n)
{
	if (n == 0 || n >= out_bytes)
		return false;
	memcpy(out, text, n);
	out[n] = '\0';
	return true;
}

/* It goes into a request: neither blanks nor what controls, nor what only pages know. */
static bool is_plain(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~' || *text == '#' || *text == '\\')
			return false;
	return true;
}

static bool take_port(struct client_url *url, const char *text, size_t n)
{
	return copy(url->port, sizeof(url->port), text, n) && strspn(url->port, "0123456789") == n &&
	       atoi(url->port) > 0 && atoi(url->port) <= 65535;
}

/* host, host:port, [address] or [address]:port. */
static bool take_place(struct client_url *url, const char *text, size_t n)
{
	bool in_brackets = n > 0 && text[0] == '[';
	const char *end = in_brackets ? memchr(text, ']', n) : memchr(text, ':', n);
	const char *host = text + in_brackets;
	size_t rest;

	if (in_brackets && end == NULL)
		return false;
	if (end == NULL)
		end = text + n;
	if (!copy(url->host, sizeof(url->host), host, (size_t)(end - host)) || strchr(url->host, '@') != NULL)
		return false;
	end += in_brackets;
	rest = n - (size_t)(end - text);
	return rest == 0 ? url->port[0] != '\0' : *end == ':' && take_port(url, end + 1, rest - 1);
}

static bool take_path(struct client_url *url, const char *text)
{
	if (*text == '\0')
		return copy(url->path, sizeof(url->path), "/sub", 4);
	if (!url->websocket)
		return text[0] == '/' && text[1] == '\0';
	return text[0] == '/' && copy(url->path, sizeof(url->path), text, strlen(text));
}

int client_url_parse(const char *text, struct client_url *out)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		const struct scheme *s = &schemes[i];
		size_t skip = strlen(s->prefix);
		size_t place;

		if (strncmp(text, s->prefix, skip) != 0)
			continue;
		*out = (struct client_url){.tls = s->tls, .websocket = s->websocket};
		if (s->port != NULL)
			memcpy(out->port, s->port, strlen(s->port) + 1);
		place = strcspn(text + skip, "/?");
		return is_plain(text) && take_place(out, text + skip, place) && take_path(out, text + skip + place)
			       ? 0
			       : -EINVAL;
	}
	return -EINVAL;
}

void client_url_aim(const struct client_url *url, struct client_options *opt)
{
	opt->host = url->host;
	opt->port = url->port;
	opt->path = url->path;
	opt->tls = url->tls;
	opt->open = url->websocket ? client_ws_open : url->tls ? client_tls_open : NULL;
}
