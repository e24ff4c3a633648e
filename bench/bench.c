/* bench: see bench.h. SPDX-License-Identifier: MIT */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/bench_options.h"
#include "bench/bench_report.h"
#include "bench/bench_run.h"
#include "cli/commands.h"

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

int command_bench(int argc, char **argv)
{
	struct bench_options opt;
	int code = bench_options_read(&opt, argc, argv);

	return code >= 0 ? code : run_and_report(&opt);
}
