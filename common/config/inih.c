/* inih: see inih.h. SPDX-License-Identifier: MIT */
#include "common/config/inih.h"

#include <ini.h>
#include <stdbool.h>

/* Debian's inih takes at run time what others fix when they build it. One line is one value: a secret may hold " ;",
 * and an indented key is a key. */
void inih_set_up(int line_bytes)
{
	static char comment_starts[] = ";#";

	ini_use_stack = false;
	ini_allow_realloc = false;
	ini_initial_alloc = line_bytes;
	ini_max_line = line_bytes;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	ini_stop_on_first_error = false;
	ini_start_comment_prefixes = comment_starts;
}
