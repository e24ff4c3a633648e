/* wire_json: the JSON objects that requests and replies are, and members that several of them have. Pure functions.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_WIRE_JSON_H
#define COMMON_WIRE_WIRE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/wire.h"

/* The object that a text is; the caller's. 0; with *out NULL, -EBADMSG: it is none, or -ENOMEM. */
int wire_json_load(const char *text, size_t bytes, json_t **out);
/* As a text, where rc, the caller's so far, is 0; the object is freed. 0 or -ENOMEM. */
int wire_json_write(json_t *object, int rc, char **text, size_t *bytes);

/* A string without zero bytes, shorter than `space` bytes; absent: "". False: it is no such string. */
bool wire_json_string(const json_t *object, const char *name, size_t space, const char **out);
/* An integer between min and max; absent: 0. */
bool wire_json_integer(const json_t *object, const char *name, int64_t min, int64_t max, int64_t *out);

/* "rooms", {"room": count, ...}, as a list that points into it and is the caller's, as *owned; absent: none. 0, -EBADMSG, -ENOMEM. */
int wire_json_rooms(const json_t *object, const struct wire_room_count **out, size_t *n, void **owned);
/* Rooms whose id is not UTF-8 are left out. 0 or -ENOMEM. */
int wire_json_set_rooms(json_t *object, const struct wire_room_count *rooms, size_t n);

#endif
