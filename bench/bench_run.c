/* bench_run: see bench_run.h. This process directs: it forks the load processes, tells them the phase through shared
 * memory, and watches their counters. They never talk to each other. The phases, in order: plan, start_processes,
 * connect_all, run_one of the kinds, finish. SPDX-License-Identifier: MIT */
#include "bench/bench_run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench_push.h"
#include "bench/bench_source.h"
#include "bench/sequence.h"
#include "common/base/clock.h"
#include "common/base/err.h"

#define FILES_OF_OUR_OWN 32              /* of a process, beside its connections */
#define QUIET_NS         (3 * CLOCK_SEC) /* no delivery for so long after the last push: nothing more will come */
#define DRAIN_NS         (30 * CLOCK_SEC)
#define LOOK_NS          (50 * CLOCK_MS) /* how often a condition is looked at that nobody tells us about */
#define FINISH_NS        (20 * CLOCK_SEC)

struct process {
	pid_t pid; /* 0: not started, or waited for */
	struct bench_part part;
};

struct run {
	const struct bench_options *opt;
	struct bench_result *result;
	struct bench_memory *memory;
	unsigned n_processes;
	struct process processes[BENCH_PROCESSES_MAX];
	int news_fd;
	int signal_fd;
	const char *doing; /* what progress lines say */
	int64_t start_ns, next_line_ns;
	/* at the last line, so that it can say how much was done since */
	uint64_t lined_online, lined_delivered, lined_echoes;
	/* for drained() */
	uint64_t last_delivered;
	int64_t last_delivery_ns;
};

/* A counter of all load processes: its offset in struct bench_share is what names it. */
static uint64_t sum(const struct run *r, size_t counter)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < r->n_processes; i++)
		all += bench_read((atomic_uint_fast64_t *)((char *)&r->memory->shares[i] + counter));
	return all;
}
#define SUM(r, counter) sum((r), offsetof(struct bench_share, counter))

static void print_line(struct run *r, int64_t now_ns)
{
	uint64_t online = SUM(r, online), delivered = SUM(r, delivered), echoes = SUM(r, echoes);

	fprintf(stderr, "%4lld s  %s: open %llu", (long long)((now_ns - r->start_ns + CLOCK_SEC / 2) / CLOCK_SEC),
		r->doing, (unsigned long long)SUM(r, open));
	if (online > r->lined_online)
		fprintf(stderr, ", connected %llu/s", (unsigned long long)(online - r->lined_online));
	if (delivered > r->lined_delivered)
		fprintf(stderr, ", delivered %llu/s", (unsigned long long)(delivered - r->lined_delivered));
	if (echoes > r->lined_echoes)
		fprintf(stderr, ", echoes %llu/s", (unsigned long long)(echoes - r->lined_echoes));
	if (SUM(r, failed) > 0)
		fprintf(stderr, ", failed %llu", (unsigned long long)SUM(r, failed));
	if (SUM(r, lost) > 0)
		fprintf(stderr, ", closed by the server %llu", (unsigned long long)SUM(r, lost));
	fputc('\n', stderr);
	r->lined_online = online;
	r->lined_delivered = delivered;
	r->lined_echoes = echoes;
}

typedef bool condition(struct run *r);

static bool all_connected(struct run *r)
{
	for (unsigned i = 0; i < r->n_processes; i++)
		if (!atomic_load(&r->memory->shares[i].connected))
			return false;
	return true;
}

static bool never(struct run *r)
{
	(void)r;
	return false;
}

/* Have all accepted pushes reached all that are open, or will no more come? */
static bool drained(struct run *r)
{
	uint64_t delivered = SUM(r, delivered);
	int64_t now_ns = clock_now_ns();

	if (delivered != r->last_delivered) {
		r->last_delivered = delivered;
		r->last_delivery_ns = now_ns;
	}
	return delivered >= r->result->pushes.accepted * SUM(r, open) || now_ns - r->last_delivery_ns > QUIET_NS;
}

/* Wait for a condition, at most up to the deadline, with a line each second. extra_fd, or -1: readable ends it, too.
 * False if a signal ended it. */
static bool wait_for(struct run *r, condition *holds, int extra_fd, int64_t deadline_ns)
{
	struct pollfd fds[3] = {{r->signal_fd, POLLIN, 0}, {r->news_fd, POLLIN, 0}, {extra_fd, POLLIN, 0}};
	uint64_t news;

	for (;;) {
		int64_t now_ns = clock_now_ns();
		/* Of deliveries nobody tells us: there are too many. */
		int64_t until_ns = holds == drained ? now_ns + LOOK_NS : r->next_line_ns;

		if (now_ns >= r->next_line_ns) {
			print_line(r, now_ns);
			r->next_line_ns += CLOCK_SEC;
		}
		if (holds(r) || now_ns >= deadline_ns)
			return true;
		until_ns = until_ns < deadline_ns ? until_ns : deadline_ns;
		if (poll(fds, 3, until_ns > now_ns ? (int)((until_ns - now_ns) / CLOCK_MS) + 1 : 0) <= 0)
			continue;
		if (fds[0].revents != 0) {
			r->result->interrupted = true;
			return false;
		}
		if (fds[2].revents != 0)
			return true;
		if (fds[1].revents != 0 && read(r->news_fd, &news, sizeof(news)) < 0)
			continue; /* somebody's write is still to come */
	}
}

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

static int plan_processes(struct run *r)
{
	int64_t each = connections_of_a_process(), files = each + FILES_OF_OUR_OWN, all = r->opt->connections;
	int64_t needed = (all + each - 1) / each;
	int64_t n = r->opt->processes > needed ? r->opt->processes : needed;

	n = n < all ? n : all;
	if (n > BENCH_PROCESSES_MAX) {
		fprintf(stderr,
			"comet-cli: %lld connections need %lld processes of %lld files each, the limit is %d; raise "
			"RLIMIT_NOFILE (ulimit -n)\n",
			(long long)all, (long long)n, (long long)files, BENCH_PROCESSES_MAX);
		return -EMFILE;
	}
	r->n_processes = (unsigned)n;
	return 0;
}

/* Say early what will not fit, rather than let it fail one connection at a time. */
static bool plan_sources(const struct run *r)
{
	bool can = bench_source_can_spread((const struct sockaddr *)&r->opt->servers[0].address);
	int64_t lot = bench_source_lot(), ports = 3 * lot;

	if (!can && r->opt->connections > ports)
		fprintf(stderr,
			"comet-cli: %lld connections from one address are more than net.ipv4.ip_local_port_range "
			"has ports (%lld); the last ones will fail\n",
			(long long)r->opt->connections, (long long)ports);
	return can && (r->opt->kind == BENCH_CHURN || r->opt->connections > lot);
}

static int map_memory(struct run *r)
{
	uint32_t pushes = r->opt->kind == BENCH_FANOUT ? bench_pushes(r->opt) : 0;
	size_t words = SEQUENCE_WORDS(pushes);
	size_t bytes = sizeof(struct bench_memory) + words * sizeof(uint64_t);
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return -errno;
	r->memory = map;
	r->memory->pushes_max = pushes;
	r->memory->words = words;
	r->memory->map_bytes = bytes;
	return 0;
}

/* In the new process: work, and leave without running what the other one has to run at its exit. */
_Noreturn static void be_load(const struct run *r, const struct bench_part *part, pid_t parent)
{
	int rc = 0;

	/* Ctrl-C reaches the whole group; the directing process decides what it means. Without it, we are nothing. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	rc = bench_load(r->opt, part);
	if (rc < 0)
		fprintf(stderr, "comet-cli: a load process ended: %s\n", err_text(rc));
	fflush(stderr);
	_exit(rc < 0 ? 1 : 0);
}

static int start_processes(struct run *r)
{
	int64_t first = 0, n = r->n_processes;
	bool spread = plan_sources(r);
	pid_t parent = getpid();

	for (unsigned i = 0; i < r->n_processes; i++) {
		struct process *p = &r->processes[i];

		p->part = (struct bench_part){
			.number = i,
			.first = first,
			.connections = r->opt->connections / n + (i < r->opt->connections % n),
			.window = r->opt->window / n + (i < r->opt->window % n),
			.spread = spread,
			.command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.news_fd = r->news_fd,
			.share = &r->memory->shares[i],
			.memory = r->memory,
		};
		if (p->part.command_fd < 0)
			return -errno;
		if (p->part.window < 1)
			p->part.window = 1;
		first += p->part.connections;
		if ((p->pid = fork()) < 0) {
			p->pid = 0;
			return -errno;
		}
		if (p->pid == 0)
			be_load(r, &p->part, parent);
	}
	return 0;
}

static void set_phase(struct run *r, enum bench_phase phase)
{
	uint64_t one = 1;

	atomic_store_explicit(&r->memory->phase, phase, memory_order_release);
	for (unsigned i = 0; i < r->n_processes; i++)
		if (r->processes[i].pid > 0 && write(r->processes[i].part.command_fd, &one, sizeof(one)) != sizeof(one))
			fprintf(stderr, "comet-cli: a load process cannot be told to go on\n");
}

/* A server that is gone is seen by its connections; here it only costs its numbers. */
static void look(const struct run *r, struct host_usage *out)
{
	int rc = host_usage_read(r->opt->pids, r->opt->n_pids, out);

	if (rc < 0)
		fprintf(stderr, "comet-cli: --pid or /proc cannot be read: %s\n", err_text(rc));
}

static double connect_seconds(const struct run *r)
{
	int64_t last_ns = r->start_ns;

	for (unsigned i = 0; i < r->n_processes; i++)
		if (r->memory->shares[i].last_online_ns > last_ns)
			last_ns = r->memory->shares[i].last_online_ns;
	return (double)(last_ns - r->start_ns) / 1e9;
}

/* All of them, as fast as they come; then wait until memory has settled. False if interrupted or none came online. */
static bool connect_all(struct run *r)
{
	/* Each handshake ends within handshake_ns, and window of them at a time: it cannot take longer than this. */
	int64_t rounds = r->opt->connections / r->opt->window + 2;

	r->doing = "connecting";
	if (!wait_for(r, all_connected, -1, clock_now_ns() + rounds * (r->opt->handshake_ns + 2 * CLOCK_SEC)))
		return false;
	r->result->connect_s = connect_seconds(r);
	if (SUM(r, open) == 0)
		return false;
	r->doing = "settling";
	if (!wait_for(r, never, -1, clock_now_ns() + r->opt->settle_ns))
		return false;
	look(r, &r->result->online_usage);
	r->result->open = SUM(r, open);
	return true;
}

static void run_fanout(struct run *r)
{
	struct bench_push *push;
	int done_fd, rc = bench_push_start(r->opt, r->memory, &push, &done_fd);
	int64_t end_ns = clock_now_ns() + r->opt->duration_ns + r->opt->api.timeout_ns + CLOCK_SEC;

	if (rc < 0) {
		fprintf(stderr, "comet-cli: cannot start to push: %s\n", err_text(rc));
		return;
	}
	r->doing = "pushing";
	wait_for(r, never, done_fd, end_ns);
	bench_push_stop(&push, &r->result->pushes);
	r->doing = "waiting for the last deliveries";
	r->last_delivery_ns = clock_now_ns();
	if (!r->result->interrupted)
		wait_for(r, drained, -1, clock_now_ns() + DRAIN_NS);
}

static void run_for_a_while(struct run *r, const char *doing)
{
	r->doing = doing;
	wait_for(r, r->opt->kind == BENCH_CHURN ? all_connected : never, -1, clock_now_ns() + r->opt->duration_ns);
}

static void run_measured(struct run *r)
{
	static const char *const doing[] = {"holding", "echoing", "pushing", "churning"};
	int64_t begin_ns = clock_now_ns();

	look(r, &r->result->run_begin);
	set_phase(r, PHASE_RUN);
	if (r->opt->kind == BENCH_FANOUT)
		run_fanout(r);
	else
		run_for_a_while(r, doing[r->opt->kind]);
	look(r, &r->result->run_end);
	r->result->run_s = (double)(clock_now_ns() - begin_ns) / 1e9;
}

/* Wait for one process to leave; one that does not is ended. */
static bool wait_for_process(struct process *p, int64_t deadline_ns)
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

static void add_reasons(struct bench_result *out, const struct bench_share *share)
{
	for (const struct bench_reason *from = share->reasons; from < share->reasons + BENCH_REASONS; from++) {
		struct bench_reason *to = out->reasons;

		while (from->count > 0 && to < out->reasons + BENCH_REASONS - 1 && to->count > 0 &&
		       strcmp(to->words, from->words) != 0)
			to++;
		if (from->count == 0)
			continue;
		if (to->count == 0)
			memcpy(to->words, from->words, sizeof(to->words));
		to->count += from->count;
	}
}

static void collect(struct run *r)
{
	struct bench_result *out = r->result;

	out->processes = r->n_processes;
	out->started = SUM(r, started);
	out->online = SUM(r, online);
	out->failed = SUM(r, failed);
	out->lost = SUM(r, lost);
	out->delivered = SUM(r, delivered);
	out->duplicates = SUM(r, duplicates);
	out->reordered = SUM(r, reordered);
	out->foreign = SUM(r, foreign);
	out->echoes = SUM(r, echoes);
	for (unsigned i = 0; i < r->n_processes; i++) {
		const struct bench_share *share = &r->memory->shares[i];

		histogram_merge(&out->handshakes, &share->handshakes);
		histogram_merge(&out->latencies, &share->latencies);
		out->missing += share->missing;
		out->missing_on_lost += share->missing_on_lost;
		out->load_cpu_s += share->cpu_s;
		add_reasons(out, share);
	}
}

/* Let all processes leave; -ECHILD if one did not end well, since then its numbers are not to be trusted. */
static int finish(struct run *r)
{
	int64_t deadline_ns = clock_now_ns() + FINISH_NS;
	int rc = 0;

	set_phase(r, PHASE_END);
	for (unsigned i = 0; i < r->n_processes; i++) {
		if (r->processes[i].pid > 0 && !wait_for_process(&r->processes[i], deadline_ns))
			rc = -ECHILD;
		if (r->processes[i].part.command_fd > 0)
			close(r->processes[i].part.command_fd);
	}
	return rc;
}

static int run_all(struct run *r)
{
	int rc, finish_rc;

	look(r, &r->result->before);
	r->start_ns = clock_now_ns();
	r->next_line_ns = r->start_ns + CLOCK_SEC;
	rc = start_processes(r);
	if (rc == 0 && (r->opt->kind == BENCH_CHURN || connect_all(r)))
		run_measured(r);
	finish_rc = finish(r);
	if (rc < 0)
		fprintf(stderr, "comet-cli: cannot start the load processes: %s\n", err_text(rc));
	else if (finish_rc < 0)
		fprintf(stderr, "comet-cli: a load process did not end well; there is no result\n");
	else
		collect(r);
	return rc < 0 ? rc : finish_rc;
}

/* SIGINT and SIGTERM as a descriptor; the load processes inherit that they are blocked. */
static int open_descriptors(struct run *r)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	r->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r->signal_fd < 0 || r->news_fd < 0 ? -errno : 0;
}

int bench_run(const struct bench_options *opt, struct bench_result *out)
{
	struct run *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	r->opt = opt;
	r->result = out;
	r->signal_fd = r->news_fd = -1;
	if ((rc = plan_processes(r)) < 0)
		goto free_run;
	if ((rc = map_memory(r)) < 0 || (rc = open_descriptors(r)) < 0)
		fprintf(stderr, "comet-cli: cannot prepare the run: %s\n", err_text(rc));
	else
		rc = run_all(r);
	if (r->signal_fd >= 0)
		close(r->signal_fd);
	if (r->news_fd >= 0)
		close(r->news_fd);
	if (r->memory != NULL)
		munmap(r->memory, r->memory->map_bytes);

free_run:
	free(r);
	return rc;
}
