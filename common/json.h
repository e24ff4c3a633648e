/* json: reading JSON from outside. jansson recurses for each level of nesting, as deep as 2048, and connections' threads
 * have small stacks: a token of 2,000 brackets would run over them. SPDX-License-Identifier: MIT */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <jansson.h>
#include <stddef.h>

#define JSON_DEPTH_MAX 32

/* Read n bytes; flags are json_loadb's. NULL: not JSON, nested deeper than JSON_DEPTH_MAX, or no memory. */
json_t *json_read(const void *bytes, size_t n, size_t flags);

#endif
