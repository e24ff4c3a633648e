/* json: see json.h. SPDX-License-Identifier: MIT */
#include "common/json.h"

#include <stdbool.h>

/* Brackets are counted as jansson would meet them. Where the text is no JSON the count may go astray, but only behind the
 * place at which jansson stops. */
static bool is_shallow(const char *text, size_t n)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < n; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (text[i] == '[' || text[i] == '{')
			depth++;
		else if ((text[i] == ']' || text[i] == '}') && depth > 0)
			depth--;
		if (depth > JSON_DEPTH_MAX)
			return false;
	}
	return true;
}

json_t *json_read(const void *bytes, size_t n, size_t flags)
{
	return is_shallow(bytes, n) ? json_loadb(bytes, n, flags, NULL) : NULL;
}
