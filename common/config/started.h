/* started: the line that says which program has started, and how. SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_STARTED_H
#define COMMON_CONFIG_STARTED_H

#include "common/config/config.h"

/* mode: "alone", "cluster" or "logic". */
void started_say(const struct config *cfg, const char *program, const char *mode);

#endif
