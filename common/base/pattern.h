/* pattern: a name, or the beginning of names with a * behind it. Pure; any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_PATTERN_H
#define COMMON_BASE_PATTERN_H

#include <stdbool.h>

/* Is the name this one, or does it begin as the pattern does that has a * at its end? */
bool pattern_matches(const char *pattern, const char *name);

#endif
