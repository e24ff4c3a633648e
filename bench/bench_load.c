/* bench_load: see bench_load.h. One epoll, of which its connections are bench_conn's. It waits in epoll_wait alone, and the
 * directing process wakes it through a descriptor when the phase changes. SPDX-License-Identifier: MIT */
#include "bench/bench_load.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/bench_conn.h"
#include "common/base/clock.h"

#define EVENTS         512
#define TICK_NS        CLOCK_SEC
#define HEARTBEAT_S    60 /* well below what any server allows */
#define STARTS_A_ROUND 64 /* connections started between two looks at those that are under way */

struct load {
	const struct bench_part *part;
	struct bench_crowd crowd;
	uint64_t *seen_bits; /* of all connections, for a fan-out */
	int64_t next;        /* the first that was never started */
	int64_t next_tick_ns;
	int64_t beat_next; /* whose turn it is to send a heartbeat */
};

/* As many as the window allows, but not so many that those under way wait for long. */
static void start_some(struct load *l)
{
	if (l->crowd.phase == PHASE_END || (l->crowd.phase == PHASE_RUN && l->crowd.opt->kind != BENCH_CHURN))
		return;
	for (int i = 0; i < STARTS_A_ROUND && l->next < l->part->connections && l->crowd.handshaking < l->part->window;
	     i++)
		bench_conn_start(&l->crowd, &l->crowd.conns[l->next++]);
}

static int begin_fanout(struct load *l)
{
	size_t words = l->part->memory->words;

	l->seen_bits = calloc((size_t)l->part->connections, words * sizeof(uint64_t));
	if (l->seen_bits == NULL)
		return -ENOMEM;
	for (int64_t i = 0; i < l->part->connections; i++) {
		l->crowd.conns[i].seen.bits = l->seen_bits + (size_t)i * words;
		l->crowd.conns[i].counted = l->crowd.conns[i].state == CONN_ONLINE;
	}
	return 0;
}

static void begin_echo(struct load *l)
{
	for (struct bench_conn *c = l->crowd.conns; c < l->crowd.conns + l->next; c++) {
		int rc = c->state == CONN_ONLINE ? bench_conn_echo(&l->crowd, c) : 0;

		if (rc < 0)
			bench_conn_end(&l->crowd, c, rc);
	}
}

/* The phase has changed. 0 or -ENOMEM. */
static int take_command(struct load *l)
{
	enum bench_phase before = l->crowd.phase;
	uint64_t n;

	if (read(l->part->command_fd, &n, sizeof(n)) < 0)
		return 0; /* nothing there, whatever epoll said */
	l->crowd.phase = (enum bench_phase)atomic_load_explicit(&l->part->memory->phase, memory_order_acquire);
	if (l->crowd.phase == before || l->crowd.phase != PHASE_RUN)
		return 0;
	if (l->crowd.opt->kind == BENCH_ECHO)
		begin_echo(l);
	return l->crowd.opt->kind == BENCH_FANOUT ? begin_fanout(l) : 0;
}

/* Once a second: end handshakes that take too long, and let a sixtieth of the connections send a heartbeat. */
static void tick(struct load *l)
{
	int64_t beats = l->part->connections / HEARTBEAT_S + 1;

	l->next_tick_ns += TICK_NS;
	for (struct bench_conn *c = l->crowd.conns; l->crowd.handshaking > 0 && c < l->crowd.conns + l->next; c++)
		if (c->state != CONN_ONLINE && c->state != CONN_GONE &&
		    l->crowd.now_ns - c->since_ns > l->crowd.opt->handshake_ns)
			bench_conn_end(&l->crowd, c, -ECONNABORTED);
	if (l->crowd.opt->kind != BENCH_CONNECT && l->crowd.opt->kind != BENCH_FANOUT)
		return;
	for (; beats > 0 && l->next > 0; beats--) {
		struct bench_conn *c = &l->crowd.conns[l->beat_next++ % l->next];
		int rc = c->state == CONN_ONLINE ? bench_conn_beat(&l->crowd, c) : 0;

		if (rc < 0)
			bench_conn_end(&l->crowd, c, rc);
	}
}

/* Tell the directing process, once, that every connection came out one way or the other. */
static void tell_connected(struct load *l)
{
	uint64_t one = 1;

	if (l->next < l->part->connections || l->crowd.handshaking > 0 || atomic_load(&l->crowd.share->connected))
		return;
	atomic_store(&l->crowd.share->connected, true);
	/* It cannot fail but for an overflow of the counter; the other side looks every second, too. */
	if (write(l->part->news_fd, &one, sizeof(one)) < 0)
		return;
}

static int wait_ms(const struct load *l)
{
	int64_t left_ns = l->next_tick_ns - clock_now_ns();
	bool more = l->next < l->part->connections && l->crowd.handshaking < l->part->window &&
		    (l->crowd.phase == PHASE_CONNECT || l->crowd.opt->kind == BENCH_CHURN);

	return more || left_ns <= 0 ? 0 : (int)(left_ns / CLOCK_MS) + 1;
}

static int run_loop(struct load *l)
{
	struct epoll_event events[EVENTS];

	l->crowd.now_ns = clock_now_ns();
	l->next_tick_ns = l->crowd.now_ns + TICK_NS;
	while (l->crowd.phase != PHASE_END) {
		int n;

		start_some(l);
		tell_connected(l);
		n = epoll_wait(l->crowd.epoll, events, EVENTS, wait_ms(l));
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			struct bench_conn *c = events[i].data.ptr;
			int rc = c == NULL ? take_command(l) : 0;

			if (rc < 0)
				return rc;
			if (c != NULL && c->fd >= 0)
				bench_conn_event(&l->crowd, c, events[i].events);
		}
		l->crowd.now_ns = clock_now_ns();
		if (l->crowd.now_ns >= l->next_tick_ns)
			tick(l);
	}
	return 0;
}

/* Fill in the results that are not counted on the way. */
static void sum_up(struct load *l)
{
	const struct bench_memory *memory = l->part->memory;
	struct rusage usage;

	for (struct bench_conn *c = l->crowd.conns; l->seen_bits != NULL && c < l->crowd.conns + l->next; c++) {
		uint64_t missing = sequence_missing(&c->seen, memory->accepted, memory->words);

		l->crowd.share->missing += c->counted ? missing : 0;
		l->crowd.share->missing_on_lost += c->counted && c->state != CONN_ONLINE ? missing : 0;
	}
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		l->crowd.share->cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
					(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int set_up(struct load *l)
{
	struct epoll_event command = {.events = EPOLLIN, .data.ptr = NULL};

	l->crowd.conns = calloc((size_t)l->part->connections, sizeof(*l->crowd.conns));
	l->crowd.buffer = malloc(BENCH_READ_BYTES);
	if (l->crowd.conns == NULL || l->crowd.buffer == NULL)
		return -ENOMEM;
	for (int64_t i = 0; i < l->part->connections; i++)
		l->crowd.conns[i].fd = -1;
	bench_source_init(&l->crowd.source, l->part->spread, l->part->number);
	if ((l->crowd.epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
	    epoll_ctl(l->crowd.epoll, EPOLL_CTL_ADD, l->part->command_fd, &command) < 0)
		return -errno;
	return 0;
}

static void tear_down(struct load *l)
{
	for (struct bench_conn *c = l->crowd.conns; l->crowd.conns != NULL && c < l->crowd.conns + l->next; c++)
		bench_conn_drop(c);
	if (l->crowd.epoll >= 0)
		close(l->crowd.epoll);
	free(l->seen_bits);
	free(l->crowd.buffer);
	free(l->crowd.conns);
}

int bench_load(const struct bench_options *opt, const struct bench_part *part)
{
	struct load l = {
		.part = part,
		.crowd =
			{
				.opt = opt,
				.share = part->share,
				.first = part->first,
				.pushes_max = part->memory->pushes_max,
				.epoll = -1,
				.phase = PHASE_CONNECT,
			},
	};
	int rc = set_up(&l);

	if (rc == 0)
		rc = run_loop(&l);
	if (rc == 0)
		sum_up(&l);
	tear_down(&l);
	return rc;
}
