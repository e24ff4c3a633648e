/* json: reading JSON from outside. jansson recurses for each level of nesting, as deep as 2048, and connections' threads
 * have small stacks: a token of 2,000 brackets would run over them. SPDX-License-Identifier: MIT */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <jansson.h>
#include <stddef.h>

#define JSON_DEPTH_MAX 32

/* Read n bytes; flags are json_loadb's. NULL: not JSON, nested deeper than JSON_DEPTH_MAX, or no memory. */
json_t *json_read(const void *bytes, size_t n, size_t flags);

/* How the value of this member is written in a text that json_read took for an object: where it stands, and *value_bytes.
 * Of several the last one, as for jansson; a name written with escapes is not found. NULL: none. */
const char *json_member_text(const char *text, size_t n, const char *name, size_t *value_bytes);

#endif
