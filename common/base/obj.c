/* obj: the last words of a dying program. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/obj.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void obj_bug(const char *what, const char *file, int line, const char *function)
{
	/* stderr is unbuffered and may be gone: there is nobody left to tell if it is. */
	(void)fprintf(stderr, "BUG: %s does not hold in %s (%s:%d); please report this line\n", what, function, file,
		      line);
	abort();
}
