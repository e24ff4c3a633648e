/* thread_limit: which limit of the machine stands in the way of one more thread. Read from /proc once a spawn failed, by
 * the thread that logs it. The kernel answers EAGAIN for all of them, so the one with the least room left is named.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/thread.h"

struct limit {
	const char *name;
	const char *how;
	long long value; /* below 1: unknown or none */
	long long used;
};

static double share(const struct limit *l)
{
	return l->value > 0 ? (double)l->used / (double)l->value : 0;
}

/* The number that the file begins with, or -1: no such file, or "max". */
static long long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long long n;

	if (f == NULL)
		return -1;
	if (fscanf(f, "%lld", &n) != 1) /* NOLINT(cert-err34-c): the kernel's own numbers */
		n = -1;
	(void)fclose(f);
	return n;
}

static long long count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	long long n = 0;
	int ch;

	if (f == NULL)
		return 0;
	while ((ch = getc_unlocked(f)) != EOF)
		n += ch == '\n';
	(void)fclose(f);
	return n;
}

/* Threads of all processes: "0.20 0.18 0.12 1/80 11206" has 80 of them. */
static long long all_threads(void)
{
	FILE *f = fopen("/proc/loadavg", "re");
	long long n;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%*s %*s %*s %*d/%lld", &n) != 1) /* NOLINT(cert-err34-c): the kernel's own numbers */
		n = 0;
	(void)fclose(f);
	return n;
}

static long long our_threads(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long long n = 0;

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Threads: %lld", &n) == 1) /* NOLINT(cert-err34-c): the kernel's own numbers */
			break;
	(void)fclose(f);
	return n;
}

/* Those of the user are what counts; a server has a user of its own, so ours are about that. Root has no such limit. */
static void read_nproc(struct limit *l)
{
	struct rlimit tasks;

	if (getuid() == 0 || getrlimit(RLIMIT_NPROC, &tasks) < 0 || tasks.rlim_cur == RLIM_INFINITY)
		return;
	l->value = (long long)tasks.rlim_cur;
	l->used = our_threads();
}

/* Of our cgroup and those above it, the one with the least room. The path ends where the root of the mount is. */
static void read_cgroup_path(struct limit *l, const char *mount, char *path)
{
	char file[512];
	char *end = path + strlen(path);

	do {
		struct limit here = *l;

		*end = '\0';
		(void)snprintf(file, sizeof(file), "%s%s/pids.max", mount, path);
		here.value = read_number(file);
		(void)snprintf(file, sizeof(file), "%s%s/pids.current", mount, path);
		here.used = read_number(file);
		if (here.value > 0 && (l->value < 1 || share(&here) > share(l)))
			*l = here;
	} while ((end = strrchr(path, '/')) != NULL);
}

/* A line of /proc/self/cgroup is "0::/path" in version 2, "8:pids:/path" in version 1. */
static void read_cgroup(struct limit *l)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[256];

	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		char *path = strchr(line, '/');

		if (path == NULL)
			continue;
		path[strcspn(path, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0)
			read_cgroup_path(l, "/sys/fs/cgroup", path);
		else if (strstr(line, ":pids:") != NULL)
			read_cgroup_path(l, "/sys/fs/cgroup/pids", path);
	}
	(void)fclose(f);
}

void thread_limit_text(char *text, size_t text_bytes)
{
	long long threads = all_threads();
	struct limit limits[] = {
		{"kernel.pid_max", "sysctl -w kernel.pid_max=4194304", read_number("/proc/sys/kernel/pid_max"),
		 threads},
		{"kernel.threads-max", "sysctl -w kernel.threads-max=N", read_number("/proc/sys/kernel/threads-max"),
		 threads},
		{"vm.max_map_count", "sysctl -w vm.max_map_count=N", read_number("/proc/sys/vm/max_map_count"),
		 count_lines("/proc/self/maps")},
		{"RLIMIT_NPROC", "LimitNPROC=infinity, or ulimit -u unlimited", -1, 0},
		{"pids.max of the cgroup", "TasksMax=infinity, or docker run --pids-limit=-1", -1, 0},
	};
	const struct limit *worst = &limits[0];

	read_nproc(&limits[3]);
	read_cgroup(&limits[4]);
	for (size_t i = 1; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (share(&limits[i]) > share(worst))
			worst = &limits[i];
	(void)snprintf(text, text_bytes, "%s: %lld of %lld used; raise it: %s", worst->name, worst->used, worst->value,
		       worst->how);
}
