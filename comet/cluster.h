/* cluster: the wiring of a comet in a cluster: logic is behind Redis, pushes come from a stream. Of the HTTP API it has what
 * says how it is; the rest is comet-logic's. SPDX-License-Identifier: MIT */
#ifndef COMET_CLUSTER_H
#define COMET_CLUSTER_H

#include "comet/wiring.h"

/* Takes the comet's name in the cluster, and waits for Redis. -ECANCELED: asked to stop meanwhile. */
wiring_maker cluster_wire;

/* For -t: can the files with Redis's passwords be read, in a comet of a cluster? 0, or an error that was logged. */
int cluster_try_login(const struct config *cfg);

#endif
