/* config_check: what the files that check the rules between settings share; config.h has config_check. SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_CONFIG_CHECK_H
#define COMMON_CONFIG_CONFIG_CHECK_H

#include <stdbool.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/config/config.h"

/* Say a line. -ERR_CONFIG. */
static inline int complain(FILE *errors, const char *words)
{
	(void)fprintf(errors, "%s\n", words);
	return -ERR_CONFIG;
}

/* The rules of the section auth. 0; -ERR_CONFIG, with a line for the first fault. */
int config_check_auth(const struct config *cfg, bool is_logic, FILE *errors);

#endif
