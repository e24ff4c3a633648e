/* host_usage: see host_usage.h. SPDX-License-Identifier: MIT */
#include "bench/host_usage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number after "name:" at the start of a line, or 0. */
static int64_t field(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, n) == 0 && line[n] == ':')
			return strtoll(line + n + 1, NULL, 10);
	}
	return 0;
}

/* A file of /proc as text; longer ones are cut. */
static int read_text(const char *path, char *text, size_t text_bytes)
{
	FILE *file = fopen(path, "re");
	size_t n;

	if (file == NULL)
		return errno == EMFILE || errno == ENFILE ? -EMFILE : -ESRCH;
	n = fread(text, 1, text_bytes - 1, file);
	text[n] = '\0';
	fclose(file);
	return n > 0 ? 0 : -ESRCH;
}

static int add_process(pid_t pid, struct host_usage *out)
{
	unsigned long long user, system;
	char path[64], text[4096];
	const char *after_name;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if ((rc = read_text(path, text, sizeof(text))) < 0)
		return rc;
	out->rss_kib += field(text, "VmRSS");
	out->rss_anonymous_kib += field(text, "RssAnon");
	out->own_page_tables_kib += field(text, "VmPTE");
	out->threads += field(text, "Threads");

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if ((rc = read_text(path, text, sizeof(text))) < 0)
		return rc;
	/* The name, in brackets, may hold anything; fields 14 and 15 of proc(5) are the 12th and 13th after it. */
	after_name = strrchr(text, ')');
	if (after_name == NULL ||
	    sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		return -EIO;
	out->cpu_s += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
	return 0;
}

/* ---- what /proc/meminfo does not say ---- */

/* Call `take` with each line. False: the file cannot be read. */
static bool each_line(const char *path, void (*take)(const char *line, void *arg), void *arg)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t space = 0;

	if (file == NULL)
		return false;
	while (getline(&line, &space, file) > 0)
		take(line, arg);
	free(line);
	fclose(file);
	return true;
}

/* "count: 123" of a zone and a core: pages that are free, and not in MemFree. */
static void add_core_pages(const char *line, void *arg)
{
	int64_t *pages = arg;
	long long n;

	if (sscanf(line, " count: %lld", &n) == 1)
		*pages += n;
}

static int64_t pages_kib(int64_t pages)
{
	return pages * sysconf(_SC_PAGESIZE) / 1024;
}

/* A cache of /proc/slabinfo. Whole slabs count, for that is what the system has less. */
static void add_cache(const char *line, void *arg)
{
	static const char *const sockets[] = {"TCP", "TCPv6", "sock_inode_cache", "filp", "lsm_file_cache"};
	static const char *const threads[] = {"task_struct", "pid", "cred_jar", "signal_cache", "sighand_cache"};
	struct host_usage *out = arg;
	long long pages_per_slab, slabs;
	char name[64];

	if (sscanf(line, "%63s %*d %*d %*d %*d %lld : tunables %*d %*d %*d : slabdata %*d %lld", name, &pages_per_slab,
		   &slabs) != 3)
		return;
	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++)
		if (strcmp(name, sockets[i]) == 0)
			out->socket_kib += pages_kib(pages_per_slab * slabs);
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
		if (strcmp(name, threads[i]) == 0)
			out->thread_kib += pages_kib(pages_per_slab * slabs);
	if (strcmp(name, "eventpoll_epi") == 0)
		out->epoll_kib += pages_kib(pages_per_slab * slabs);
}

static void add_accounts(const char *meminfo, struct host_usage *out)
{
	static const char *const accounts[] = {"Slab",    "KernelStack", "PageTables",    "AnonPages", "Cached",
					       "Buffers", "Percpu",      "SecPageTables", "Balloon"};
	int64_t core_pages = 0;

	(void)each_line("/proc/zoneinfo", add_core_pages, &core_pages);
	out->free_kib = field(meminfo, "MemFree") + pages_kib(core_pages);
	out->hidden_kib = field(meminfo, "MemTotal") - out->free_kib;
	for (size_t i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++)
		out->hidden_kib -= field(meminfo, accounts[i]);
	out->has_caches = each_line("/proc/slabinfo", add_cache, out);
}

int host_usage_read(const pid_t *pids, size_t n_pids, struct host_usage *out)
{
	char text[8192];
	int rc = read_text("/proc/meminfo", text, sizeof(text));

	if (rc < 0)
		return rc;
	*out = (struct host_usage){
		.kernel_stack_kib = field(text, "KernelStack"),
		.slab_kib = field(text, "Slab"),
		.page_tables_kib = field(text, "PageTables"),
		.anonymous_kib = field(text, "AnonPages"),
	};
	add_accounts(text, out);
	for (size_t i = 0; i < n_pids; i++)
		if ((rc = add_process(pids[i], out)) < 0)
			return rc;
	return 0;
}
