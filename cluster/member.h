/* member: a comet as one of a cluster. SPDX-License-Identifier: MIT */
#ifndef CLUSTER_MEMBER_H
#define CLUSTER_MEMBER_H

#include "common/config/config.h"

/* The strings are the owner's, and outlive all users of the struct. */
struct cluster_member {
	const struct config *cfg;
	const char *server_id;
	const char *addrs; /* told to clients that ask for nodes */
};

#endif
