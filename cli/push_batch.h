/* push_batch: many pushes, a line of JSON each, through the HTTP API. Main thread only. SPDX-License-Identifier: MIT */
#ifndef CLI_PUSH_BATCH_H
#define CLI_PUSH_BATCH_H

#include "cli/api_call.h"
#include "common/base/clock.h"

#define PUSH_BATCH_TIMEOUT_NS (30 * CLOCK_SEC) /* for a call: the server itself may take ten seconds */

/* Push what is on the lines of the file, or with "-" of stdin, in as many calls as that takes: of a pipe what is there, without waiting
 * for more. Each line that the server refuses is said on stderr with its number; how many were pushed goes to stdout, or
 * with --json the answers. Returns an exit code; the first call that fails as a whole is the last. */
int push_batch(const struct api_options *opt, const char *file);

#endif
