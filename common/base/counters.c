/* counters: see counters.h. Each thread counts in one of a few shards, chosen when it first counts, so that busy threads
 * seldom share a cache line; reading adds the shards up. SPDX-License-Identifier: MIT */
#include "common/base/counters.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/obj.h"
#include "common/base/version.h"

#define SHARDS 16

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_BY, KIND_HISTOGRAM };

/* The highest value of each bucket of a histogram but the last, which takes the rest. */
#define counter(NAME, name, help)
#define gauge(NAME, name, help)
#define counter_by(NAME, name, label, help)
#define histogram(NAME, name, unit, help, ...) static const int64_t bounds_of_##NAME[] = {__VA_ARGS__};
#include "common/base/counters.def"
#undef counter
#undef gauge
#undef counter_by
#undef histogram
#define N_BOUNDS(NAME) (sizeof(bounds_of_##NAME) / sizeof(bounds_of_##NAME[0]))

static const struct {
	const char *name;
	const char *help;
	const char *label;
	enum kind kind;
	/* histogram */
	unsigned n_bounds;
	const int64_t *bounds;
	int64_t unit;
} table[COUNT_MAX] = {
#define counter(NAME, name, help)           [COUNT_##NAME] = {name, help, NULL, KIND_COUNTER, 0, NULL, 1},
#define gauge(NAME, name, help)             [COUNT_##NAME] = {name, help, NULL, KIND_GAUGE, 0, NULL, 1},
#define counter_by(NAME, name, label, help) [COUNT_##NAME] = {name, help, label, KIND_BY, 0, NULL, 1},
#define histogram(NAME, name, unit, help, ...)                                                                         \
	[COUNT_##NAME] = {name, help, NULL, KIND_HISTOGRAM, N_BOUNDS(NAME), bounds_of_##NAME, unit},
#include "common/base/counters.def"
#undef counter
#undef gauge
#undef counter_by
#undef histogram
};

/* Where the cells of a metric begin in a shard: one cell, COUNTER_LABELS_MAX for a counter_by, or, for a histogram, one a
 * bucket and then the sum. */
struct cells {
#define counter(NAME, name, help)              _Atomic int64_t NAME;
#define gauge(NAME, name, help)                _Atomic int64_t NAME;
#define counter_by(NAME, name, label, help)    _Atomic int64_t NAME[COUNTER_LABELS_MAX];
#define histogram(NAME, name, unit, help, ...) _Atomic int64_t NAME[N_BOUNDS(NAME) + 2];
#include "common/base/counters.def"
#undef counter
#undef gauge
#undef counter_by
#undef histogram
} __attribute__((aligned(64)));

static const size_t offsets[COUNT_MAX] = {
#define counter(NAME, name, help)              [COUNT_##NAME] = offsetof(struct cells, NAME),
#define gauge(NAME, name, help)                [COUNT_##NAME] = offsetof(struct cells, NAME),
#define counter_by(NAME, name, label, help)    [COUNT_##NAME] = offsetof(struct cells, NAME),
#define histogram(NAME, name, unit, help, ...) [COUNT_##NAME] = offsetof(struct cells, NAME),
#include "common/base/counters.def"
#undef counter
#undef gauge
#undef counter_by
#undef histogram
};

static struct cells shards[SHARDS];

static struct {
	const char *const *names;
	unsigned n;
} labels[COUNT_MAX];

static unsigned my_shard(void)
{
	static atomic_uint next;
	static __thread unsigned mine; /* + 1; 0: not chosen yet */

	if (mine == 0)
		mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % SHARDS + 1;
	return mine - 1;
}

static _Atomic int64_t *cell(unsigned shard, enum counter c, unsigned label_value)
{
	return (_Atomic int64_t *)(void *)((char *)&shards[shard] + offsets[c]) + label_value;
}

void count_add(enum counter c, int64_t n)
{
	atomic_fetch_add_explicit(cell(my_shard(), c, 0), n, memory_order_relaxed);
}

void count_by_add(enum counter c, unsigned label_value, int64_t n)
{
	BUG_UNLESS(table[c].kind == KIND_BY && label_value < COUNTER_LABELS_MAX);
	atomic_fetch_add_explicit(cell(my_shard(), c, label_value), n, memory_order_relaxed);
}

/* Bounds are few and most values small, so that looking from below is as quick as anything. */
static unsigned bucket_of(enum counter c, int64_t value)
{
	unsigned i = 0;

	while (i < table[c].n_bounds && value > table[c].bounds[i])
		i++;
	return i;
}

void count_observe(enum counter c, int64_t value)
{
	unsigned shard = my_shard();

	BUG_UNLESS(table[c].kind == KIND_HISTOGRAM);
	atomic_fetch_add_explicit(cell(shard, c, bucket_of(c, value)), 1, memory_order_relaxed);
	atomic_fetch_add_explicit(cell(shard, c, table[c].n_bounds + 1), value, memory_order_relaxed);
}

int64_t counters_read_by(enum counter c, unsigned label_value)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < SHARDS; i++)
		sum += atomic_load_explicit(cell(i, c, label_value), memory_order_relaxed);
	return sum;
}

int64_t counters_read(enum counter c)
{
	unsigned n = table[c].kind == KIND_BY ? COUNTER_LABELS_MAX : table[c].n_bounds + 1;
	int64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += counters_read_by(c, i);
	return sum;
}

int64_t counters_read_sum(enum counter c)
{
	BUG_UNLESS(table[c].kind == KIND_HISTOGRAM);
	return counters_read_by(c, table[c].n_bounds + 1);
}

void counters_label(enum counter c, const char *const *names, unsigned n)
{
	BUG_UNLESS(table[c].kind == KIND_BY && n <= COUNTER_LABELS_MAX);
	labels[c].names = names;
	labels[c].n = n;
}

/* ---- the text ---- */

static int make_room(struct counters_text *out, size_t need)
{
	size_t capacity = out->capacity > 0 ? out->capacity : 4096;
	char *text;

	if (out->bytes + need < out->capacity)
		return 0;
	while (capacity <= out->bytes + need)
		capacity *= 2;
	if ((text = realloc(out->text, capacity)) == NULL)
		return -ENOMEM;
	out->text = text;
	out->capacity = capacity;
	return 0;
}

void counters_text_add(struct counters_text *out, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (out->failed || n < 0 || make_room(out, (size_t)n + 1) < 0) {
		out->failed = 1;
		return;
	}
	va_start(args, format);
	(void)vsnprintf(out->text + out->bytes, out->capacity - out->bytes, format, args);
	va_end(args);
	out->bytes += (size_t)n;
}

static void expose_head(struct counters_text *out, const char *name, const char *type, const char *help)
{
	counters_text_add(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label value: backslash, quote and line end are escaped. */
static void add_value(struct counters_text *out, const char *value)
{
	for (; *value != '\0'; value++)
		if (*value == '\n')
			counters_text_add(out, "\\n");
		else
			counters_text_add(out, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
}

/* Each bucket holds those below it, too, as the format wants it. The count is what the buckets add up to, so that a scrape
 * in the midst of things agrees with itself. */
static void expose_histogram(struct counters_text *out, enum counter c)
{
	const char *name = table[c].name;
	const double unit = (double)table[c].unit;
	int64_t sum = counters_read_sum(c), n = 0;

	for (unsigned i = 0; i < table[c].n_bounds; i++) {
		n += counters_read_by(c, i);
		counters_text_add(out, "%s_bucket{le=\"%.9g\"} %lld\n", name, (double)table[c].bounds[i] / unit,
				  (long long)n);
	}
	n += counters_read_by(c, table[c].n_bounds);
	counters_text_add(out, "%s_bucket{le=\"+Inf\"} %lld\n%s_sum %.9g\n%s_count %lld\n", name, (long long)n, name,
			  (double)sum / unit, name, (long long)n);
}

static void expose_labels(struct counters_text *out, enum counter c)
{
	for (unsigned i = 0; i < labels[c].n; i++) {
		const char *name = __atomic_load_n(&labels[c].names[i], __ATOMIC_ACQUIRE);

		if (name == NULL)
			continue;
		counters_text_add(out, "%s{%s=\"", table[c].name, table[c].label);
		add_value(out, name);
		counters_text_add(out, "\"} %lld\n", (long long)counters_read_by(c, i));
	}
}

static void expose_one(struct counters_text *out, enum counter c)
{
	static const char *const types[] = {
		[KIND_COUNTER] = "counter",
		[KIND_GAUGE] = "gauge",
		[KIND_BY] = "counter",
		[KIND_HISTOGRAM] = "histogram",
	};

	expose_head(out, table[c].name, types[table[c].kind], table[c].help);
	if (table[c].kind == KIND_HISTOGRAM)
		expose_histogram(out, c);
	else if (table[c].kind == KIND_BY)
		expose_labels(out, c);
	else
		counters_text_add(out, "%s %lld\n", table[c].name, (long long)counters_read(c));
}

/* The line that starts with `name` in a file of /proc, as a number; 0 where there is none. */
static long long proc_number(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	char line[256];
	long long n = 0;

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			n = strtoll(line + strlen(name), NULL, 10);
	(void)fclose(f);
	return n;
}

/* utime + stime and starttime of /proc/self/stat, in clock ticks; proc(5) numbers the fields. */
static bool process_times(long long *cpu_ticks, long long *start_ticks)
{
	FILE *f = fopen("/proc/self/stat", "re");
	char line[1024];
	const char *rest;
	long long user, sys;
	bool good;

	if (f == NULL)
		return false;
	rest = fgets(line, sizeof(line), f) != NULL ? strrchr(line, ')') : NULL;
	(void)fclose(f);
	good = rest != NULL &&
	       sscanf(rest + 1, /* from field 3: state, then 10 to field 13 */
		      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld %*d %*d %*d %*d %*d %*d %lld", &user,
		      &sys, start_ticks) == 3;
	if (good)
		*cpu_ticks = user + sys;
	return good;
}

static long long open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	long long n = -3; /* ".", ".." and the directory itself */

	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

static void expose_files(struct counters_text *out)
{
	struct rlimit limit;

	expose_head(out, "process_open_fds", "gauge", "Open files and sockets.");
	counters_text_add(out, "process_open_fds %lld\n", open_files());
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	expose_head(out, "process_max_fds", "gauge", "How many files and sockets may be open.");
	if (limit.rlim_cur == RLIM_INFINITY)
		counters_text_add(out, "process_max_fds +Inf\n");
	else
		counters_text_add(out, "process_max_fds %llu\n", (unsigned long long)limit.rlim_cur);
}

static void expose_process(struct counters_text *out)
{
	const double tick = (double)sysconf(_SC_CLK_TCK);
	long long cpu, start;

	expose_head(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
	counters_text_add(out, "process_resident_memory_bytes %lld\n",
			  proc_number("/proc/self/status", "VmRSS:") * 1024);
	expose_head(out, "process_virtual_memory_bytes", "gauge", "Address space, most of it never touched.");
	counters_text_add(out, "process_virtual_memory_bytes %lld\n",
			  proc_number("/proc/self/status", "VmSize:") * 1024);
	expose_files(out);
	expose_head(out, "process_threads", "gauge", "Threads, as the kernel counts them.");
	counters_text_add(out, "process_threads %lld\n", proc_number("/proc/self/status", "Threads:"));
	if (process_times(&cpu, &start)) {
		expose_head(out, "process_cpu_seconds_total", "counter", "User and system CPU time.");
		counters_text_add(out, "process_cpu_seconds_total %.2f\n", (double)cpu / tick);
		expose_head(out, "process_start_time_seconds", "gauge", "When the process started, since the epoch.");
		counters_text_add(out, "process_start_time_seconds %.2f\n",
				  (double)proc_number("/proc/stat", "btime ") + (double)start / tick);
	}
}

void counters_expose(struct counters_text *out)
{
	expose_head(out, "comet_build_info", "gauge", "Always 1; the labels tell the build.");
	counters_text_add(out, "comet_build_info{version=\"%s\",commit=\"%s\"} 1\n", version_text, version_commit);
	for (unsigned c = 0; c < COUNT_MAX; c++)
		expose_one(out, c);
	expose_process(out);
}
