/* args: the arguments of a script of Redis, while they are put together. They stay their owners'. SPDX-License-Identifier: MIT */
#ifndef LOGIC_ARGS_H
#define LOGIC_ARGS_H

#include <stddef.h>

struct args {
	const char **v;
	size_t *bytes;
	size_t n, most;
};

/* With space for so many. 0 or -ENOMEM; args_fini is due in each case. */
int args_init(struct args *a, size_t most);
void args_fini(struct args *a);

void args_add(struct args *a, const char *text, size_t bytes);
void args_add_text(struct args *a, const char *text);

#endif
