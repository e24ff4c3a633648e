/* pattern: see pattern.h. SPDX-License-Identifier: MIT */
#include "common/base/pattern.h"

#include <string.h>

bool pattern_matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	if (n > 0 && pattern[n - 1] == '*')
		return strncmp(pattern, name, n - 1) == 0;
	return strcmp(pattern, name) == 0;
}
