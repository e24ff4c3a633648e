/* session: `comet-cli sub` once its arguments are read: one connection after another. It prints each push, keeps the
 * heartbeat, and comes back after a loss. One thread; to.cancel_fd ends every wait. SPDX-License-Identifier: MIT */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "client/client.h"

struct session_options {
	struct client_options to; /* whose cancel_fd is readable: leave */
	enum dialect dialect;
	const char *token;
	bool has_key;  /* of its own, by which a connection to another server replaces the one before */
	int64_t count; /* leave after so many messages; 0: stay */
	int64_t heartbeat_ns;
	int64_t deadline_ns;
	bool json, reconnect;
};

/* The end of a session, and its meaning. */
enum session_end {
	SESSION_DONE,        /* count reached, or a signal */
	SESSION_TIMED_OUT,   /* --timeout is over */
	SESSION_UNREACHABLE, /* no connection came about */
	SESSION_LOST,        /* worth another attempt */
	SESSION_REFUSED,     /* no attempt will do better */
	SESSION_MUTE,        /* nobody takes our output */
};

/* Session after session, until one ends it all. Says on stderr where it stands. */
enum session_end session_hold(const struct session_options *opt);

#endif
