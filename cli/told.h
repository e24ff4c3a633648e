/* told: what became of a push or a kick, in words. SPDX-License-Identifier: MIT */
#ifndef CLI_TOLD_H
#define CLI_TOLD_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* Of a push of this operation, from the answer's data; `who` names one of its targets as its parameter does ("mid", "user", "key",
 * "room"), of which there were so many. Prints nothing where the server tells nothing: it is an older one, or the key may not know. */
void told_push(FILE *out, const json_t *data, int64_t op, const char *who, unsigned n_who);
void told_kick(FILE *out, const json_t *data);

#endif
