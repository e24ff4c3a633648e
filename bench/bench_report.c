/* bench_report: see bench_report.h. One list of rows; table and JSON are two ways of writing a row.
 * SPDX-License-Identifier: MIT */
#include "bench/bench_report.h"

#include <jansson.h>
#include <stdlib.h>

/* How a row is written. */
struct writer {
	FILE *table;  /* or NULL */
	json_t *json; /* or NULL */
};

static void write_count(const struct writer *w, const char *name, const char *words, uint64_t value)
{
	if (w->table != NULL)
		fprintf(w->table, "  %-42s %14llu\n", words, (unsigned long long)value);
	else
		json_object_set_new(w->json, name, json_integer((json_int_t)value));
}

/* A measured value, with so many digits that its precision is not overstated. */
static void write_value(const struct writer *w, const char *name, const char *words, double value, const char *unit)
{
	if (w->table != NULL)
		fprintf(w->table, "  %-42s %14.*f %s\n", words, value < 10 ? 2 : value < 1000 ? 1 : 0, value, unit);
	else
		json_object_set_new(w->json, name, json_real(value));
}

static void write_heading(const struct writer *w, const char *words)
{
	if (w->table != NULL)
		fprintf(w->table, "%s\n", words);
}

static void write_durations(const struct writer *w, const char *what, const struct histogram *h)
{
	static const struct {
		const char *name;
		double percent;
	} percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"max", 100}};
	char name[64], words[64];

	if (h->count == 0)
		return;
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
		snprintf(name, sizeof(name), "%s_%s_ms", what, percentiles[i].name);
		snprintf(words, sizeof(words), "%s time, %s", what, percentiles[i].name);
		write_value(w, name, words, (double)histogram_percentile(h, percentiles[i].percent) / 1e6, "ms");
	}
}

static double per(double value, double by)
{
	return by > 0 ? value / by : 0;
}

static void write_connections(const struct writer *w, const struct bench_options *opt, const struct bench_result *r)
{
	bool churn = opt->kind == BENCH_CHURN;
	double seconds = churn ? r->run_s : r->connect_s;

	write_heading(w, "connections");
	write_count(w, "started", "started", r->started);
	write_count(w, "online", "authenticated", r->online);
	write_count(w, "failed", "failed", r->failed);
	write_count(w, "lost", "closed by the server", r->lost);
	write_value(w, "connect_s", churn ? "connecting and closing for" : "all connected and authenticated after",
		    seconds, "s");
	write_value(w, "connects_per_s", "rate", per((double)r->online, seconds), "a second");
	write_durations(w, "handshake", &r->handshakes);
}

static void write_pushes(const struct writer *w, const struct bench_result *r)
{
	write_heading(w, "pushes");
	write_count(w, "pushes_due", "due", r->pushes.due);
	write_count(w, "pushes_sent", "sent", r->pushes.sent);
	write_count(w, "pushes_accepted", "accepted", r->pushes.accepted);
	write_count(w, "pushes_refused", "refused", r->pushes.refused);
	write_count(w, "pushes_unknown", "without an answer", r->pushes.unknown);
	write_value(w, "pushes_latest_ms", "latest one went out late by", (double)r->pushes.latest_ns / 1e6, "ms");
	write_durations(w, "call", &r->pushes.calls);
	write_heading(w, "deliveries");
	write_count(w, "delivered", "delivered", r->delivered);
	write_count(w, "missing", "lost", r->missing);
	write_count(w, "missing_on_lost", "  of these, on closed connections", r->missing_on_lost);
	write_count(w, "duplicates", "duplicates", r->duplicates);
	write_count(w, "reordered", "out of order", r->reordered);
	write_count(w, "foreign", "not of this run", r->foreign);
	write_value(w, "deliveries_per_s", "rate", per((double)r->delivered, r->run_s), "a second");
	write_value(w, "bytes_per_delivery", "bytes read for each", per((double)r->bytes, (double)r->delivered),
		    "bytes");
	write_durations(w, "delivery", &r->latencies);
}

static void write_echoes(const struct writer *w, const struct bench_result *r)
{
	write_heading(w, "heartbeats");
	write_count(w, "echoes", "answered", r->echoes);
	write_value(w, "echoes_per_s", "rate", per((double)r->echoes, r->run_s), "a second");
	write_durations(w, "echo", &r->latencies);
}

/* What grew, for each connection. */
#define GROWTH(field) per((double)(b->field - a->field), n)

static void write_memory(const struct writer *w, const struct bench_result *r)
{
	const struct host_usage *a = &r->before, *b = &r->online_usage;
	double n = (double)r->open;
	double stacks = GROWTH(kernel_stack_kib), slab = GROWTH(slab_kib), anonymous = GROWTH(anonymous_kib);
	double tables = GROWTH(page_tables_kib), hidden = GROWTH(hidden_kib);

	/* Two ways to the same figure: what the system has less, and what it accounts for. Where they differ by much,
	 * something else on the machine moved. */
	write_heading(w, "memory for each connection, both sockets and this client included");
	write_value(w, "system_kib_per_connection", "the whole system has less, by", -GROWTH(free_kib), "KiB");
	write_value(w, "accounted_kib_per_connection", "the sum of", stacks + slab + anonymous + tables + hidden,
		    "KiB");
	write_value(w, "kernel_stack_kib_per_connection", "  kernel stacks", stacks, "KiB");
	write_value(w, "slab_kib_per_connection", "  slab", slab, "KiB");
	write_value(w, "anonymous_kib_per_connection", "  anonymous memory", anonymous, "KiB");
	write_value(w, "page_tables_kib_per_connection", "  page tables", tables, "KiB");
	write_value(w, "hidden_kib_per_connection", "  hidden: in no account of the system", hidden, "KiB");
}

/* Of an entry of epoll: a 32nd of a page. This client has one for each connection, too. */
#define EPOLL_ENTRY_KIB 0.125

/* Each connection has two sockets on this machine, and one is the server's; its threads, its memory and what is hidden are its own. */
static void write_server_memory(const struct writer *w, const struct bench_result *r)
{
	const struct host_usage *a = &r->before, *b = &r->online_usage;
	double n = (double)r->open, epoll = GROWTH(epoll_kib) - EPOLL_ENTRY_KIB;
	double sockets = GROWTH(socket_kib) / 2 + (epoll > 0 ? epoll : 0);
	double threads = GROWTH(kernel_stack_kib) + GROWTH(thread_kib), hidden = GROWTH(hidden_kib);
	double own = GROWTH(rss_anonymous_kib) + GROWTH(own_page_tables_kib);

	if (!b->has_caches)
		return;
	write_value(w, "server_half_kib_per_connection", "its half of each connection, in all",
		    sockets + threads + own + hidden, "KiB");
	write_value(w, "server_half_sockets_kib", "  its socket, and epoll's entry", sockets, "KiB");
	write_value(w, "server_half_threads_kib", "  its threads in the kernel", threads, "KiB");
	write_value(w, "server_half_own_kib", "  its own memory, with page tables", own, "KiB");
	write_value(w, "server_half_hidden_kib", "  hidden", hidden, "KiB");
}

/* How many units of work were done while the server's CPU was watched; *name is one of them. */
static uint64_t units(const struct bench_options *opt, const struct bench_result *r, const char **name)
{
	switch (opt->kind) {
	case BENCH_FANOUT:
		*name = "delivery";
		return r->delivered;
	case BENCH_ECHO:
		*name = "echo";
		return r->echoes;
	case BENCH_CHURN:
	case BENCH_CONNECT:
		break;
	}
	*name = "connection";
	return r->online;
}

static void write_server(const struct writer *w, const struct bench_options *opt, const struct bench_result *r)
{
	/* Connecting is the work of `connect`; then its connections are only held. */
	const struct host_usage *a = opt->kind == BENCH_CONNECT ? &r->before : &r->run_begin;
	const struct host_usage *b = opt->kind == BENCH_CONNECT ? &r->online_usage : &r->run_end;
	char name[64], words[64];
	const char *unit;
	uint64_t n = units(opt, r, &unit);

	write_heading(w, "server");
	write_value(w, "server_cpu_s", "CPU, user and system", b->cpu_s - a->cpu_s, "s");
	snprintf(name, sizeof(name), "server_cpu_us_per_%s", unit);
	snprintf(words, sizeof(words), "CPU for each %s", unit);
	write_value(w, name, words, per((b->cpu_s - a->cpu_s) * 1e6, (double)n), "us");
	if (opt->kind == BENCH_CONNECT)
		write_value(w, "server_idle_cpu_s", "CPU while they were held", r->run_end.cpu_s - r->run_begin.cpu_s,
			    "s");
	if (r->open == 0)
		return;
	write_value(w, "server_rss_mib", "resident memory, all online", (double)r->online_usage.rss_kib / 1024, "MiB");
	write_value(w, "server_rss_kib_per_connection", "  grown by, for each connection",
		    per((double)(r->online_usage.rss_kib - r->before.rss_kib), (double)r->open), "KiB");
	write_count(w, "server_threads", "threads, all online", (uint64_t)r->online_usage.threads);
	write_server_memory(w, r);
}

static void write_reasons(const struct writer *w, const struct bench_result *r)
{
	json_t *reasons = w->json != NULL ? json_object() : NULL;

	if (r->reasons[0].count > 0)
		write_heading(w, "what failed, and how often");
	for (const struct bench_reason *one = r->reasons; one < r->reasons + BENCH_REASONS; one++) {
		if (one->count == 0)
			continue;
		if (w->table != NULL)
			fprintf(w->table, "  %14llu  %s\n", (unsigned long long)one->count, one->words);
		else
			json_object_set_new(reasons, one->words, json_integer((json_int_t)one->count));
	}
	if (w->json != NULL)
		json_object_set_new(w->json, "reasons", reasons);
	if (r->pushes.words[0] != '\0' && w->table != NULL)
		fprintf(w->table, "  first push that was not accepted: %s\n", r->pushes.words);
}

static void write_all(const struct writer *w, const struct bench_options *opt, const struct bench_result *r)
{
	write_connections(w, opt, r);
	if (opt->kind == BENCH_FANOUT)
		write_pushes(w, r);
	if (opt->kind == BENCH_ECHO)
		write_echoes(w, r);
	if (r->open > 0)
		write_memory(w, r);
	if (opt->n_pids > 0)
		write_server(w, opt, r);
	write_heading(w, "this client");
	write_count(w, "processes", "load processes", r->processes);
	write_value(w, "load_cpu_s", "their CPU", r->load_cpu_s, "s");
	write_reasons(w, r);
}

bool bench_result_is_clean(const struct bench_options *opt, const struct bench_result *r)
{
	if (r->interrupted || r->failed > 0 || r->lost > 0 || r->online == 0)
		return false;
	if (opt->kind != BENCH_FANOUT)
		return true;
	return r->missing == 0 && r->duplicates == 0 && r->reordered == 0 && r->pushes.accepted == r->pushes.due;
}

void bench_report_table(FILE *out, const struct bench_options *opt, const struct bench_result *r)
{
	write_all(&(struct writer){.table = out}, opt, r);
}

void bench_report_json(FILE *out, const struct bench_options *opt, const struct bench_result *r)
{
	static const char *const kinds[] = {"connect", "echo", "fanout", "churn"};
	json_t *all = json_pack("{s:s, s:s, s:I, s:f, s:f, s:b, s:b}", "bench", kinds[opt->kind], "transport",
				opt->wire->name, "connections", (json_int_t)opt->connections, "duration_s",
				(double)opt->duration_ns / 1e9, "run_s", r->run_s, "clean",
				bench_result_is_clean(opt, r), "interrupted", r->interrupted);
	struct writer w = {.json = all};

	if (all != NULL)
		write_all(&w, opt, r);
	/* JSON_REAL_PRECISION: what is measured has no 17 digits. */
	if (all == NULL || json_dumpf(all, out, JSON_COMPACT | JSON_REAL_PRECISION(6)) < 0)
		fprintf(stderr, "comet-cli: cannot write the result\n");
	else
		fputc('\n', out);
	json_decref(all);
}
