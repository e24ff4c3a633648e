/* figures: what a comet notes of itself each second. SPDX-License-Identifier: MIT */
#ifndef COMET_FIGURES_H
#define COMET_FIGURES_H

#include "common/base/chronicle.h"

/* 0 or -ENOMEM. */
int figures_new(struct chronicle **out);
/* Once a second is over; so many rooms are here. */
void figures_note(struct chronicle *c, size_t rooms);

#endif
