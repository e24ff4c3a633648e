/* bench_options: see bench_options.h. SPDX-License-Identifier: MIT */
#include "bench/bench_options.h"

#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bench/bench_body.h"
#include "bench/bench_tls.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/context.h"
#include "common/base/clock.h"

#define SEEN_BYTES_MAX (UINT64_C(1) << 31) /* for the bits of who has seen what */
#define DURATION_MAX   (3600 * CLOCK_SEC)

enum {
	OPT_DURATION = 256,
	OPT_HOST,
	OPT_PORT,
	OPT_TRANSPORT,
	OPT_WINDOW,
	OPT_HANDSHAKE,
	OPT_SETTLE,
	OPT_PROCESSES,
	OPT_MID,
	OPT_RATE,
	OPT_SIZE,
	OPT_OP,
	OPT_PID,
	OPT_JSON,
};

const struct cli_option bench_option_rows[] = {
	{"connections", 'n', 'n', "N", NULL, "connections at the same time (1000)"},
	{"duration", 0, OPT_DURATION, "TIME", NULL, "of the measured phase, once all are online (10s)"},
	{"host", 0, OPT_HOST, "HOST", NULL, "the server's host (127.0.0.1)"},
	{"transport", 0, OPT_TRANSPORT, "WHAT", "tcp tls ws wss ws-deflate",
	 "tcp; ws: WebSocket; ws-deflate: WebSocket, and the server is to compress; tls, wss: tcp and ws over TLS, for "
	 "which --cacert, --insecure and --cert hold as with https (tcp)"},
	{"port", 0, OPT_PORT, "PORT[,PORT]", NULL,
	 "its port for such clients (3101, with ws 3102, with wss 3103); of several, such as a cluster's comets on one "
	 "machine, "
	 "connections take "
	 "turns"},
	{"window", 0, OPT_WINDOW, "N", NULL, "handshakes under way at once (500); churn: all connections"},
	{"handshake", 0, OPT_HANDSHAKE, "TIME", NULL, "for one of them, connecting included (10s)"},
	{"settle", 0, OPT_SETTLE, "TIME", NULL, "from the last one online to the look at memory (1s)"},
	{"processes", 0, OPT_PROCESSES, "N", NULL,
	 "load processes, one thread each; more are started if the file limit asks for it (1)"},
	{"mid", 0, OPT_MID, "N", NULL, "user of the first connection; each has the next (1)"},
	{"rate", 0, OPT_RATE, "N", NULL, "fanout: pushes a second (10)"},
	{"size", 0, OPT_SIZE, "BYTES", NULL, "fanout: body of a push, 96 to 65536 (128)"},
	{"op", 0, OPT_OP, "N", NULL, "fanout: operation of the pushes (1000)"},
	{"pid", 0, OPT_PID, "PID[,PID]", NULL, "the server's processes: reports their CPU and memory"},
	{"json", 0, OPT_JSON, NULL, NULL, "the result as one JSON object on stdout"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

uint32_t bench_pushes(const struct bench_options *opt)
{
	double pushes = opt->rate * ((double)opt->duration_ns / (double)CLOCK_SEC);

	return pushes < 1 ? 1 : pushes > BENCH_PUSHES_MAX ? BENCH_PUSHES_MAX : (uint32_t)(pushes + 0.5);
}

static bool take_rate(struct bench_options *opt)
{
	char *end;

	opt->rate = strtod(optarg, &end);
	if (end != optarg && *end == '\0' && opt->rate >= 0.01 && opt->rate <= 10000)
		return true;
	fprintf(stderr, "comet-cli: --rate takes pushes a second, from 0.01 to 10000, not \"%s\"\n", optarg);
	return false;
}

static bool take_pids(struct bench_options *opt)
{
	int32_t pids[HOST_USAGE_PIDS_MAX];
	size_t n;

	if (!argument_numbers("--pid", optarg, pids, HOST_USAGE_PIDS_MAX, &n))
		return false;
	for (opt->n_pids = 0; opt->n_pids < n; opt->n_pids++)
		opt->pids[opt->n_pids] = pids[opt->n_pids];
	return true;
}

static bool add_port(struct bench_options *opt, int32_t port)
{
	if (port < 1 || port > 65535) {
		fprintf(stderr, "comet-cli: --port takes ports from 1 to 65535, not %d\n", port);
		return false;
	}
	snprintf(opt->servers[opt->n_servers++].port, sizeof(opt->servers[0].port), "%d", port);
	return true;
}

static bool take_ports(struct bench_options *opt)
{
	int32_t ports[BENCH_SERVERS_MAX];
	size_t n;

	if (!argument_numbers("--port", optarg, ports, BENCH_SERVERS_MAX, &n))
		return false;
	opt->n_servers = 0;
	for (size_t i = 0; i < n; i++)
		if (!add_port(opt, ports[i]))
			return false;
	return true;
}

static bool take_transport(struct bench_options *opt)
{
	if ((opt->wire = bench_wire_find(optarg)) != NULL)
		return true;
	fprintf(stderr, "comet-cli: no transport \"%s\"; there are tcp, tls, ws, wss and ws-deflate\n", optarg);
	return false;
}

static bool take_duration(struct bench_options *opt)
{
	if (!argument_time("--duration", optarg, &opt->duration_ns))
		return false;
	if (opt->duration_ns <= DURATION_MAX)
		return true;
	fprintf(stderr, "comet-cli: --duration is at most an hour\n");
	return false;
}

static bool take_option(void *arg, int option)
{
	struct bench_options *opt = arg;
	int64_t n;

	switch (option) {
	case 'n':
		return argument_i64("--connections", optarg, 1, BENCH_CONNECTIONS_MAX, &opt->connections);
	case OPT_DURATION:
		return take_duration(opt);
	case OPT_HOST:
		opt->host = optarg;
		return true;
	case OPT_PORT:
		return take_ports(opt);
	case OPT_TRANSPORT:
		return take_transport(opt);
	case OPT_WINDOW:
		return argument_i64("--window", optarg, 1, BENCH_CONNECTIONS_MAX, &opt->window);
	case OPT_HANDSHAKE:
		return argument_time("--handshake", optarg, &opt->handshake_ns);
	case OPT_SETTLE:
		return argument_time("--settle", optarg, &opt->settle_ns);
	case OPT_PROCESSES:
		return argument_i64("--processes", optarg, 1, BENCH_PROCESSES_MAX, &opt->processes);
	case OPT_MID:
		return argument_i64("--mid", optarg, 0, INT64_MAX - BENCH_CONNECTIONS_MAX, &opt->mid);
	case OPT_RATE:
		return take_rate(opt);
	case OPT_SIZE:
		return argument_i64("--size", optarg, BENCH_BODY_MIN, BENCH_BODY_MAX, &opt->body_bytes);
	case OPT_OP:
		if (!argument_i64("--op", optarg, 1, INT32_MAX, &n))
			return false;
		opt->op = (int32_t)n;
		return true;
	case OPT_PID:
		return take_pids(opt);
	case OPT_JSON:
		opt->json = true;
		return true;
	default:
		return api_take_option(&opt->api, option);
	}
}

static int take_kind(struct bench_options *opt, int n, char **words)
{
	static const char *const kinds[] = {"connect", "echo", "fanout", "churn"};

	if (n != 1)
		return argument_wrong("bench", "what? connect, echo, fanout or churn");
	for (int i = 0; i < 4; i++) {
		if (strcmp(words[0], kinds[i]) == 0) {
			opt->kind = (enum bench_kind)i;
			return -1;
		}
	}
	return argument_wrong("bench", "what is \"%s\"? It takes connect, echo, fanout or churn", words[0]);
}

/* The rules between options, and defaults that depend on others. */
static int check_options(struct bench_options *opt)
{
	uint64_t pushes = bench_pushes(opt);

	if (opt->n_servers == 0 && opt->wire->port == 0)
		return argument_wrong("bench", "%s has no usual port: say --port", opt->wire->name);
	if (opt->n_servers == 0)
		(void)add_port(opt, opt->wire->port);
	if (opt->kind == BENCH_CHURN)
		opt->window = opt->connections;
	if (opt->kind != BENCH_FANOUT)
		return -1;
	if (opt->rate * ((double)opt->duration_ns / (double)CLOCK_SEC) > BENCH_PUSHES_MAX)
		return argument_wrong("bench", "--rate times --duration is more than %d pushes", BENCH_PUSHES_MAX);
	if (pushes / 8 * (uint64_t)opt->connections > SEEN_BYTES_MAX)
		return argument_wrong(
			"bench",
			"to remember who saw which push takes a bit each: %llu pushes to %lld connections "
			"are more than 2 GiB",
			(unsigned long long)pushes, (long long)opt->connections);
	return -1;
}

/* -1 to go on, otherwise the exit code. */
static int read_arguments(struct bench_options *opt, const struct cli_command *self, int argc, char **argv)
{
	int code;

	if ((code = api_options_read(&opt->api, self, argc, argv, take_option, opt)) >= 0)
		return code;
	if ((code = take_kind(opt, argc - optind, argv + optind)) >= 0)
		return code;
	return check_options(opt);
}

static int resolve(const char *host, struct bench_server *server)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list;
	int rc = getaddrinfo(host, server->port, &hints, &list);

	if (rc != 0) {
		fprintf(stderr, "comet-cli: cannot resolve %s: %s\n", host, gai_strerror(rc));
		return EXIT_UNREACHABLE;
	}
	memcpy(&server->address, list->ai_addr, list->ai_addrlen);
	server->address_bytes = list->ai_addrlen;
	freeaddrinfo(list);
	return -1;
}

static int prepare_tls(struct bench_options *opt)
{
	const struct client_options to = {
		.host = opt->host,
		.ca_file = opt->api.ca_file,
		.insecure = opt->api.insecure,
		.cert_file = opt->api.cert_file,
		.key_file = opt->api.key_file,
	};

	if (bench_tls_context(to, &opt->tls) == 0)
		return -1;
	return argument_wrong("bench", "%s", bench_tls_why());
}

/* A name for this run, that no other one has. */
static void name_run(struct bench_options *opt)
{
	uint64_t name;

	if (getrandom(&name, sizeof(name), GRND_NONBLOCK) != sizeof(name))
		name = (uint64_t)clock_wall_ms() << 20 ^ (uint64_t)clock_now_ns();
	snprintf(opt->run, sizeof(opt->run), "%016llx", (unsigned long long)name);
}

int bench_options_read(struct bench_options *opt, const struct cli_command *self, int argc, char **argv)
{
	int code;

	*opt = (struct bench_options){
		.host = "127.0.0.1",
		.wire = bench_wire_find("tcp"),
		.connections = 1000,
		.window = 500,
		.duration_ns = 10 * CLOCK_SEC,
		.settle_ns = CLOCK_SEC,
		.handshake_ns = 10 * CLOCK_SEC,
		.mid = 1,
		.op = 1000,
		.rate = 10,
		.body_bytes = 128,
	};
	code = read_arguments(opt, self, argc, argv);
	for (size_t i = 0; code < 0 && i < opt->n_servers; i++)
		code = resolve(opt->host, &opt->servers[i]);
	if (code < 0 && opt->wire->tls)
		code = prepare_tls(opt);
	if (code < 0)
		name_run(opt);
	return code;
}
