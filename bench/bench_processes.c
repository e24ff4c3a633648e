/* bench_processes: see bench_processes.h. SPDX-License-Identifier: MIT */
#include "bench/bench_processes.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench_source.h"
#include "bench/sequence.h"
#include "common/base/clock.h"
#include "common/base/err.h"

#define FILES_OF_OUR_OWN 32              /* of a process, beside its connections */
#define LOOK_NS          (50 * CLOCK_MS) /* how often a process that is to leave is looked at */
#define FINISH_NS        (20 * CLOCK_SEC)

/* As many files as we may have, and how many connections that makes for each process. */
static int64_t connections_of_a_process(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return 256; /* cannot happen; a number that always works */
	if (files.rlim_cur < files.rlim_max) {
		rlim_t before = files.rlim_cur;

		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0)
			files.rlim_cur = before;
	}
	if (files.rlim_cur > BENCH_CONNECTIONS_MAX + FILES_OF_OUR_OWN)
		return BENCH_CONNECTIONS_MAX;
	return files.rlim_cur > FILES_OF_OUR_OWN ? (int64_t)files.rlim_cur - FILES_OF_OUR_OWN : 1;
}

static int plan(struct bench_processes *p)
{
	int64_t each = connections_of_a_process(), files = each + FILES_OF_OUR_OWN, all = p->opt->connections;
	int64_t needed = (all + each - 1) / each;
	int64_t n = p->opt->processes > needed ? p->opt->processes : needed;

	n = n < all ? n : all;
	if (n > BENCH_PROCESSES_MAX) {
		fprintf(stderr,
			"comet-cli: %lld connections need %lld processes of %lld files each, the limit is %d; raise "
			"RLIMIT_NOFILE (ulimit -n)\n",
			(long long)all, (long long)n, (long long)files, BENCH_PROCESSES_MAX);
		return -EMFILE;
	}
	p->n = (unsigned)n;
	return 0;
}

/* Say early what will not fit, rather than let it fail one connection at a time. */
static bool plan_sources(const struct bench_options *opt)
{
	bool can = bench_source_can_spread((const struct sockaddr *)&opt->servers[0].address);
	int64_t lot = bench_source_lot(), ports = 3 * lot;

	if (!can && opt->connections > ports)
		fprintf(stderr,
			"comet-cli: %lld connections from one address are more than net.ipv4.ip_local_port_range "
			"has ports (%lld); the last ones will fail\n",
			(long long)opt->connections, (long long)ports);
	return can && (opt->kind == BENCH_CHURN || opt->connections > lot);
}

static int map_memory(struct bench_processes *p)
{
	uint32_t pushes = p->opt->kind == BENCH_FANOUT ? bench_pushes(p->opt) : 0;
	size_t words = SEQUENCE_WORDS(pushes);
	size_t bytes = sizeof(struct bench_memory) + words * sizeof(uint64_t);
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return -errno;
	p->memory = map;
	p->memory->pushes_max = pushes;
	p->memory->words = words;
	p->memory->map_bytes = bytes;
	return 0;
}

int bench_processes_init(struct bench_processes *p, const struct bench_options *opt)
{
	int rc;

	p->opt = opt;
	p->news_fd = -1;
	if ((rc = plan(p)) < 0)
		return rc;
	if ((rc = map_memory(p)) == 0 && (p->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		rc = -errno;
	if (rc < 0)
		fprintf(stderr, "comet-cli: cannot prepare the run: %s\n", err_text(rc));
	return rc;
}

void bench_processes_fini(struct bench_processes *p)
{
	if (p->news_fd >= 0)
		close(p->news_fd);
	if (p->memory != NULL)
		munmap(p->memory, p->memory->map_bytes);
}

/* In the new process: work, and leave without running what the other one has to run at its exit. */
_Noreturn static void be_load(const struct bench_options *opt, const struct bench_part *part, pid_t parent)
{
	int rc = 0;

	/* Ctrl-C reaches the whole group; the directing process decides what it means. Without it, we are nothing. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
	rc = bench_load(opt, part);
	if (rc < 0)
		fprintf(stderr, "comet-cli: a load process ended: %s\n", err_text(rc));
	fflush(stderr);
	_exit(rc < 0 ? 1 : 0);
}

int bench_processes_start(struct bench_processes *p)
{
	int64_t first = 0, n = p->n;
	bool spread = plan_sources(p->opt);
	pid_t parent = getpid();

	for (unsigned i = 0; i < p->n; i++) {
		struct bench_process *one = &p->list[i];

		one->part = (struct bench_part){
			.number = i,
			.first = first,
			.connections = p->opt->connections / n + (i < p->opt->connections % n),
			.window = p->opt->window / n + (i < p->opt->window % n),
			.spread = spread,
			.command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.news_fd = p->news_fd,
			.share = &p->memory->shares[i],
			.memory = p->memory,
		};
		if (one->part.command_fd < 0)
			return -errno;
		if (one->part.window < 1)
			one->part.window = 1;
		first += one->part.connections;
		if ((one->pid = fork()) < 0) {
			one->pid = 0;
			return -errno;
		}
		if (one->pid == 0)
			be_load(p->opt, &one->part, parent);
	}
	return 0;
}

void bench_processes_set_phase(struct bench_processes *p, enum bench_phase phase)
{
	uint64_t one = 1;

	atomic_store_explicit(&p->memory->phase, phase, memory_order_release);
	for (unsigned i = 0; i < p->n; i++)
		if (p->list[i].pid > 0 && write(p->list[i].part.command_fd, &one, sizeof(one)) != sizeof(one))
			fprintf(stderr, "comet-cli: a load process cannot be told to go on\n");
}

/* Wait for one process to leave; one that does not is ended. */
static bool wait_for_process(struct bench_process *p, int64_t deadline_ns)
{
	int status = 0;

	while (waitpid(p->pid, &status, WNOHANG) == 0) {
		if (clock_now_ns() >= deadline_ns)
			kill(p->pid, SIGKILL); /* the next look finds it gone */
		poll(NULL, 0, (int)(LOOK_NS / CLOCK_MS));
	}
	p->pid = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int bench_processes_finish(struct bench_processes *p)
{
	int64_t deadline_ns = clock_now_ns() + FINISH_NS;
	int rc = 0;

	bench_processes_set_phase(p, PHASE_END);
	for (unsigned i = 0; i < p->n; i++) {
		if (p->list[i].pid > 0 && !wait_for_process(&p->list[i], deadline_ns))
			rc = -ECHILD;
		if (p->list[i].part.command_fd > 0)
			close(p->list[i].part.command_fd);
	}
	return rc;
}

uint64_t bench_processes_sum(const struct bench_processes *p, size_t counter)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < p->n; i++)
		all += bench_read((atomic_uint_fast64_t *)((char *)&p->memory->shares[i] + counter));
	return all;
}

bool bench_processes_are_connected(const struct bench_processes *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (!atomic_load(&p->memory->shares[i].connected))
			return false;
	return true;
}
