/* machine: see machine.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/machine.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/obj.h"

static const char *under = "";

void machine_look_under(const char *root)
{
	under = root;
}

static FILE *open_file(const char *path)
{
	char file[512];
	int n = snprintf(file, sizeof(file), "%s%s", under, path);

	return n > 0 && (size_t)n < sizeof(file) ? fopen(file, "re") : NULL;
}

/* The number that the file begins with, or -1: no such file, or "max". */
static int64_t read_number(const char *path)
{
	FILE *f = open_file(path);
	long long n;

	if (f == NULL)
		return -1;
	if (fscanf(f, "%lld", &n) != 1) /* NOLINT(cert-err34-c): the kernel's own numbers */
		n = -1;
	(void)fclose(f);
	return n;
}

static int64_t count_lines(const char *path)
{
	FILE *f = open_file(path);
	int64_t n = 0;
	int ch;

	if (f == NULL)
		return 0;
	while ((ch = getc_unlocked(f)) != EOF)
		n += ch == '\n';
	(void)fclose(f);
	return n;
}

/* Threads of all processes: "0.20 0.18 0.12 1/80 11206" has 80 of them. */
static int64_t all_threads(void)
{
	FILE *f = open_file("/proc/loadavg");
	long long n;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%*s %*s %*s %*d/%lld", &n) != 1) /* NOLINT(cert-err34-c): the kernel's own numbers */
		n = 0;
	(void)fclose(f);
	return n;
}

static int64_t our_threads(void)
{
	FILE *f = open_file("/proc/self/status");
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

static void read_nofile(struct machine_reading *r)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
		r->value = (int64_t)files.rlim_cur;
}

/* Those of the user are what counts; a server has a user of its own, so ours are about that. Root has no such limit. */
static void read_nproc(struct machine_reading *r)
{
	struct rlimit tasks;

	if (getuid() == 0 || getrlimit(RLIMIT_NPROC, &tasks) < 0 || tasks.rlim_cur == RLIM_INFINITY)
		return;
	r->value = (int64_t)tasks.rlim_cur;
	r->used = our_threads();
}

/* Of our cgroup and those above it, the one with the least space. The path ends where the root of the mount is. */
static void read_cgroup_path(struct machine_reading *r, const char *mount, char *path)
{
	char file[512];
	char *end = path + strlen(path);

	do {
		int64_t value, used;

		*end = '\0';
		(void)snprintf(file, sizeof(file), "%s%s/pids.max", mount, path);
		value = read_number(file);
		(void)snprintf(file, sizeof(file), "%s%s/pids.current", mount, path);
		used = read_number(file);
		if (value > 0 && (r->value < 1 || value - used < r->value - r->used)) {
			r->value = value;
			r->used = used;
		}
	} while ((end = strrchr(path, '/')) != NULL);
}

/* A line of /proc/self/cgroup is "0::/path" in version 2, "8:pids:/path" in version 1. */
static void read_cgroup(struct machine_reading *r)
{
	FILE *f = open_file("/proc/self/cgroup");
	char line[256];

	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		char *path = strchr(line, '/');

		if (path == NULL)
			continue;
		path[strcspn(path, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0)
			read_cgroup_path(r, "/sys/fs/cgroup", path);
		else if (strstr(line, ":pids:") != NULL)
			read_cgroup_path(r, "/sys/fs/cgroup/pids", path);
	}
	(void)fclose(f);
}

struct machine_reading machine_read(enum machine_limit which)
{
	static const struct machine_reading rows[] = {
#define limit(NAME, of, name, how) {(name), (how), (of), -1, 0},
#include "common/base/machine.def"
#undef limit
	};
	struct machine_reading r = rows[which];

	switch (which) {
	case MACHINE_NOFILE:
		read_nofile(&r);
		break;
	case MACHINE_PID_MAX:
		r.value = read_number("/proc/sys/kernel/pid_max");
		r.used = all_threads();
		break;
	case MACHINE_THREADS_MAX:
		r.value = read_number("/proc/sys/kernel/threads-max");
		r.used = all_threads();
		break;
	case MACHINE_MAX_MAP_COUNT:
		r.value = read_number("/proc/sys/vm/max_map_count");
		r.used = count_lines("/proc/self/maps");
		break;
	case MACHINE_NPROC:
		read_nproc(&r);
		break;
	case MACHINE_CGROUP_PIDS:
		read_cgroup(&r);
		break;
	case MACHINE_LIMITS:
		BUG_UNLESS(which < MACHINE_LIMITS);
	}
	return r;
}
