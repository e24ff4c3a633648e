/* api_call: see api_call.h. Main thread only. SPDX-License-Identifier: MIT */
#include "cli/api_call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/http_client.h"
#include "common/base/clock.h"

#define TIMEOUT_NS (10 * CLOCK_SEC)

void api_options_init(struct api_options *opt)
{
	*opt = (struct api_options){.http = "127.0.0.1:3111", .timeout_ns = TIMEOUT_NS};
	/* The second is the variable that comet itself takes its key from: one environment serves both. */
	if ((opt->api_key = getenv("COMET_API_KEY")) == NULL)
		opt->api_key = getenv("COMET_HTTP_API_KEY");
}

bool api_take_option(struct api_options *opt, int option)
{
	switch (option) {
	case API_OPT_HTTP:
		opt->http = optarg;
		return true;
	case API_OPT_KEY:
		opt->api_key = optarg;
		return true;
	case API_OPT_TIMEOUT:
		return argument_time("--timeout", optarg, &opt->timeout_ns);
	default:
		return false;
	}
}

/* The words of an answer in JSON, or all of an answer that is none. */
static int refused(const struct http_answer *answer, const json_t *said)
{
	const char *message = json_string_value(json_object_get(said, "message"));

	if (message != NULL && message[0] != '\0')
		fprintf(stderr, "comet-cli: the server said no (HTTP %ld): %s\n", answer->status, message);
	else
		fprintf(stderr, "comet-cli: the server said no (HTTP %ld): %.500s\n", answer->status, answer->body);
	return EXIT_REFUSED;
}

static int read_answer(const struct http_answer *answer, json_t **data)
{
	json_t *said = json_loadb(answer->body, answer->body_bytes, 0, NULL);
	json_t *code = json_object_get(said, "code");
	int rc = EXIT_OK;

	if (answer->status != 200 || !json_is_integer(code) || json_integer_value(code) != 0)
		rc = refused(answer, said);
	else if (data != NULL)
		*data = json_incref(json_object_get(said, "data"));
	json_decref(said);
	return rc;
}

static int unanswered(const struct api_options *opt, int rc, const char *words)
{
	fprintf(stderr, "comet-cli: no answer by the HTTP API at %s: %s%s\n", opt->http, words,
		rc == -ENOTCONN ? "; is comet running? --http names another address" : "");
	if (rc == -ETIMEDOUT)
		return EXIT_TIMEOUT;
	return rc == -ENOMEM ? EXIT_REFUSED : EXIT_UNREACHABLE;
}

int api_call(const struct api_options *opt, char *path, const void *body, size_t body_bytes, json_t **data)
{
	struct http_client_options http = {opt->http, opt->api_key,
					   (long)((opt->timeout_ns + CLOCK_MS - 1) / CLOCK_MS)};
	struct http_client *client;
	struct http_answer answer;
	int rc, code;

	if (data != NULL)
		*data = NULL;
	if (path == NULL || http_client_new(&http, &client) < 0) {
		fprintf(stderr, "comet-cli: out of memory\n");
		free(path);
		return EXIT_REFUSED;
	}
	rc = http_client_call(client, path, body, body_bytes, &answer);
	code = rc < 0 ? unanswered(opt, rc, answer.words) : read_answer(&answer, data);
	http_client_free(&client);
	free(path);
	return code;
}
