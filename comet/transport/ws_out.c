/* ws_out: see ws_out.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_out.h"

#include <errno.h>

#include "comet/transport/ws_haul.h"

/* What all the functions here hand on. */
struct errand {
	struct ws_out *out;
	struct stream *stream;
	enum dialect dialect;
	bool is_text;
	enum transport_wait wait;
};

static int write_laid(const struct errand *e, struct haul *h, struct ws_layout *l)
{
	size_t written = h->skip_bytes;
	int rc;

	l->window_bytes = e->out->window_bytes;
	if ((rc = ws_haul_lay(l, h, e->dialect, e->is_text, e->out->begun)) == 0)
		rc = stream_write(e->stream, l->iov, l->ends, l->n_ends, e->wait, &written);
	e->out->begun = ws_haul_account(l, h, written);
	e->out->torn = h->begun_bytes > 0 || rc == -ETIMEDOUT;
	return rc;
}

/* Mostly it is a heartbeat's answer, or a push: a reader that never writes more never touches more of its stack. */
#define FEW 4

__attribute__((noinline)) static int write_few(const struct errand *e, struct haul *h)
{
	struct iovec iov[WS_LAID_PIECES * FEW];
	struct ws_laid frames[FEW];
	unsigned ends[1 + FEW];
	struct ws_layout l = {.iov = iov, .ends = ends, .frames = frames};

	return write_laid(e, h, &l);
}

__attribute__((noinline)) static int write_many(const struct errand *e, struct haul *h)
{
	struct iovec iov[WS_LAID_PIECES * (HAUL_ANSWERS + HAUL_MESSAGES)];
	struct ws_laid frames[HAUL_ANSWERS + HAUL_MESSAGES];
	unsigned ends[1 + HAUL_ANSWERS + HAUL_MESSAGES];
	struct ws_layout l = {.iov = iov, .ends = ends, .frames = frames};

	return write_laid(e, h, &l);
}

int ws_out_write(struct ws_out *o, struct stream *s, struct haul *h, enum dialect dialect, bool is_text,
		 enum transport_wait wait)
{
	const struct errand e = {o, s, dialect, is_text, wait};

	if (o->torn && h->skip_bytes == 0)
		return -EPIPE;
	return h->n_answers + h->n_messages <= FEW ? write_few(&e, h) : write_many(&e, h);
}
