/* accept: the TCP door. For each address one listening socket and a few threads that block in accept4.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_ACCEPT_H
#define COMET_ACCEPT_H

#include "comet/server.h"

struct accept;

/* Listen on all addresses of `bind` (host:port with commas; empty: none), start `threads` (0: one for each core) threads
 * for each, print "listening tcp ADDRESS" for each on stdout.
 * 0, or -errno with a log line that says which address and why; nothing is then left open. */
int accept_start(struct server *s, const char *bind, unsigned threads, struct accept **out);

/* Stop accepting: close the sockets, join the threads. */
void accept_stop(struct accept **a);

/* Name the labels of comet_accepted_total. Once, before threads start. */
void accept_label_counters(void);

#endif
