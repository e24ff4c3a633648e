/* banner: the commands to try, for who starts a comet on a terminal. SPDX-License-Identifier: MIT */
#ifndef COMET_BANNER_H
#define COMET_BANNER_H

#include "common/config/config.h"

/* Print them to stdout where that is a terminal and the log is text; the comet runs alone. name: argv[0]. */
void banner_print(const struct config *cfg, const char *name);

#endif
