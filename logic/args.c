/* args: see args.h. SPDX-License-Identifier: MIT */
#include "logic/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/obj.h"

int args_init(struct args *a, size_t most)
{
	*a = (struct args){.v = calloc(most, sizeof(*a->v)), .bytes = calloc(most, sizeof(*a->bytes)), .most = most};
	return a->v != NULL && a->bytes != NULL ? 0 : -ENOMEM;
}

void args_fini(struct args *a)
{
	free(a->v);
	free(a->bytes);
}

void args_add(struct args *a, const char *text, size_t bytes)
{
	BUG_UNLESS(a->n < a->most);
	a->v[a->n] = text;
	a->bytes[a->n++] = bytes;
}

void args_add_text(struct args *a, const char *text)
{
	args_add(a, text, strlen(text));
}
