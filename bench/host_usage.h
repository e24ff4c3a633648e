/* host_usage: what the machine and some processes of it use, read from /proc. SPDX-License-Identifier: MIT */
#ifndef BENCH_HOST_USAGE_H
#define BENCH_HOST_USAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOST_USAGE_PIDS_MAX 64

struct host_usage {
	/* the machine, KiB */
	int64_t available_kib;
	int64_t kernel_stack_kib;
	int64_t slab_kib;
	int64_t page_tables_kib;
	int64_t anonymous_kib;
	/* the processes together */
	int64_t rss_kib;
	int64_t threads;
	double cpu_s; /* user and system */
};

/* 0, or -errno: -ESRCH where a pid is not there (any more). */
int host_usage_read(const pid_t *pids, size_t n_pids, struct host_usage *out);

#endif
