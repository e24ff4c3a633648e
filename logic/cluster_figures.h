/* cluster_figures: what a comet-logic notes each second: sums over all comets, as they tell them once a second, and counts of its own.
 * SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLUSTER_FIGURES_H
#define LOGIC_CLUSTER_FIGURES_H

#include "common/base/chronicle.h"
#include "logic/registry.h"

struct cluster_figures;

/* The registry outlives it. 0 or -ENOMEM. */
int cluster_figures_new(struct registry *registry, struct cluster_figures **out);
void cluster_figures_free(struct cluster_figures **f);

/* Ask the registry, and note. Without an answer only its own counts are noted, and the rest stays blank. One thread's. Returns when it should be called next, a second
 * from now at most. */
int64_t cluster_figures_note(struct cluster_figures *f);

struct chronicle *cluster_figures_chronicle(struct cluster_figures *f);

#endif
