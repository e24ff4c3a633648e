/* socket_options: what the sockets of clients are to be like. SPDX-License-Identifier: MIT */
#ifndef COMET_DOOR_SOCKET_OPTIONS_H
#define COMET_DOOR_SOCKET_OPTIONS_H

#include <stdbool.h>

#include "common/config/config.h"

/* Of fd, a listening socket: those that it accepts inherit all of them, which costs them no system call. is_path: it is one of
 * AF_UNIX. 0, or -errno. */
int socket_options_set(const struct config *cfg, int fd, bool is_path);

#endif
