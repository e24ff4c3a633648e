/* ticket: the place that somebody has in this comet: admission_enter gives it, and admission_leave takes it back from the
 * one who holds it. SPDX-License-Identifier: MIT */
#ifndef COMET_TICKET_H
#define COMET_TICKET_H

enum ticket {
	TICKET_NONE,
	TICKET_HANDSHAKE, /* counts as one that is not through the handshake */
	TICKET_IN,
};

/* Hand it on: its old holder has none any more. */
static inline enum ticket ticket_take(enum ticket *from)
{
	enum ticket ticket = *from;

	*from = TICKET_NONE;
	return ticket;
}

#endif
