/* node_name: this process's name in a cluster, where the operator gives it none. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_NODE_NAME_H
#define COMMON_BASE_NODE_NAME_H

#define NODE_NAME_BYTES 128

/* `given`, or where that is empty host and process, as in "vm-1-4711". In a container, and early after a boot, others on the same
 * host name may have the same process id: there a random part follows, as in "vm-1-1-k3x9qd". Never fails; called once. */
void node_name(const char *given, char name[NODE_NAME_BYTES]);

#endif
