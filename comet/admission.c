/* admission: see admission.h. SPDX-License-Identifier: MIT */
#include "comet/admission.h"

#include <stdio.h>
#include <sys/resource.h>

#include "common/counters.h"
#include "common/log.h"
#include "common/obj.h"

void admission_init(struct admission *a, int64_t connections_max, int64_t per_ip_max)
{
	BUG_UNLESS(connections_max > 0);
	a->connections_max = connections_max;
	a->per_ip_max = per_ip_max;
	a->connections = 0;
	atomic_init(&a->draining, false);
	lock_init(&a->lock, LOCK_POOL);
	strmap_init(&a->per_ip);
	count_add(COUNT_CONNECTIONS_LIMIT, connections_max);
}

void admission_fini(struct admission *a)
{
	BUG_UNLESS(a->connections == 0 && a->per_ip.count == 0);
	count_add(COUNT_CONNECTIONS_LIMIT, -a->connections_max);
	strmap_fini(&a->per_ip);
	lock_fini(&a->lock);
}

static enum close_reason enter_locked(struct admission *a, const char *address) NEEDS(a->lock)
{
	intptr_t from_here = (intptr_t)strmap_get(&a->per_ip, address);

	if (a->connections >= a->connections_max)
		return CLOSE_CONNECTIONS;
	if (a->per_ip_max > 0 && from_here >= a->per_ip_max)
		return CLOSE_PER_IP;
	if (strmap_put(&a->per_ip, address, (void *)(from_here + 1), NULL) < 0)
		return CLOSE_NO_MEMORY;
	a->connections++;
	return CLOSE_NONE;
}

static void say_refused(const struct admission *a, const char *address, enum close_reason why)
{
	static struct log_limit limit = LOG_LIMIT(1);

	if (why == CLOSE_CONNECTIONS)
		LOG_LIMITED(LOG_WARN, &limit, log_str("peer", address),
			    log_what("refused: too many connections; raise limits.connections or the machine's limits"),
			    log_i64("limit", a->connections_max));
	else if (why == CLOSE_PER_IP)
		LOG_LIMITED(LOG_WARN, &limit, log_str("peer", address),
			    log_what("refused: too many connections from this address; raise limits.per_ip"),
			    log_i64("limit", a->per_ip_max));
	else
		LOG_LIMITED(LOG_WARN, &limit, log_str("peer", address), log_what("refused"),
			    log_str("reason", close_reason_name(why)));
}

enum close_reason admission_enter(struct admission *a, const char *address)
{
	enum close_reason why = CLOSE_DRAINING;

	if (!atomic_load(&a->draining)) {
		lock_take(&a->lock);
		why = enter_locked(a, address);
		lock_drop(&a->lock);
	}
	if (why == CLOSE_NONE) {
		count(COUNT_CONNECTIONS);
	} else {
		count_by(COUNT_REFUSED, why);
		say_refused(a, address, why);
	}
	return why;
}

void admission_leave(struct admission *a, const char *address)
{
	intptr_t from_here;

	lock_take(&a->lock);
	from_here = (intptr_t)strmap_get(&a->per_ip, address);
	BUG_UNLESS(from_here > 0 && a->connections > 0);
	a->connections--;
	/* Putting over a key that is there allocates nothing, so it cannot fail. */
	if (from_here > 1)
		BUG_UNLESS(strmap_put(&a->per_ip, address, (void *)(from_here - 1), NULL) == 0);
	else
		(void)strmap_del(&a->per_ip, address);
	lock_drop(&a->lock);
	count_add(COUNT_CONNECTIONS, -1);
}

void admission_drain(struct admission *a)
{
	atomic_store(&a->draining, true);
}

void admission_load(struct admission *a, int64_t *connections, int64_t *addresses)
{
	lock_take(&a->lock);
	*connections = a->connections;
	*addresses = (int64_t)a->per_ip.count;
	lock_drop(&a->lock);
}

/* ---- what the machine allows ---- */

/* Files and threads that are not connections: listeners, timers, log, Redis, libraries. */
#define FILES_KEPT   100
#define THREADS_KEPT 200

static int64_t read_number(const char *path, int64_t otherwise)
{
	FILE *f = fopen(path, "re");
	long long n;
	int got;

	if (f == NULL)
		return otherwise;
	got = fscanf(f, "%lld", &n);
	(void)fclose(f);
	return got == 1 ? n : otherwise;
}

static void bound(int64_t value, int64_t allows, const char *name, int64_t *least, char *text, unsigned text_bytes)
{
	if (allows >= *least)
		return;
	*least = allows;
	(void)snprintf(text, text_bytes, "%s=%lld", name, (long long)value);
}

int64_t admission_machine_max(char *text, unsigned text_bytes)
{
	struct rlimit files, tasks;
	int64_t most = INT32_MAX;
	int64_t pids = read_number("/proc/sys/kernel/pid_max", INT32_MAX);
	int64_t threads = read_number("/proc/sys/kernel/threads-max", INT32_MAX);

	(void)snprintf(text, text_bytes, "no limit");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
		bound((int64_t)files.rlim_cur, (int64_t)files.rlim_cur - FILES_KEPT, "RLIMIT_NOFILE", &most, text,
		      text_bytes);
	if (getrlimit(RLIMIT_NPROC, &tasks) == 0 && tasks.rlim_cur != RLIM_INFINITY)
		bound((int64_t)tasks.rlim_cur, ((int64_t)tasks.rlim_cur - THREADS_KEPT) / 2, "RLIMIT_NPROC", &most,
		      text, text_bytes);
	bound(pids, (pids - THREADS_KEPT) / 2, "kernel.pid_max", &most, text, text_bytes);
	bound(threads, (threads - THREADS_KEPT) / 2, "kernel.threads-max", &most, text, text_bytes);
	return most > 1 ? most : 1;
}
