/* printer: a pushed message as one line, for people or for programs. SPDX-License-Identifier: MIT */
#ifndef CLI_PRINTER_H
#define CLI_PRINTER_H

#include <stdbool.h>
#include <stdio.h>

#include "common/wire/packet.h"

/* The text, with control characters and bytes that are not UTF-8 as \n, \r, \t or \xNN, so that it cannot steer a terminal. */
void printer_escaped(FILE *out, const void *text, size_t bytes);

/* "1000 {"test":1}": op and body, behind the time where there is one (came, or NULL). The body is
 * escaped, so that it is always one line. */
void printer_text(FILE *out, const struct packet *p, const char *came);

/* {"op":1000,"ver":1,"seq":0,"body":"..."}; a body that is not UTF-8 comes as "body_base64" in place of "body".
 * 0 or -ENOMEM (nothing was written). */
int printer_json(FILE *out, const struct packet *p, const char *came);

/* In either form, with the time of now where `times` says so, and on its way. 0 or -errno: no memory, or `out` does not take it. */
int printer_print(FILE *out, const struct packet *p, bool json, bool times);

#endif
