/* api_call: one call of the HTTP API by a command: the options that all such commands share, the call, and what the
 * server said about it. SPDX-License-Identifier: MIT */
#ifndef CLI_API_CALL_H
#define CLI_API_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/command.h"
#include "cli/http_client.h"

#define API_KEY_BYTES 513

struct api_options {
	const char *http;                 /* host:port or URL; NULL until they are read */
	const char *api_key;              /* or NULL */
	const char *ca_file;              /* or NULL */
	const char *cert_file, *key_file; /* or NULL */
	bool insecure;
	bool deletes;                 /* a call without a body is a DELETE */
	bool tell;                    /* ask what became of a push */
	bool json;                    /* --json, of api_json_option */
	int64_t timeout_ns;           /* 0 until then: the usual one */
	char key_text[API_KEY_BYTES]; /* of a file */
};

/* Their rows, to which those of context_options belong; --json, where the command prints an answer's data; and the words for the exit codes
 * of a command that does one call. */
extern const struct cli_option api_options_table[], api_json_option[];
#define API_EXITS                                                                                                      \
	"Exit code: 0 done; 1 the server said no, and stderr has its words; 2 wrong command line; 3 nobody answers "   \
	"at that address; 4 no answer in time."

/* Take one of them into a struct api_options. False for an option that is none of them, or whose value is wrong, which was said. */
command_take api_take_option;
/* command_read, whose `take` hands on to api_take_option what is not its own; and what the command line leaves open comes from the context,
 * the environment or the defaults. Before, opt is all 0 but for `tell`. -1 to go on, otherwise the exit code. */
int api_options_read(struct api_options *opt, const struct cli_command *c, int argc, char **argv, command_take *take,
		     void *arg);

/* The same for http_client. */
struct http_client_options api_http(const struct api_options *opt);

/* Call (GET, or DELETE, if body is NULL, POST otherwise) and read the answer. Returns an exit code; where it is not 0, a line on
 * stderr says what happened. *data is the "data" of the answer, the caller's to json_decref, or NULL. path is
 * freed; a NULL path is memory that ran out. */
int api_call(const struct api_options *opt, char *path, const void *body, size_t body_bytes, json_t **data);

/* For a command that calls by an http_client of its own: say on stderr that the server said no, or that http_client_call returned this
 * error with these words. Returns the exit code. */
int api_refused(const struct http_answer *answer);
int api_unanswered(const struct api_options *opt, int rc, const char *words);
/* Say that an answer of code 0 is none of the API's. Returns the exit code. */
int api_unpromised(void);

/* Print data for people; false where they do not have the API's form. */
typedef bool api_print(const json_t *data);
/* GET, and print the answer's data: by `print`, or with --json as they are. path as above. Returns an exit code. */
int api_show(const struct api_options *opt, char *path, api_print *print);

/* One such: an object's names and whole numbers, a line each. */
bool api_print_numbers(const json_t *data);

/* A member of an answer's object: "" or 0 where it is not there, or of another kind. */
const char *api_string(const json_t *object, const char *name);
long long api_number(const json_t *object, const char *name);

/* Print an answer's data as one line of JSON, {} where there are none. EXIT_OK, or EXIT_REFUSED: stdout takes it not, which was said. */
int api_print_json(const json_t *data);
/* stdout has taken all: EXIT_OK. Otherwise EXIT_REFUSED, which was said. */
int api_printed(void);

#endif
