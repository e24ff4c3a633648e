/* config_list: see config.h. Values that are lists. Any thread. SPDX-License-Identifier: MIT */
#include "common/config/config.h"

#include <string.h>

bool config_list_next(const char **rest, char *item, unsigned item_bytes)
{
	const char *start = *rest + strspn(*rest, ", \t");
	size_t bytes = strcspn(start, ",");

	*rest = start + bytes;
	while (bytes > 0 && (start[bytes - 1] == ' ' || start[bytes - 1] == '\t'))
		bytes--;
	if (bytes == 0)
		return false;
	(void)snprintf(item, item_bytes, "%.*s", (int)bytes, start);
	return true;
}

unsigned config_list_count(const char *list)
{
	char item[2]; /* of which nothing is wanted */
	unsigned n = 0;

	while (config_list_next(&list, item, sizeof(item)))
		n++;
	return n;
}
