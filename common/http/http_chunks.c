/* http_chunks: see http_chunks.h. SPDX-License-Identifier: MIT */
#include "common/http/http_chunks.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/http/http_head.h"

/* Beyond it somebody only sends lengths of one byte, or trailers that nobody reads. A body of one-byte chunks has six a byte. */
#define ASIDE_BYTES    16384
#define DIGITS_MAX     15
#define LINE_OF_A_BYTE 8

enum state {
	STATE_LENGTH,    /* its digits, */
	STATE_EXTENSION, /* and what may follow them */
	STATE_LENGTH_END,
	STATE_DATA,
	STATE_DATA_CR,
	STATE_DATA_END,
	STATE_TRAILER, /* the first byte of a line */
	STATE_TRAILER_LINE,
	STATE_TRAILER_END,
	STATE_LAST_END,
	STATE_DONE,
};

static int hex(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	return ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

static int read_length(struct http_chunks *c, char ch)
{
	if (hex(ch) >= 0 && c->digits < DIGITS_MAX) {
		c->left = c->left << 4 | (uint64_t)hex(ch);
		c->digits++;
		return STATE_LENGTH;
	}
	if (c->digits == 0)
		return -1;
	return ch == '\r' ? STATE_LENGTH_END : ch == ';' ? STATE_EXTENSION : -1;
}

static int within_line(char ch, int same, int end)
{
	if (ch == '\r')
		return end;
	return ((unsigned char)ch < ' ' && ch != '\t') || ch == 0x7f ? -1 : same;
}

static int after_length(struct http_chunks *c)
{
	bool last = c->left == 0;

	c->digits = 0;
	return last ? STATE_TRAILER : STATE_DATA;
}

/* The state after this byte, or -1. */
static int step(struct http_chunks *c, char ch)
{
	switch (c->state) {
	case STATE_LENGTH:
		return read_length(c, ch);
	case STATE_EXTENSION:
		return within_line(ch, STATE_EXTENSION, STATE_LENGTH_END);
	case STATE_LENGTH_END:
		return ch == '\n' ? after_length(c) : -1;
	case STATE_DATA_CR:
		return ch == '\r' ? STATE_DATA_END : -1;
	case STATE_DATA_END:
		return ch == '\n' ? STATE_LENGTH : -1;
	case STATE_TRAILER:
		if (ch == ' ' || ch == '\t' || ch == ':')
			return -1;
		return ch == '\r' ? STATE_LAST_END : within_line(ch, STATE_TRAILER_LINE, -1);
	case STATE_TRAILER_LINE:
		return within_line(ch, STATE_TRAILER_LINE, STATE_TRAILER_END);
	case STATE_TRAILER_END:
		return ch == '\n' ? STATE_TRAILER : -1;
	default:
		return ch == '\n' ? STATE_DONE : -1;
	}
}

static size_t take_data(struct http_chunks *c, char *to, const char *from, size_t n)
{
	if (n > c->left)
		n = (size_t)c->left;
	memmove(to, from, n);
	c->left -= n;
	/* Whoever sends bytes of body may also have the lines around them. */
	c->aside -= c->aside < LINE_OF_A_BYTE * n ? c->aside : (uint32_t)(LINE_OF_A_BYTE * n);
	if (c->left == 0)
		c->state = STATE_DATA_CR;
	return n;
}

int http_chunks_read(struct http_chunks *c, char *bytes, size_t n, size_t *taken, size_t *made)
{
	*taken = 0;
	*made = 0;
	while (*taken < n && c->state != STATE_DONE) {
		if (c->state == STATE_DATA) {
			size_t some = take_data(c, bytes + *made, bytes + *taken, n - *taken);

			*taken += some;
			*made += some;
			continue;
		}
		c->state = step(c, bytes[(*taken)++]);
		if (c->state < 0 || ++c->aside > ASIDE_BYTES)
			return HTTP_FAULT_CHUNK;
	}
	return c->state == STATE_DONE ? 0 : -EAGAIN;
}
