/* complete: see complete.h. SPDX-License-Identifier: MIT */
#include "cli/complete.h"

#include <string.h>

#include "cli/context.h"

/* An offer, if it goes on from what is there. */
static void offer(const char *begun, const char *word, const char *meaning)
{
	if (strncmp(word, begun, strlen(begun)) == 0)
		printf("%s\t%s\n", word, meaning);
}

static void offer_each(const char *begun, const char *words)
{
	char word[64];

	while (words != NULL && command_next_word(&words, word, sizeof(word)))
		offer(begun, word, "");
}

static void offer_options(const struct cli_command *c, const char *begun)
{
	char word[64];

	for (unsigned i = 0; c != NULL && i < COMMAND_OPTION_LISTS && c->options[i] != NULL; i++) {
		for (const struct cli_option *o = c->options[i]; o->name != NULL; o++) {
			(void)snprintf(word, sizeof(word), "--%s", o->name);
			offer(begun, word, o->help);
		}
	}
	offer(begun, "--help", "show how it is used");
}

static const struct cli_option *find_option(const struct cli_command *c, const char *word)
{
	for (unsigned i = 0; i < COMMAND_OPTION_LISTS && c->options[i] != NULL; i++) {
		for (const struct cli_option *o = c->options[i]; o->name != NULL; o++) {
			if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, o->name) == 0)
				return o;
			if (o->letter != '\0' && word[0] == '-' && word[1] == o->letter && word[2] == '\0')
				return o;
		}
	}
	return NULL;
}

static void offer_values(const struct cli_option *o, const char *begun)
{
	if (o->choices == NULL)
		return;
	if (strcmp(o->choices, COMMAND_FILES) == 0)
		puts(":files");
	else if (strcmp(o->choices, COMMAND_CONTEXTS) == 0)
		context_list(stdout);
	else
		offer_each(begun, o->choices);
}

void complete(const struct cli_command *const *commands, size_t n_commands, int n, char **words)
{
	const struct cli_command *c = NULL;
	const struct cli_option *value_of = NULL;
	const char *begun = words[n - 1];
	unsigned plain = 0; /* words that are neither options nor their values */

	for (size_t i = 0; i < n_commands && n > 1; i++)
		if (strcmp(words[0], commands[i]->name) == 0)
			c = commands[i];
	for (int i = 1; c != NULL && i < n - 1; i++) {
		const struct cli_option *o = value_of == NULL && words[i][0] == '-' ? find_option(c, words[i]) : NULL;

		if (value_of == NULL && words[i][0] != '-')
			plain++;
		value_of = o != NULL && o->takes != NULL ? o : NULL;
	}
	if (n == 1) {
		for (size_t i = 0; i < n_commands; i++)
			offer(begun, commands[i]->name, commands[i]->summary);
		offer(begun, "--help", "show the commands");
		offer(begun, "--version", "say which version this is");
	} else if (value_of != NULL) {
		offer_values(value_of, begun);
	} else if (begun[0] == '-') {
		offer_options(c, begun);
	} else if (c != NULL && plain == 0) {
		offer_each(begun, c->targets);
	}
}
