/* Holds the tables of docs/ and of the client libraries to the .def files that they come from. `make docs` runs it with
 * --write, which rewrites them. A table stands between two comments of the language that it is written in. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config/config.h"
#include "tests/unit/protocol_lists.h"

/* What stands before and after a table; the source's name is between `open` and `begin`. */
static const struct marks {
	const char *open;
	const char *begin;
	const char *end;
} MARKDOWN = {"<!-- table: from ", " by `make docs` -->\n\n", "\n<!-- end of table -->\n"},
  MANUAL = {".\\\" table: from ", " by `make docs`\n", ".\\\" end of table\n"},
  C_LIKE = {"/* table: from ", " by `make docs` */\n", "/* end of table */\n"},
  PYTHON = {"# table: from ", " by `make docs`\n", "# end of table\n"};

static void print_metric(FILE *out, const char *name, const char *type, const char *label, const char *help)
{
	(void)fprintf(out, "| `%s` | %s | %s | %s |\n", name, type, label, help);
}

static void print_metrics(FILE *out)
{
	(void)fputs("| name | type | label | what it counts |\n|---|---|---|---|\n", out);
#define histogram(NAME, name, unit, help, ...) print_metric(out, name, "histogram", "`le`", help);
#define counter(NAME, name, help)              print_metric(out, name, "counter", "", help);
#define gauge(NAME, name, help)                print_metric(out, name, "gauge", "", help);
#define counter_by(NAME, name, label, help)    print_metric(out, name, "counter", "`" label "`", help);
#include "common/base/counters.def"
#undef counter
#undef gauge
#undef counter_by
#undef histogram
}

static void print_events(FILE *out)
{
	(void)fputs("| event | level | sentence | when, and what to do |\n|---|---|---|---|\n", out);
#define event(NAME, name, levels, sentence, meaning)                                                                   \
	(void)fprintf(out, "| `%s` | %s | %s | %s |\n", name, levels, sentence, meaning);
#include "common/base/events.def"
#undef event
}

#define SETTINGS "common/config/config.def"
#define COUNTERS "common/base/counters.def"
#define EVENTS   "common/base/events.def"
#define OPS      "common/wire/ops.def"
#define GOODBYES "common/wire/goodbye.def"

static const struct doc {
	const char *test; /* its name */
	const char *path;
	const char *source;
	void (*print)(FILE *out);
	const struct marks *marks;
} DOCS[] = {
	{"settings_are_as_documented", "docs/configuration.md", SETTINGS, config_print_markdown, &MARKDOWN},
	{"the_manual_has_all_settings", "docs/man/comet.conf.5", SETTINGS, config_print_man, &MANUAL},
	{"metrics_are_as_documented", "docs/metrics.md", COUNTERS, print_metrics, &MARKDOWN},
	{"events_are_as_documented", "docs/logs.md", EVENTS, print_events, &MARKDOWN},
	{"operations_are_as_documented", "docs/protocol.md", OPS, print_ops_markdown, &MARKDOWN},
	{"goodbyes_are_as_documented", "docs/protocol.md", GOODBYES, print_goodbyes_markdown, &MARKDOWN},
	{"comet_js_has_all_operations", "examples/web/comet.js", OPS, print_ops_js, &C_LIKE},
	{"comet_js_has_all_goodbyes", "examples/web/comet.js", GOODBYES, print_goodbyes_js, &C_LIKE},
	{"comet_d_ts_has_all_operations", "examples/web/comet.d.ts", OPS, print_ops_ts, &C_LIKE},
	{"comet_d_ts_has_all_goodbyes", "examples/web/comet.d.ts", GOODBYES, print_goodbyes_ts, &C_LIKE},
	{"comet_client_py_has_all_operations", "examples/python/comet_client.py", OPS, print_ops_python, &PYTHON},
	{"comet_client_py_has_all_goodbyes", "examples/python/comet_client.py", GOODBYES, print_goodbyes_python,
	 &PYTHON},
	{"comet_client_h_has_all_goodbyes", "client/comet_client.h", GOODBYES, print_goodbyes_c, &C_LIKE},
	{"client_py_has_all_operations", "tests/e2e/client.py", OPS, print_all_ops_python, &PYTHON},
};
#define N_DOCS (sizeof(DOCS) / sizeof(DOCS[0]))

static char *read_all(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t bytes = 0;

	if (!file)
		return NULL;
	/* No file has a zero byte in it, so that this takes it whole. */
	if (getdelim(&text, &bytes, '\0', file) < 0) {
		free(text);
		text = NULL;
	}
	(void)fclose(file);
	return text;
}

static char *table_of(const struct doc *d)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	d->print(out);
	(void)fclose(out);
	return text;
}

/* Where the table of a document begins and ends; false when the marks are not there. */
static bool find_table(const struct doc *d, const char *text, const char **begin, const char **end)
{
	char mark[128];

	(void)snprintf(mark, sizeof(mark), "%s%s%s", d->marks->open, d->source, d->marks->begin);
	*begin = strstr(text, mark);
	if (!*begin)
		return false;
	*begin += strlen(mark);
	*end = strstr(*begin, d->marks->end);
	return *end != NULL;
}

static void line_at(const char *text, const char *at, char line[256])
{
	const char *start = at;

	while (start > text && start[-1] != '\n')
		start--;
	(void)snprintf(line, 256, "%.*s", (int)strcspn(start, "\n"), start);
}

/* Fail with the first line that differs. */
static void compare(const struct doc *d, const char *want, const char *got, size_t got_bytes)
{
	size_t same = 0;
	char want_line[256];
	char got_line[256];

	while (same < got_bytes && want[same] == got[same])
		same++;
	if (same == got_bytes && want[same] == '\0')
		return;
	line_at(want, want + same, want_line);
	line_at(got, got + same, got_line);
	fail_msg("%s is not what %s says; `make docs` mends it\n  there: %s\n  here:  %s", d->path, d->source,
		 got_line[0] ? got_line : "(end of table)", want_line[0] ? want_line : "(end of table)");
}

static void check_doc(void **state)
{
	const struct doc *d = *state;
	char *text = read_all(d->path);
	char *want = table_of(d);
	const char *begin = NULL;
	const char *end = NULL;

	assert_non_null(text);
	assert_non_null(want);
	if (!find_table(d, text, &begin, &end))
		fail_msg("%s has no table from %s", d->path, d->source);
	compare(d, want, begin, (size_t)(end - begin));
	free(text);
	free(want);
}

static int write_doc(const struct doc *d)
{
	char *text = read_all(d->path);
	char *table = table_of(d);
	const char *begin;
	const char *end;
	FILE *file = NULL;
	int rc = -1;

	if (text && table && find_table(d, text, &begin, &end))
		file = fopen(d->path, "we");
	if (file) {
		(void)fprintf(file, "%.*s%s%s", (int)(begin - text), text, table, end);
		rc = fclose(file);
	}
	if (rc != 0)
		(void)fprintf(stderr, "%s: not written\n", d->path);
	free(text);
	free(table);
	return rc;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[N_DOCS];
	int failed = 0;

	if (argc == 2 && strcmp(argv[1], "--write") == 0) {
		for (size_t i = 0; i < N_DOCS; i++)
			failed += write_doc(&DOCS[i]) != 0;
		return failed;
	}
	for (size_t i = 0; i < N_DOCS; i++)
		tests[i] = (struct CMUnitTest){DOCS[i].test, check_doc, NULL, NULL, (void *)(uintptr_t)&DOCS[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
