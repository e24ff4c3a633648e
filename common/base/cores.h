/* cores: how many threads can run at one time. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_CORES_H
#define COMMON_BASE_CORES_H

/* The cores that this process may run on, at least 1. taskset and cpusets of containers count. Any thread. */
unsigned cores(void);

#endif
