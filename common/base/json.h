/* json: reading JSON from outside. jansson recurses for each level of nesting, as deep as 2048, and connections' threads
 * have small stacks: a token of 2,000 brackets would run over them. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_JSON_H
#define COMMON_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 32

/* Read n bytes; flags are json_loadb's. NULL: not JSON, nested deeper than JSON_DEPTH_MAX, or no memory. */
json_t *json_read(const void *bytes, size_t n, size_t flags);

/* From json_watch or json_read on: did jansson want memory on this thread and get none? Then a text that was not read may be
 * JSON nevertheless, and a value that was built may lack something. */
void json_watch(void);
bool json_ran_out(void);
/* Go on with what json_ran_out said before another's json_watch or json_read, which came between on this thread. */
void json_watch_on(bool had_run_out);

/* The value as text, compact, ended by a zero byte that *bytes does not count; flags are json_dumps's. NULL: no memory, now or
 * since json_watch. */
char *json_write(const json_t *value, size_t flags, size_t *bytes);

/* A string: these bytes in hex. NULL: no memory. */
json_t *json_hex(const uint8_t *bytes, size_t n);

/* How the value of this member is written in a text that json_read took for an object: where it stands, and *value_bytes.
 * Of several the last one, as for jansson; a name written with escapes is not found. NULL: none. */
const char *json_member_text(const char *text, size_t n, const char *name, size_t *value_bytes);

#endif
