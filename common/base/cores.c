/* cores: see cores.h. SPDX-License-Identifier: MIT */
#include "common/base/cores.h"

#include <sched.h>
#include <unistd.h>

unsigned cores(void)
{
	cpu_set_t allowed;
	long online;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
		return (unsigned)CPU_COUNT(&allowed);
	/* A machine of more than CPU_SETSIZE cores. */
	online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (unsigned)online : 1;
}
