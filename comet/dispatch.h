/* dispatch: the dispatcher's story, dispatchTCP of the Go original, once for all transports: wait until there is something
 * to write, write all of it, flush once. SPDX-License-Identifier: MIT */
#ifndef COMET_DISPATCH_H
#define COMET_DISPATCH_H

#include "comet/connection.h"

/* The dispatcher thread of the connection `arg`; it borrows the reader's reference, which joins it. Returns NULL when the
 * channel is closed and empty, after the goodbye. */
void *dispatch(void *arg);

/* Write what waits, as TRANSPORT_NOW does, for the thread that got the baton from channel_push or channel_signal. Gives it back. */
void dispatch_now(struct connection *c);

#endif
