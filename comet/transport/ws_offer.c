/* ws_offer: see ws_offer.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_offer.h"

#include <string.h>

#include "common/http/http_text.h"

struct scan {
	const char *at, *end;
};

struct word {
	const char *at;
	size_t n;
};

static bool is(struct word w, const char *text)
{
	return w.n == strlen(text) && memcmp(w.at, text, w.n) == 0;
}

static void skip_space(struct scan *s)
{
	while (s->at < s->end && http_is_blank(*s->at))
		s->at++;
}

static bool skip_byte(struct scan *s, char byte)
{
	skip_space(s);
	if (s->at == s->end || *s->at != byte)
		return false;
	s->at++;
	skip_space(s);
	return true;
}

static bool read_token(struct scan *s, struct word *w)
{
	w->at = s->at;
	while (s->at < s->end && http_is_token_byte(*s->at))
		s->at++;
	w->n = (size_t)(s->at - w->at);
	return w->n > 0;
}

/* In quotes there is a token as well, which needs no escapes: RFC 6455, section 9.1. */
static bool read_value(struct scan *s, struct word *w)
{
	if (s->at == s->end || *s->at != '"')
		return read_token(s, w);
	s->at++;
	return read_token(s, w) && s->at < s->end && *s->at++ == '"';
}

/* 8 to 15, with no zero before; 0 for anything else. */
static unsigned window_bits(struct word w)
{
	if (w.n == 1 && (w.at[0] == '8' || w.at[0] == '9'))
		return (unsigned)(w.at[0] - '0');
	if (w.n == 2 && w.at[0] == '1' && w.at[1] >= '0' && w.at[1] <= '5')
		return 10U + (unsigned)(w.at[1] - '0');
	return 0;
}

enum seen { SEEN_SERVER_TAKEOVER = 1, SEEN_CLIENT_TAKEOVER = 2, SEEN_SERVER_BITS = 4, SEEN_CLIENT_BITS = 8 };

static bool see(unsigned *seen, unsigned which)
{
	bool first = (*seen & which) == 0;

	*seen |= which;
	return first;
}

/* Can this parameter be taken? value: of no bytes where there is none. */
static bool take_parameter(struct ws_offer *o, unsigned *seen, struct word name, struct word value)
{
	unsigned bits = window_bits(value);

	if (is(name, "server_no_context_takeover"))
		return value.n == 0 && see(seen, SEEN_SERVER_TAKEOVER);
	if (is(name, "client_no_context_takeover"))
		return value.n == 0 && see(seen, SEEN_CLIENT_TAKEOVER);
	if (is(name, "client_max_window_bits"))
		return (value.n == 0 || bits != 0) && see(seen, SEEN_CLIENT_BITS);
	if (!is(name, "server_max_window_bits"))
		return false;
	o->server_bits = (uint8_t)bits;
	return bits > 8 && see(seen, SEEN_SERVER_BITS);
}

/* False: not in the list's grammar. */
static bool read_offer(struct scan *s, struct ws_offer *o)
{
	struct word name, value;
	unsigned seen = 0;
	bool good;

	*o = (struct ws_offer){0};
	if (!read_token(s, &name))
		return false;
	good = is(name, "permessage-deflate");
	while (skip_byte(s, ';')) {
		if (!read_token(s, &name))
			return false;
		value.n = 0;
		if (skip_byte(s, '=') && !read_value(s, &value))
			return false;
		good = good && take_parameter(o, &seen, name, value);
	}
	skip_space(s);
	o->taken = good && (s->at == s->end || *s->at == ',');
	return s->at == s->end || *s->at == ',';
}

void ws_offer_read(struct ws_offer *o, const char *list, size_t n)
{
	struct scan s = {list, list + n};
	bool goes_on = true;

	while (goes_on && !o->taken) {
		/* A list may have places with nothing in them. */
		while (skip_byte(&s, ','))
			;
		goes_on = s.at < s.end && read_offer(&s, o);
	}
}
