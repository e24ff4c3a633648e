/* api_call: see api_call.h. Main thread only. SPDX-License-Identifier: MIT */
#include "cli/api_call.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/context.h"
#include "cli/printer.h"
#include "client/client_tls.h"
#include "common/base/clock.h"
#include "common/base/err.h"

#define TIMEOUT_NS    (10 * CLOCK_SEC)
#define REFUSAL_BYTES 500 /* as much as is said of it */

enum {
	API_OPT_HTTP = 512,
	API_OPT_KEY,
	API_OPT_CACERT,
	API_OPT_INSECURE,
	API_OPT_CERT,
	API_OPT_CERT_KEY,
	API_OPT_TIMEOUT,
	API_OPT_JSON
};

/* ---- options ---- */

const struct cli_option api_options_table[] = {
	{"http", 0, API_OPT_HTTP, "ADDRESS", NULL,
	 "the HTTP API: host:port, or a URL with http:// or https:// (COMET_HTTP, or else 127.0.0.1:3111)"},
	{"api-key", 0, API_OPT_KEY, "KEY", NULL,
	 "its key; better in the environment, as COMET_API_KEY, where other users cannot see it"},
	{"cacert", 0, API_OPT_CACERT, "FILE", COMMAND_FILES,
	 "with https: certificates to trust, PEM; without it those of the system"},
	{"insecure", 0, API_OPT_INSECURE, NULL, NULL, "with https: any certificate will do"},
	{"cert", 0, API_OPT_CERT, "FILE", COMMAND_FILES,
	 "with https: our own certificate, PEM, in place of an API key"},
	{"cert-key", 0, API_OPT_CERT_KEY, "FILE", COMMAND_FILES,
	 "its key, PEM; without it the file of --cert has that"},
	{"timeout", 0, API_OPT_TIMEOUT, "TIME", NULL, "give up after this time: 10, 500ms, 5m (10s)"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

const struct cli_option api_json_option[] = {
	{"json", 0, API_OPT_JSON, NULL, NULL, "print the answer's data as the server sent them"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

bool api_take_option(void *arg, int option)
{
	static char *api_key;
	struct api_options *opt = arg;

	switch (option) {
	case API_OPT_HTTP:
		opt->http = optarg;
		return true;
	case API_OPT_KEY:
		opt->api_key = argument_secret(optarg, &api_key);
		return true;
	case API_OPT_CACERT:
		opt->ca_file = optarg;
		return true;
	case API_OPT_INSECURE:
		opt->insecure = true;
		return true;
	case API_OPT_CERT:
		opt->cert_file = optarg;
		return true;
	case API_OPT_CERT_KEY:
		opt->key_file = optarg;
		return true;
	case API_OPT_TIMEOUT:
		return argument_time("--timeout", optarg, &opt->timeout_ns);
	case API_OPT_JSON:
		opt->json = true;
		return true;
	case CONTEXT_OPT:
		context_choose(optarg);
		return true;
	default:
		return false;
	}
}

/* False: a file of the context is wrong, which was said. */
static bool settle(struct api_options *opt)
{
	const bool is_its_server = opt->http == NULL && context_rules("COMET_HTTP");

	if (!context_read())
		return false;
	if (opt->timeout_ns == 0)
		opt->timeout_ns = TIMEOUT_NS;
	if (opt->http == NULL && (opt->http = context_get(CONTEXT_HTTP, "COMET_HTTP")) == NULL)
		opt->http = "127.0.0.1:3111";
	if (!http_client_takes(opt->http)) {
		fprintf(stderr,
			"comet-cli: \"%s\", of --http, COMET_HTTP or the context, is neither host:port nor a URL with "
			"http:// or "
			"https://\n",
			opt->http);
		return false;
	}
	if (opt->ca_file == NULL)
		opt->ca_file = context_get(CONTEXT_CACERT, NULL);
	if (opt->cert_file == NULL && opt->key_file != NULL) {
		fprintf(stderr, "comet-cli: --cert-key goes with --cert\n");
		return false;
	}
	if (opt->cert_file == NULL && is_its_server) {
		opt->cert_file = context_get(CONTEXT_CERT, NULL);
		opt->key_file = context_get(CONTEXT_CERT_KEY, NULL);
	}
	if (opt->api_key == NULL && is_its_server)
		opt->api_key = context_get(CONTEXT_API_KEY, "COMET_API_KEY");
	if (opt->api_key == NULL && is_its_server && context_get(CONTEXT_API_KEY_FILE, NULL) != NULL) {
		opt->api_key = opt->key_text;
		return context_read_line(CONTEXT_API_KEY_FILE, opt->key_text, sizeof(opt->key_text));
	}
	/* The second is the variable that comet itself takes its key from: one environment serves both. */
	if (opt->api_key == NULL && (opt->api_key = getenv("COMET_API_KEY")) == NULL)
		opt->api_key = getenv("COMET_HTTP_API_KEY");
	return true;
}

/* A file that cannot be used is seen before anybody is called. False: it was said. */
static bool check_certificates(const struct api_options *opt)
{
	char why[CLIENT_WORDS_BYTES];
	const struct client_options look = {
		.ca_file = opt->ca_file,
		.insecure = opt->insecure,
		.cert_file = opt->cert_file,
		.key_file = opt->key_file,
		.why = why,
	};

	if (strncasecmp(opt->http, "https://", strlen("https://")) != 0 || client_tls_check(&look) != -ERR_TLS)
		return true;
	fprintf(stderr, "comet-cli: %s\n", why);
	return false;
}

int api_options_read(struct api_options *opt, const struct cli_command *c, int argc, char **argv, command_take *take,
		     void *arg)
{
	int code = command_read(c, argc, argv, take, arg);

	return code < 0 && !(settle(opt) && check_certificates(opt)) ? EXIT_USAGE : code;
}

struct http_client_options api_http(const struct api_options *opt)
{
	return (struct http_client_options){
		.base = opt->http,
		.api_key = opt->api_key,
		.ca_file = opt->ca_file,
		.insecure = opt->insecure,
		.cert_file = opt->cert_file,
		.key_file = opt->key_file,
		.deletes = opt->deletes,
		.tell = opt->tell,
		.timeout_ms = (long)((opt->timeout_ns + CLOCK_MS - 1) / CLOCK_MS),
	};
}

/* ---- the call ---- */

/* The words of an answer in JSON, or all of an answer that is none. */
static int refused(const struct http_answer *answer, const json_t *said)
{
	const char *message = api_string(said, "message");
	const char *words = message[0] != '\0' ? message : answer->body;

	fprintf(stderr, "comet-cli: the server said no (HTTP %ld): ", answer->status);
	printer_escaped(stderr, words, strnlen(words, REFUSAL_BYTES));
	fputc('\n', stderr);
	return EXIT_REFUSED;
}

static int read_answer(const struct http_answer *answer, json_t **data)
{
	json_t *said = json_loadb(answer->body, answer->body_bytes, 0, NULL);
	json_t *code = json_object_get(said, "code");
	int rc = EXIT_OK;

	if (answer->status != 200 || !json_is_integer(code) || json_integer_value(code) != 0)
		rc = refused(answer, said);
	else
		*data = json_incref(json_object_get(said, "data"));
	json_decref(said);
	return rc;
}

int api_refused(const struct http_answer *answer)
{
	json_t *said = json_loadb(answer->body, answer->body_bytes, 0, NULL);
	int code = refused(answer, said);

	json_decref(said);
	return code;
}

int api_unanswered(const struct api_options *opt, int rc, const char *words)
{
	fprintf(stderr, "comet-cli: no answer by the HTTP API at %s: %s\n", opt->http, words);
	if (rc == -ETIMEDOUT)
		return EXIT_TIMEOUT;
	return rc == -ENOMEM ? EXIT_REFUSED : EXIT_UNREACHABLE;
}

int api_unpromised(void)
{
	fprintf(stderr, "comet-cli: the server's answer is not what the API promises\n");
	return EXIT_REFUSED;
}

int api_call(const struct api_options *opt, char *path, const void *body, size_t body_bytes, json_t **data)
{
	const struct http_client_options http = api_http(opt);
	struct http_client *client;
	struct http_answer answer;
	int rc, code;

	*data = NULL;
	if (path == NULL || http_client_new(&http, &client) < 0) {
		fprintf(stderr, "comet-cli: out of memory\n");
		free(path);
		return EXIT_REFUSED;
	}
	rc = http_client_call(client, path, body, body_bytes, &answer);
	code = rc < 0 ? api_unanswered(opt, rc, answer.words) : read_answer(&answer, data);
	http_client_free(&client);
	free(path);
	return code;
}

/* ---- output ---- */

int api_printed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_OK;
	fprintf(stderr, "comet-cli: cannot write the answer: %s\n", err_text(-errno));
	return EXIT_REFUSED;
}

int api_print_json(const json_t *data)
{
	if (data == NULL)
		(void)puts("{}");
	else if (printer_value(stdout, data, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
		(void)puts("");
	return api_printed();
}

int api_show(const struct api_options *opt, char *path, api_print *print)
{
	json_t *data;
	int code = api_call(opt, path, NULL, 0, &data);

	if (code != EXIT_OK)
		return code;
	if (opt->json ? data != NULL : print(data))
		code = opt->json ? api_print_json(data) : api_printed();
	else
		code = api_unpromised();
	json_decref(data);
	return code;
}

/* ---- data ---- */

bool api_print_numbers(const json_t *data)
{
	const char *name;
	json_t *count;

	if (!json_is_object(data))
		return false;
	/* The macro wants a pointer that it may hand to jansson's iterator; it changes nothing. */
	json_object_foreach((json_t *)data, name, count)
	{
		if (!json_is_integer(count))
			return false;
		printer_word(stdout, name);
		printf(" %lld\n", (long long)json_integer_value(count));
	}
	return true;
}

const char *api_string(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

long long api_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}
