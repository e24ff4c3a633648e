/* sigpipe: no SIGPIPE for a thread while a library writes to sockets with write(), which OpenSSL does. What the program does with
 * that signal elsewhere stays as it is. SPDX-License-Identifier: MIT */
#ifndef CLIENT_SIGPIPE_H
#define CLIENT_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

struct sigpipe {
	sigset_t mask;
	bool pending;
};

void sigpipe_hold(struct sigpipe *s);
/* Forget the one that came meanwhile. errno stays. */
void sigpipe_drop(const struct sigpipe *s);

#endif
