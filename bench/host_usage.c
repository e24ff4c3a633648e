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

int host_usage_read(const pid_t *pids, size_t n_pids, struct host_usage *out)
{
	char text[8192];
	int rc = read_text("/proc/meminfo", text, sizeof(text));

	if (rc < 0)
		return rc;
	*out = (struct host_usage){
		.available_kib = field(text, "MemAvailable"),
		.kernel_stack_kib = field(text, "KernelStack"),
		.slab_kib = field(text, "Slab"),
		.page_tables_kib = field(text, "PageTables"),
		.anonymous_kib = field(text, "AnonPages"),
	};
	for (size_t i = 0; i < n_pids; i++)
		if ((rc = add_process(pids[i], out)) < 0)
			return rc;
	return 0;
}
