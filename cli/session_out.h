/* session_out: what a session prints on stdout. A line that it does not take is said on stderr. SPDX-License-Identifier: MIT */
#ifndef CLI_SESSION_OUT_H
#define CLI_SESSION_OUT_H

#include <stdbool.h>

#include "cli/printer.h"

/* A message; place as in printer. 0 or -errno. */
int session_out_message(const struct packet *p, const struct printer_place *place, const struct printer_style *style);
/* The answer to `sent`. 0 or -errno. */
int session_out_answer(const struct packet *p, const char *sent, bool json);

#endif
