/* client_library: how libcometclient and libcometclient-ws open a client, each to where its own header says.
 * SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_LIBRARY_H
#define CLIENT_CLIENT_LIBRARY_H

#include "client/client_link.h"

struct comet_client;
struct comet_client_goodbye;
struct comet_client_options;

/* Connect as *to says, but for its cancel_fd and why, and authenticate. Errors as comet_client_open's and comet_client_open_url's:
 * the words of a link are the goodbye's reason. */
int client_library_open(const struct comet_client_options *opt, struct client_options *to, struct comet_client **out,
			struct comet_client_goodbye *goodbye);

#endif
