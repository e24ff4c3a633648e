/* dispatch: the dispatcher's story, dispatchTCP of the Go original, once for all transports: wait until there is something
 * to write, write all of it, flush once. SPDX-License-Identifier: MIT */
#ifndef COMET_DISPATCH_H
#define COMET_DISPATCH_H

#include "comet/connection.h"

/* The dispatcher of the connection `arg`, whose thread holds a reference. Returns NULL when the channel is closed and empty, after
 * the goodbye, which channel_join waits for; with parking also when there is nothing to write. */
void *dispatch(void *arg);

/* Start a thread for it. 0; -EAGAIN, -ENOMEM: no thread, the baton is still the caller's. */
int dispatch_start(struct connection *c);

/* Write what waits, as TRANSPORT_NOW does, for the thread that got the baton from channel_push or channel_signal. Gives it back.
 * With parking it also says the goodbye of a channel that was closed, as far as that goes now. */
void dispatch_now(struct connection *c);

/* What the channels of parked connections have done. */
extern const struct channel_calls dispatch_calls;

/* There is no thread for the connection: logged with the limit that was hit, and shut down. */
void dispatch_say_no_thread(struct connection *c, int rc);

#endif
