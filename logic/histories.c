/* histories: see histories.h. SPDX-License-Identifier: MIT */
#include "logic/histories.h"

#include <stdlib.h>

void histories_found_fini(struct histories_found *found)
{
	for (size_t i = 0; i < found->n; i++)
		message_unref(&found->messages[i]);
	free(found->messages);
	*found = (struct histories_found){0};
}
