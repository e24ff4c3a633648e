/* context: a server's address and key under a name, in ~/.config/comet/cli.ini, so that the command line need not have them. Main thread
 * only. SPDX-License-Identifier: MIT */
#ifndef CLI_CONTEXT_H
#define CLI_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/command.h"

enum context_key {
#define key(NAME, name) CONTEXT_##NAME,
#include "cli/context.def"
#undef key
	CONTEXT_KEYS
};

/* The option that names one, for each command that asks a server; its row for the table. */
enum { CONTEXT_OPT = 768 };
extern const struct cli_option context_options[];

/* Choose the context of --context. */
void context_choose(const char *name);

/* Read the file, after the last option: the chosen context's section, or else that of COMET_CONTEXT, or else [default]. False: it
 * cannot be read, or has no such section; that was said. */
bool context_read(void);

/* What the context says, after context_read; a chosen context comes before the environment's variable (NULL: there is none), which comes
 * before a context that was not chosen on the command line. NULL: nobody says anything. */
const char *context_get(enum context_key key, const char *variable);

/* The first line, as far as it fits, of the file that the context names by this key, which it has. False: it cannot be read, which was
 * said. */
bool context_read_line(enum context_key key, char *line, size_t bytes);

/* Does the environment leave it to the context? A context's keys and tokens go to the context's server and to no other. */
bool context_rules(const char *variable);

/* The names in the file, one a line, for completion. */
void context_list(FILE *out);

#endif
