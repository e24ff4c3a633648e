/* printer: a pushed message as one line, for people or for programs. SPDX-License-Identifier: MIT */
#ifndef CLI_PRINTER_H
#define CLI_PRINTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "client/client_rooms.h"
#include "common/wire/packet.h"

/* The text, with control characters and bytes that are not UTF-8 as \n, \r, \t or \xNN, so that it cannot steer a terminal. */
void printer_escaped(FILE *out, const void *text, size_t bytes);
/* The same of all of a text; NULL is "". */
void printer_word(FILE *out, const char *text);

/* The value as JSON; flags are json_dumps's. DEL and U+0080 to U+009F, which JSON allows in a text, are \u0080 and so on, for the same
 * reason. 0 or -ENOMEM (nothing was written, and NULL is a value for which there was none). */
int printer_value(FILE *out, const json_t *value, size_t flags);

/* Where a push came, with streams. */
struct printer_place {
	const char *room; /* "": to a user, a key or all */
	int64_t number;   /* 0: it has none */
};

/* "1000 {"test":1}": op and body, behind the time where there is one (came, or NULL); "1000 chat://1 1795999887666491 hello" with a place
 * (or NULL), whose parts are "-" where they are not there. Both are escaped, so that a
 * message is always one line. */
void printer_text(FILE *out, const struct packet *p, const char *came, const struct printer_place *place);

/* {"op":1000,"ver":1,"seq":0,"body":"..."}, with a place also "room" and "number"; a body that is not UTF-8 comes as "body_base64" in
 * place of "body". 0 or -ENOMEM (nothing was written). */
int printer_json(FILE *out, const struct packet *p, const char *came, const struct printer_place *place);

/* How messages are printed. */
struct printer_style {
	bool json, times;   /* times: with the time of now */
	const char *format; /* NULL: as above; else a line each, of which printer_format_is_good */
};

/* Is each % of it followed by t (the time), o (the operation), r (the room), n (the number), b (the body) or another %? */
bool printer_format_is_good(const char *format);

/* In this style, and on its way. 0 or -errno: no memory, or `out` does not take it. */
int printer_print(FILE *out, const struct packet *p, const struct printer_place *place,
		  const struct printer_style *style);
/* {"event":"joined","room":"chat://1","at":5,"replay":0}, "gap" and "left" the same way, as above. */
int printer_event(FILE *out, const struct client_event *e, bool times);

#endif
