/* bench: see bench.h. SPDX-License-Identifier: MIT */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/bench_options.h"
#include "bench/bench_report.h"
#include "bench/bench_run.h"
#include "bench/bench_tls.h"
#include "cli/command.h"
#include "cli/context.h"

static int run_and_report(const struct bench_options *opt)
{
	struct bench_result *result = calloc(1, sizeof(*result)); /* too large for a stack of taste */
	int code = EXIT_REFUSED;

	if (result == NULL) {
		fprintf(stderr, "comet-cli: out of memory\n");
		return EXIT_REFUSED;
	}
	if (bench_run(opt, result) == 0) {
		if (opt->json)
			bench_report_json(stdout, opt, result);
		else
			bench_report_table(stdout, opt, result);
		if (bench_result_is_clean(opt, result))
			code = EXIT_OK;
		else if (result->online == 0 && !result->interrupted)
			code = EXIT_UNREACHABLE;
	}
	free(result);
	return code;
}

static int run(int argc, char **argv)
{
	struct bench_options opt;
	int code = bench_options_read(&opt, &command_bench, argc, argv);

	if (code < 0)
		code = run_and_report(&opt);
	bench_tls_context_free(opt.tls);
	return code;
}

static const struct cli_form forms[] = {
	{"connect [options]", "connect and authenticate as fast as they come, then hold them"},
	{"echo [options]", "each connection sends a heartbeat, waits for the answer, sends the next"},
	{"fanout [options]", "all join one room, which is pushed to through the HTTP API"},
	{"churn [options]", "each connects, authenticates, closes, and begins again"},
	{NULL, NULL},
};

const struct cli_command command_bench = {
	.name = "bench",
	.summary = "measure a server: connections, speed, losses",
	.forms = forms,
	.targets = "connect echo fanout churn",
	.options = {bench_option_rows, context_options, api_options_table},
	.notes = "Each second a line of progress goes to stderr; the result goes to stdout. Times are measured from "
		 "connect() to the "
		 "answer to auth, from a heartbeat to its answer, and from just before a push's HTTP call to its "
		 "arrival at each "
		 "connection. Losses, duplicates and changes of order are counted, not estimated: each push has a "
		 "number, each "
		 "connection remembers those that it saw. Beyond one address's source ports, connections to "
		 "127.0.0.0/8 come from "
		 "further addresses of that network.",
	.exits = "Exit code: 0 all online, nothing lost, doubled or out of order; 1 something was, or the run was "
		 "interrupted; 2 "
		 "wrong command line; 3 no connection came about.",
	.examples = "  comet-cli bench connect -n 10000 --pid $(pidof -s comet)\n"
		    "  comet-cli bench echo -n 1000 --duration 5s --pid $(pidof -s comet)\n"
		    "  comet-cli bench fanout -n 10000 --rate 5 --pid $(pidof -s comet)\n"
		    "  comet-cli bench fanout -n 5000 --rate 5 --transport ws\n"
		    "  comet-cli bench echo --transport wss --cacert cert.pem\n"
		    "  comet-cli bench churn -n 200 --duration 20s --json\n",
	.run = run,
};
