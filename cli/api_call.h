/* api_call: one call of the HTTP API by a command: the options that all such commands share, the call, and what the
 * server said about it. SPDX-License-Identifier: MIT */
#ifndef CLI_API_CALL_H
#define CLI_API_CALL_H

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api_options {
	const char *http;    /* host:port or URL */
	const char *api_key; /* or NULL */
	int64_t timeout_ns;
};

enum { API_OPT_HTTP = 512, API_OPT_KEY, API_OPT_TIMEOUT };

/* The rows of getopt_long's table, and their help. */
/* clang-format off */
#define API_OPTIONS                                            \
	{"http", required_argument, NULL, API_OPT_HTTP},       \
	{"api-key", required_argument, NULL, API_OPT_KEY},     \
	{"timeout", required_argument, NULL, API_OPT_TIMEOUT}
/* clang-format on */
#define API_OPTIONS_HELP                                                                                               \
	"  --http ADDRESS     the HTTP API, host:port or URL (127.0.0.1:3111)\n"                                       \
	"  --api-key KEY      its key; better in the environment, as COMET_API_KEY, where other users cannot see it\n" \
	"  --timeout TIME     give up after this time (10s)\n"
#define API_EXIT_HELP                                                                                                  \
	"Exit code: 0 done; 1 the server said no, and stderr has its words; 2 wrong command line; 3 nobody answers\n"  \
	"at that address; 4 no answer in time.\n"

/* The defaults, and the settings of the environment. */
void api_options_init(struct api_options *opt);
/* Take one of API_OPTIONS. False for an option that is none of them, or whose value is wrong, which was said. */
bool api_take_option(struct api_options *opt, int option);

/* Call (GET if body is NULL, POST otherwise) and read the answer. Returns an exit code; where it is not 0, a line on
 * stderr says what happened. On 0, *data is the "data" of the answer or NULL, the caller's to json_decref; data may be
 * NULL. path is freed; a NULL path is memory that ran out. */
int api_call(const struct api_options *opt, char *path, const void *body, size_t body_bytes, json_t **data);

#endif
