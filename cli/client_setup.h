/* client_setup: the options of commands that are a client: where to, as whom. Main thread only. SPDX-License-Identifier: MIT */
#ifndef CLI_CLIENT_SETUP_H
#define CLI_CLIENT_SETUP_H

#include "cli/command.h"
#include "client/client.h"
#include "client/client_url.h"
#include "common/base/address.h"

#define CLIENT_ACCEPTS_MAX 256

struct client_setup {
	struct client_options to;
	struct client_url url;
	bool has_place;   /* --host or --port */
	const char *host; /* as --host says it: maybe with a port, or a URL */
	struct client_identity identity;
	int32_t accepts[CLIENT_ACCEPTS_MAX];
	const char *token;
	const char *said;     /* an option that only a token of ours would hold */
	char *made_token;     /* malloc'ed, where none was given */
	struct address place; /* of the environment or the context */
	char token_text[8192];
};

/* Their rows. */
extern const struct cli_option client_setup_options[];

void client_setup_init(struct client_setup *s);
/* Take one of them, or of context_options. False where its value is wrong, which was said, or it is none of them. */
bool client_setup_take(struct client_setup *s, int option);
/* After the last option: `url` is the command line's, or NULL; what is open comes from the context, the environment or the defaults. -1 to
 * go on, otherwise the exit code, and it has said why. */
int client_setup_settle(struct client_setup *s, const char *command, const char *url);
void client_setup_fini(struct client_setup *s);

/* "user 123, key door-1": as whom it comes, as far as it knows that itself. */
void client_setup_name(const struct client_setup *s, char *text, size_t text_bytes);

#endif
