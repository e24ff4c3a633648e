/* resume: see resume.h. SPDX-License-Identifier: MIT */
#include "common/wire/resume.h"

#include <stdlib.h>

void resume_fini(struct resume *r)
{
	for (size_t i = 0; i < r->n; i++)
		message_unref(&r->messages[i]);
	free(r->messages);
	r->messages = NULL;
	r->n = 0;
}
