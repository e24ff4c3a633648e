/* bench_run: see bench_run.h. This process directs the load processes and watches their counters. The phases, in order:
 * connect_all, run_measured, then all are told to finish, and collect. SPDX-License-Identifier: MIT */
#include "bench/bench_run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bench_processes.h"
#include "bench/bench_push.h"
#include "cli/interrupt.h"
#include "common/base/clock.h"
#include "common/base/err.h"

#define QUIET_NS (3 * CLOCK_SEC) /* not a byte for so long after the last push: nothing more will come */
#define DRAIN_NS (30 * CLOCK_SEC)
#define LOOK_NS  (50 * CLOCK_MS) /* how often a condition is looked at that nobody tells us about */

struct run {
	const struct bench_options *opt;
	struct bench_result *result;
	struct bench_processes processes;
	int signal_fd;
	const char *doing; /* what progress lines say */
	int64_t start_ns, next_line_ns;
	/* at the last line, so that it can say how much was done since */
	uint64_t lined_online, lined_delivered, lined_echoes;
	/* for drained() */
	uint64_t last_bytes;
	int64_t last_bytes_ns;
};

/* A counter of all load processes. */
#define SUM(r, counter) bench_processes_sum(&(r)->processes, offsetof(struct bench_share, counter))

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
	return bench_processes_are_connected(&r->processes);
}

static bool never(struct run *r)
{
	(void)r;
	return false;
}

/* Have all accepted pushes reached all that are open, or will no more come? */
static bool drained(struct run *r)
{
	uint64_t bytes = SUM(r, bytes); /* a long message takes its time */
	int64_t now_ns = clock_now_ns();

	if (bytes != r->last_bytes) {
		r->last_bytes = bytes;
		r->last_bytes_ns = now_ns;
	}
	return SUM(r, delivered) >= r->result->pushes.accepted * SUM(r, open) || now_ns - r->last_bytes_ns > QUIET_NS;
}

/* Wait for a condition, at most up to the deadline, with a line each second. extra_fd, or -1: readable ends it, too.
 * False if a signal ended it. */
static bool wait_for(struct run *r, condition *holds, int extra_fd, int64_t deadline_ns)
{
	struct pollfd fds[3] = {{r->signal_fd, POLLIN, 0}, {r->processes.news_fd, POLLIN, 0}, {extra_fd, POLLIN, 0}};
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
		if (fds[1].revents != 0 && read(r->processes.news_fd, &news, sizeof(news)) < 0)
			continue; /* somebody's write is still to come */
	}
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

	for (unsigned i = 0; i < r->processes.n; i++)
		if (r->processes.memory->shares[i].last_online_ns > last_ns)
			last_ns = r->processes.memory->shares[i].last_online_ns;
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
	int done_fd, rc = bench_push_start(r->opt, r->processes.memory, &push, &done_fd);
	int64_t end_ns = clock_now_ns() + r->opt->duration_ns + r->opt->api.timeout_ns + CLOCK_SEC;

	if (rc < 0) {
		fprintf(stderr, "comet-cli: cannot start to push: %s\n", err_text(rc));
		return;
	}
	r->doing = "pushing";
	wait_for(r, never, done_fd, end_ns);
	bench_push_stop(&push, &r->result->pushes);
	r->doing = "waiting for the last deliveries";
	r->last_bytes_ns = clock_now_ns();
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
	bench_processes_set_phase(&r->processes, PHASE_RUN);
	if (r->opt->kind == BENCH_FANOUT)
		run_fanout(r);
	else
		run_for_a_while(r, doing[r->opt->kind]);
	look(r, &r->result->run_end);
	r->result->run_s = (double)(clock_now_ns() - begin_ns) / 1e9;
}

static void collect(struct run *r)
{
	struct bench_result *out = r->result;

	out->processes = r->processes.n;
	out->started = SUM(r, started);
	out->online = SUM(r, online);
	out->failed = SUM(r, failed);
	out->lost = SUM(r, lost);
	out->delivered = SUM(r, delivered);
	out->duplicates = SUM(r, duplicates);
	out->reordered = SUM(r, reordered);
	out->foreign = SUM(r, foreign);
	out->echoes = SUM(r, echoes);
	out->bytes = SUM(r, bytes);
	for (unsigned i = 0; i < r->processes.n; i++) {
		const struct bench_share *share = &r->processes.memory->shares[i];

		histogram_merge(&out->handshakes, &share->handshakes);
		histogram_merge(&out->latencies, &share->latencies);
		out->missing += share->missing;
		out->missing_on_lost += share->missing_on_lost;
		out->load_cpu_s += share->cpu_s;
		bench_reason_add(out->reasons, share->reasons);
	}
}

static int run_all(struct run *r)
{
	int rc, finish_rc;

	look(r, &r->result->before);
	r->start_ns = clock_now_ns();
	r->next_line_ns = r->start_ns + CLOCK_SEC;
	rc = bench_processes_start(&r->processes);
	if (rc == 0 && (r->opt->kind == BENCH_CHURN || connect_all(r)))
		run_measured(r);
	finish_rc = bench_processes_finish(&r->processes);
	if (rc < 0)
		fprintf(stderr, "comet-cli: cannot start the load processes: %s\n", err_text(rc));
	else if (finish_rc < 0)
		fprintf(stderr, "comet-cli: a load process did not end well; there is no result\n");
	else
		collect(r);
	return rc < 0 ? rc : finish_rc;
}

/* The load processes inherit that signals are blocked. */
static int open_signals(struct run *r)
{
	int rc = interrupt_open(&r->signal_fd);

	if (rc < 0)
		fprintf(stderr, "comet-cli: no descriptor for signals: %s\n", err_text(rc));
	return rc;
}

int bench_run(const struct bench_options *opt, struct bench_result *out)
{
	struct run *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	r->opt = opt;
	r->result = out;
	r->signal_fd = -1;
	if ((rc = bench_processes_init(&r->processes, opt)) == 0 && (rc = open_signals(r)) == 0)
		rc = run_all(r);
	if (r->signal_fd >= 0)
		close(r->signal_fd);
	bench_processes_fini(&r->processes);
	free(r);
	return rc;
}
