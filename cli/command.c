/* command: see command.h. SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include <getopt.h>
#include <string.h>

#include "common/base/obj.h"

#define WIDTH       79
#define OPTIONS_MAX 48
#define WORD_MAX    32 /* longest word that is compared */

/* ---- help ---- */

static unsigned pad(FILE *out, unsigned from, unsigned to)
{
	for (; from < to; from++)
		fputc(' ', out);
	return to;
}

void command_print(FILE *out, const char *text, unsigned indent, unsigned column)
{
	bool at_start = true;

	while (*text != '\0') {
		const size_t n = strcspn(text, " \n");

		if (!at_start && column + 1 + n > WIDTH) {
			fputc('\n', out);
			column = 0;
			at_start = true;
		}
		if (at_start)
			column = pad(out, column, indent);
		else
			column += (unsigned)fprintf(out, " ");
		column += (unsigned)fprintf(out, "%.*s", (int)n, text);
		at_start = false;
		text += n;
		if (*text == '\n') {
			fputc('\n', out);
			column = 0;
			at_start = true;
		}
		text += *text != '\0';
	}
	fputc('\n', out);
}

static unsigned option_width(const struct cli_option *o)
{
	return (unsigned)(strlen(o->name) + (o->letter != 0 ? 4 : 0) + (o->takes != NULL ? 1 + strlen(o->takes) : 0)) +
	       2;
}

static unsigned widest(const struct cli_command *c)
{
	unsigned most = 0;

	for (unsigned i = 0; i < COMMAND_OPTION_LISTS && c->options[i] != NULL; i++)
		for (const struct cli_option *o = c->options[i]; o->name != NULL; o++)
			if (option_width(o) > most)
				most = option_width(o);
	return most;
}

static void print_option(FILE *out, const struct cli_option *o, unsigned indent)
{
	unsigned column = (unsigned)fprintf(out, "  ");

	if (o->letter != 0)
		column += (unsigned)fprintf(out, "-%c, ", o->letter);
	column += (unsigned)fprintf(out, "--%s", o->name);
	if (o->takes != NULL)
		column += (unsigned)fprintf(out, " %s", o->takes);
	command_print(out, o->help, indent, column);
}

void command_help(const struct cli_command *c, FILE *out)
{
	const unsigned indent = widest(c) + 4;

	fprintf(out, "comet-cli %s: %s\n\n", c->name, c->summary);
	for (const struct cli_form *f = c->forms; f->words != NULL; f++) {
		fprintf(out, "  comet-cli %s %s\n", c->name, f->words);
		command_print(out, f->meaning, 6, 0);
	}
	for (unsigned i = 0; i < COMMAND_OPTION_LISTS && c->options[i] != NULL; i++) {
		fputc('\n', out);
		for (const struct cli_option *o = c->options[i]; o->name != NULL; o++)
			print_option(out, o, indent);
	}
	fputc('\n', out);
	if (c->notes != NULL) {
		command_print(out, c->notes, 0, 0);
		fputc('\n', out);
	}
	command_print(out, c->exits, 0, 0);
	fprintf(out, "\nExamples:\n%s", c->examples);
}

/* ---- what was meant ---- */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* So many letters are to be put in, taken out or changed, or have changed places with the next one. */
static unsigned distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
	unsigned rows[3][WORD_MAX + 1];

	for (size_t j = 0; j <= n_b; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n_a; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i + 2) % 3], *above_that = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n_b; j++) {
			row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]), least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], above_that[j - 2] + 1);
		}
	}
	return rows[n_a % 3][n_b];
}

void command_add_word(char *among, size_t bytes, const char *word)
{
	size_t n = strlen(among);

	(void)snprintf(among + n, bytes - n, "%s ", word);
}

bool command_next_word(const char **rest, char *word, size_t bytes)
{
	const char *start = *rest + strspn(*rest, " ");
	const size_t n = strcspn(start, " ");

	*rest = start + n;
	(void)snprintf(word, bytes, "%.*s", (int)n, start);
	return n > 0;
}

const char *command_meant(const char *word, const char *among)
{
	static char meant[WORD_MAX + 1];
	const size_t n_word = strlen(word);
	unsigned best = n_word > 5 ? 3 : n_word > 2 ? 2 : 1;
	char at[WORD_MAX + 2]; /* one more than it may have, if it is too long */

	meant[0] = '\0';
	while (n_word > 0 && n_word <= WORD_MAX && command_next_word(&among, at, sizeof(at))) {
		const size_t n = strlen(at);
		unsigned away = n <= WORD_MAX ? distance(word, n_word, at, n) : best + 1;

		if (n <= WORD_MAX && n > n_word && n_word > 1 && strncmp(at, word, n_word) == 0)
			away = 0; /* it is only begun */
		if (away < best || (away == best && meant[0] == '\0')) {
			best = away;
			memcpy(meant, at, n + 1);
		}
	}
	return meant[0] != '\0' ? meant : NULL;
}

/* ---- options ---- */

struct table {
	struct option longs[OPTIONS_MAX + 2];
	char shorts[2 * OPTIONS_MAX + 3];
	char names[OPTIONS_MAX * (WORD_MAX + 1) + 1]; /* with blanks between */
};

static void add_option(struct table *t, unsigned *n, const struct cli_option *o)
{
	char letter[] = {o->letter, o->takes != NULL ? ':' : '\0', '\0'};

	BUG_UNLESS(*n < OPTIONS_MAX && strlen(o->name) <= WORD_MAX);
	t->longs[(*n)++] = (struct option){o->name, o->takes != NULL ? required_argument : no_argument, NULL, o->id};
	if (o->letter != '\0')
		(void)snprintf(t->shorts + strlen(t->shorts), sizeof(t->shorts) - strlen(t->shorts), "%s", letter);
	command_add_word(t->names, sizeof(t->names), o->name);
}

static void make_table(struct table *t, const struct cli_command *c)
{
	static const struct cli_option help = {"help", 'h', 'h', NULL, NULL, NULL};
	unsigned n = 0;

	*t = (struct table){.shorts = ":"};
	add_option(t, &n, &help);
	for (unsigned i = 0; i < COMMAND_OPTION_LISTS && c->options[i] != NULL; i++)
		for (const struct cli_option *o = c->options[i]; o->name != NULL; o++)
			add_option(t, &n, o);
}

/* getopt has found the word before argv[optind] wrong. */
static void say_unknown(const struct cli_command *c, const struct table *t, const char *word)
{
	char name[WORD_MAX + 1];
	const char *meant = NULL;

	if (strncmp(word, "--", 2) == 0 && strcspn(word + 2, "=") <= WORD_MAX) {
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
		meant = command_meant(name, t->names);
	}
	if (meant != NULL && strcmp(meant, name) == 0)
		fprintf(stderr, "comet-cli %s: --%s takes no value\n", c->name, name);
	else if (meant != NULL)
		fprintf(stderr, "comet-cli %s: no option \"%s\"; did you mean --%s? comet-cli %s --help shows all\n",
			c->name, word, meant, c->name);
	else
		fprintf(stderr, "comet-cli %s: no option \"%s\"; comet-cli %s --help shows all\n", c->name, word,
			c->name);
}

/* -1, or the exit code of --help or a fault, which was said. */
static int read_option(const struct cli_command *c, const struct table *t, int option, char **argv)
{
	switch (option) {
	case 'h':
		command_help(c, stdout);
		return EXIT_OK;
	case ':':
		fprintf(stderr, "comet-cli %s: %s takes a value; comet-cli %s --help shows how\n", c->name,
			argv[optind - 1], c->name);
		return EXIT_USAGE;
	case '?':
		/* A letter may be one of several in a word that getopt has not left yet. */
		if (optopt > 0 && optopt < 256 && optopt != 'h')
			say_unknown(c, t, (const char[]){'-', (char)optopt, '\0'});
		else
			say_unknown(c, t, argv[optind - 1]);
		return EXIT_USAGE;
	default:
		return -1;
	}
}

int command_read(const struct cli_command *c, int argc, char **argv, command_take *take, void *arg)
{
	struct table table;
	int option, code = -1;

	make_table(&table, c);
	opterr = 0;
	while (code < 0 && (option = getopt_long(argc, argv, table.shorts, table.longs, NULL)) != -1) {
		code = read_option(c, &table, option, argv);
		if (code < 0 && !take(arg, option))
			code = EXIT_USAGE;
	}
	return code;
}
