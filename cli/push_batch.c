/* push_batch: see push_batch.h. Lines are read into one buffer, of which the whole ones are a chunk: one call. SPDX-License-Identifier: MIT */
#include "cli/push_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/printer.h"
#include "common/base/err.h"

#define CHUNK_BYTES  (256u << 10) /* a quarter of what http.max_body is as it comes, and over that only one line */
#define CHUNK_LINES  1000         /* a tenth of what the server takes, since the call has a deadline */
#define LONGEST_LINE (64u << 20)

struct batch {
	const struct api_options *opt;
	struct http_client *client;
	int fd;
	bool ended;
	char *text; /* read, and not sent yet */
	size_t bytes, cap;
	size_t n, pushed, refused; /* lines so far */
};

struct chunk {
	char *text;
	size_t bytes, lines;
};

/* ---- lines ---- */

/* More space, where a line is as long as all of it. */
static int widen(struct batch *b)
{
	char *more;

	if (b->cap >= LONGEST_LINE)
		return -EMSGSIZE;
	if ((more = realloc(b->text, 2 * b->cap)) == NULL)
		return -ENOMEM;
	b->text = more;
	b->cap *= 2;
	return 0;
}

/* Take in what is there, and wait only for the first of it. 0 or -errno. */
static int read_more(struct batch *b)
{
	struct pollfd fd = {b->fd, POLLIN, 0};
	bool has_line = false;

	do {
		ssize_t n = read(b->fd, b->text + b->bytes, b->cap - b->bytes);

		if (n < 0 && errno != EINTR)
			return -errno;
		b->ended = n == 0;
		if (n > 0) {
			has_line = has_line || memchr(b->text + b->bytes, '\n', (size_t)n) != NULL;
			b->bytes += (size_t)n;
		}
	} while (!b->ended && b->bytes < b->cap && (!has_line || poll(&fd, 1, 0) > 0));
	return 0;
}

/* The first whole lines, the last one also without its end; of no bytes where none is whole. */
static struct chunk first_lines(const struct batch *b, char *text, size_t bytes, size_t lines)
{
	struct chunk c = {.text = text};

	while (c.lines < lines && c.bytes < bytes) {
		const char *end = memchr(text + c.bytes, '\n', bytes - c.bytes);

		if (end == NULL && !b->ended)
			break;
		c.bytes = end != NULL ? (size_t)(end + 1 - text) : bytes;
		c.lines++;
	}
	return c;
}

/* ---- answers ---- */

static void take_answer(struct batch *b, const char *line, size_t bytes)
{
	json_t *said = json_loadb(line, bytes, 0, NULL);
	const char *message = api_string(said, "message");

	b->n++;
	if (b->opt->json)
		(void)puts(printer_value(stdout, said, JSON_COMPACT) == 0 ? "" : "{}");
	if (json_is_integer(json_object_get(said, "code")) && api_number(said, "code") == 0) {
		b->pushed++;
	} else {
		b->refused++;
		fprintf(stderr, "comet-cli: line %zu: the server said no: ", b->n);
		printer_word(stderr, message[0] != '\0' ? message : "without words");
		fputc('\n', stderr);
	}
	json_decref(said);
}

/* False: there is not one for each line. */
static bool take_answers(struct batch *b, const struct chunk *c, const struct http_answer *answer)
{
	const char *at = answer->body, *end = answer->body + answer->body_bytes, *newline;
	size_t left = c->lines;

	for (; left > 0 && (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; left--) {
		take_answer(b, at, (size_t)(newline - at));
		at = newline + 1;
	}
	return left == 0 && at == end;
}

/* ---- calls ---- */

/* The call failed as a whole. */
static void say_stopped(const struct batch *b, const struct chunk *c, bool is_known)
{
	if (is_known)
		fprintf(stderr, "comet-cli: stopped before line %zu\n", b->n + 1);
	else
		fprintf(stderr, "comet-cli: stopped: it is not known what became of lines %zu to %zu\n", b->n + 1,
			b->n + c->lines);
}

static int send_chunk(struct batch *b, const struct chunk *c);

/* It is too long as a whole: each half, or of one line that it was refused. */
static int send_halves(struct batch *b, const struct chunk *c, const struct http_answer *answer)
{
	struct chunk first = first_lines(b, c->text, c->bytes, c->lines / 2), second;
	int code;

	if (c->lines == 1) {
		take_answer(b, answer->body, answer->body_bytes);
		return EXIT_OK;
	}
	second = (struct chunk){c->text + first.bytes, c->bytes - first.bytes, c->lines - first.lines};
	code = send_chunk(b, &first);
	return code == EXIT_OK ? send_chunk(b, &second) : code;
}

/* One call. EXIT_OK where each line has its answer. */
static int send_chunk(struct batch *b, const struct chunk *c)
{
	struct http_answer answer;
	int rc = http_client_call(b->client, "/goim/batch", c->text, c->bytes, &answer);

	if (rc < 0) {
		say_stopped(b, c, rc == -ENOTCONN || rc == -ENOMEM);
		return api_unanswered(b->opt, rc, answer.words);
	}
	if (answer.status == 413)
		return send_halves(b, c, &answer);
	if (answer.status != 200) {
		say_stopped(b, c, answer.status < 500 || answer.status == 503);
		return api_refused(&answer);
	}
	if (take_answers(b, c, &answer))
		return EXIT_OK;
	return api_unpromised();
}

/* All that is whole in the buffer. */
static int send_lines(struct batch *b)
{
	char *at = b->text;
	int code = EXIT_OK;

	while (code == EXIT_OK) {
		struct chunk c = first_lines(b, at, (size_t)(b->text + b->bytes - at), CHUNK_LINES);

		if (c.lines == 0)
			break;
		code = send_chunk(b, &c);
		at += c.bytes;
	}
	b->bytes -= (size_t)(at - b->text);
	memmove(b->text, at, b->bytes);
	return code;
}

static int push_lines(struct batch *b)
{
	int code = EXIT_OK, rc = 0;

	while (code == EXIT_OK && !b->ended && rc == 0) {
		if (b->bytes == b->cap)
			rc = widen(b);
		if (rc == 0)
			rc = read_more(b);
		if (rc == 0)
			code = send_lines(b);
		if (code == EXIT_OK)
			code = api_printed();
	}
	if (rc < 0) {
		fprintf(stderr, "comet-cli: cannot read line %zu: %s\n", b->n + 1, err_text(rc));
		code = EXIT_REFUSED;
	}
	return code;
}

/* ---- from outside ---- */

static int open_all(struct batch *b, const char *file)
{
	const struct http_client_options http = api_http(b->opt);

	b->fd = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	if (b->fd < 0)
		return -errno;
	if ((b->text = malloc(b->cap = CHUNK_BYTES)) == NULL)
		return -ENOMEM;
	return http_client_new(&http, &b->client);
}

int push_batch(const struct api_options *opt, const char *file)
{
	struct batch b = {.opt = opt};
	int rc = open_all(&b, file), code = EXIT_REFUSED;

	if (rc == 0)
		code = push_lines(&b);
	else
		fprintf(stderr, "comet-cli: %s: %s\n", file, err_text(rc));
	if (rc == 0 && !opt->json)
		printf("%zu pushed, %zu refused\n", b.pushed, b.refused);
	if (code == EXIT_OK && (code = api_printed()) == EXIT_OK && b.refused > 0)
		code = EXIT_REFUSED;
	http_client_free(&b.client);
	free(b.text);
	if (b.fd > STDIN_FILENO)
		close(b.fd);
	return code;
}
