/* machine: the limits of the kernel and of the container that bound us (machine.def), and how much of each is used. The question
 * for the machine's capacity and that for the cause of a failed start of a thread look at the same ones. Reads /proc and the
 * cgroups: for the start, and for when something has failed. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_MACHINE_H
#define COMMON_BASE_MACHINE_H

#include <stdint.h>

enum machine_resource { MACHINE_FILES, MACHINE_THREADS, MACHINE_MAPS, MACHINE_RESOURCES };

enum machine_limit {
#define limit(NAME, of, name, how) MACHINE_##NAME,
#include "common/base/machine.def"
#undef limit
	MACHINE_LIMITS
};

struct machine_reading {
	const char *name;
	const char *how; /* to raise it */
	enum machine_resource of;
	int64_t value; /* below 1: unknown, or none */
	int64_t used;  /* about; of files it is not read */
};

struct machine_reading machine_read(enum machine_limit which);

/* For tests: read under this folder instead of under /. Before threads start; "" is the machine again. */
void machine_look_under(const char *root);

#endif
