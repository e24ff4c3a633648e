/* command: a command of comet-cli as tables: its forms, options and choices, of which its help, the reading of its options and the
 * completion in shells are made. Main thread only. SPDX-License-Identifier: MIT */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The exit codes, as every --help says them. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_REFUSED = 1,     /* the server said no, or closed and we do not try again */
	EXIT_USAGE = 2,       /* the command line is wrong */
	EXIT_UNREACHABLE = 3, /* nobody answers at that address */
	EXIT_TIMEOUT = 4,     /* the time given is over */
};

/* A list of them ends with a NULL name. */
struct cli_option {
	const char *name;    /* without its dashes */
	char letter;         /* or 0 */
	int id;              /* above 255 where there is no letter */
	const char *takes;   /* the word for its value; NULL: it has none */
	const char *choices; /* all values that it takes, with blanks; COMMAND_FILES, COMMAND_CONTEXTS; NULL: any */
	const char *help;
};

#define COMMAND_FILES    "\1files"
#define COMMAND_CONTEXTS "\1contexts"

/* A way to write the command; a list ends with NULL words. */
struct cli_form {
	const char *words; /* behind "comet-cli NAME" */
	const char *meaning;
};

#define COMMAND_OPTION_LISTS 4

struct cli_command {
	const char *name;
	const char *summary;
	const struct cli_form *forms;
	const char *targets; /* what the first word may be, with blanks; NULL: anything */
	const struct cli_option *options[COMMAND_OPTION_LISTS]; /* lists, up to the first NULL */
	const char *notes;                                      /* paragraphs, with a line feed between two */
	const char *exits;                                      /* what the exit codes mean */
	const char *examples;                                   /* lines as they are */
	int (*run)(int argc,
		   char **argv); /* gets the arguments from its own name on, and returns the program's exit code */
};

/* Print the help, which fits into 80 columns. */
void command_help(const struct cli_command *c, FILE *out);
/* A text of paragraphs, with blanks before each line and broken where a line would be wider than 79 columns. `column`: where the first one
 * begins, since something stands there already. */
void command_print(FILE *out, const char *text, unsigned indent, unsigned column);

/* Takes one option, its value in optarg; false: the value is wrong, which it has said. */
typedef bool command_take(void *arg, int id);

/* Hand all options to `take`. -1 to go on: the words that are left begin at argv[optind]. Otherwise the exit code: it was --help, or one
 * is none of this command's, lacks its value, or was not taken; stderr has it, with what was meant perhaps. */
int command_read(const struct cli_command *c, int argc, char **argv, command_take *take, void *arg);

/* The next of words with blanks between, cut off where it does not fit; *rest moves behind it. False: there is none. */
bool command_next_word(const char **rest, char *word, size_t bytes);
/* The one of these words (with blanks between) that was perhaps meant, or NULL; good until the next call. */
const char *command_meant(const char *word, const char *among);
/* Add one to such words: it and a blank, as far as `bytes` of `among` have space. */
void command_add_word(char *among, size_t bytes, const char *word);

#endif
