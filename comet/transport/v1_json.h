/* v1_json: packets as the JSON of v1 web clients, both ways. Pure functions: no socket, no state, any thread.
 *
 *   a client says    {"ver":1,"op":2,"seq":2,"body":{}}
 *   the server says  [{"ver":1,"op":3,"seq":2,"body":{}}]
 * SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_V1_JSON_H
#define COMET_TRANSPORT_V1_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/message.h"
#include "common/wire/packet.h"

/* The bytes around a body: the names, the numbers at their longest, brackets, and some white space. */
#define V1_JSON_AROUND_BYTES 256

/* Read the packet of a text message. p->body is the JSON text of "body" as it stands in `text` (empty when there is none
 * or it is null); ver and seq are 0 where they are missing or null, as some clients have it. Members with other names are
 * skipped; of two with one name the last counts.
 *   0
 *   -ERR_PACKET_JSON  no JSON object, not UTF-8, op is missing, or ver, op or seq is no integer that fits
 *   -ERR_PACKET_BODY  the body is longer than max_body */
int v1_json_decode(const uint8_t *text, size_t text_bytes, uint32_t max_body, struct packet *p);

/* Is this one JSON value (RFC 8259, in UTF-8) with nothing but white space around it? Values nested more than 32 deep
 * count as none. */
bool v1_json_is_value(const uint8_t *text, size_t text_bytes);

/* How many bytes v1_json_put may write for a body of this length. */
size_t v1_json_max_bytes(size_t body_bytes);

/* Write one element, {"ver":1,...,"body":...}, to `out`, and return its length. The body goes in as it is if it is a JSON
 * value, as {} if it is empty and `empty_is_object`, otherwise as a JSON string, in which U+FFFD stands for bytes that are not
 * UTF-8. */
size_t v1_json_put(uint8_t *out, const struct packet *p, bool empty_is_object);

/* The pushed message as an element, made once and kept in it. NULL: no memory. Any thread. */
const struct message_form *v1_json_of_message(struct message *m);

#endif
