/* core_dumps: see core_dumps.h. SPDX-License-Identifier: MIT */
#include "common/base/core_dumps.h"

#include <sys/resource.h>

void core_dumps_forbid(void)
{
	const struct rlimit none = {0, 0};

	/* A limit may always be lowered. */
	(void)setrlimit(RLIMIT_CORE, &none);
}
