/* session: a command that is a client, once its arguments are read: one connection after another. It prints each push, keeps the
 * heartbeat, and comes back after a loss. One thread; SIGINT and SIGTERM end every wait. SPDX-License-Identifier: MIT */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/client_setup.h"
#include "cli/printer.h"
#include "common/base/clock.h"

#define SESSION_HEARTBEAT_NS (30 * CLOCK_SEC)

struct session_options {
	struct client_setup who;
	const char *rooms;   /* to be joined, with streams: TYPE://ID with commas; NULL: none */
	int64_t since, last; /* a position, the newest so many; 0: none */
	bool has_last;
	int64_t count; /* leave after so many messages; 0: stay */
	int64_t heartbeat_ns;
	int64_t timeout_ns;         /* 0: never */
	struct printer_style style; /* how messages are printed */
	bool reconnect;
	/* of `send` */
	const char *packet; /* its body; NULL: send nothing */
	int32_t packet_op, reply_op;
	bool follows; /* stay after the answer */
};

/* Session after session, until one ends it all. Says on stderr where it stands; returns the program's exit code. */
int session_run(const struct session_options *opt);

#endif
