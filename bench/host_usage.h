/* host_usage: what the machine and some processes of it use, read from /proc. SPDX-License-Identifier: MIT */
#ifndef BENCH_HOST_USAGE_H
#define BENCH_HOST_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOST_USAGE_PIDS_MAX 64

struct host_usage {
	/* the machine, KiB */
	int64_t free_kib; /* with the pages that each core keeps for itself, which MemFree is without */
	int64_t kernel_stack_kib;
	int64_t slab_kib;
	int64_t page_tables_kib;
	int64_t anonymous_kib;
	int64_t hidden_kib; /* in none of the system's accounts: for example, a page fragment of each thread that has sent */
	/* of the slab: caches that grow with sockets, with what epoll watches, and with threads; only root may look */
	bool has_caches;
	int64_t socket_kib;
	int64_t epoll_kib;
	int64_t thread_kib;
	/* the processes together */
	int64_t rss_kib;
	int64_t rss_anonymous_kib;
	int64_t own_page_tables_kib;
	int64_t threads;
	double cpu_s; /* user and system */
};

/* 0, or -errno: -ESRCH where a pid is not there (any more). */
int host_usage_read(const pid_t *pids, size_t n_pids, struct host_usage *out);

#endif
