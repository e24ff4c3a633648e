/* inih: how its reader takes the files of all our programs: one line is one value. SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_INIH_H
#define COMMON_CONFIG_INIH_H

/* Before each call of ini_parse_...: lines of less than so many bytes. On main. */
void inih_set_up(int line_bytes);

#endif
