/* context: see context.h. SPDX-License-Identifier: MIT */
#include "cli/context.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/small_file.h"
#include "common/config/inih.h"

#define VALUE_BYTES 1024
#define LINE_BYTES  (VALUE_BYTES + 96) /* with a name and its spaces */

static const char *const names[CONTEXT_KEYS] = {
#define key(NAME, name) [CONTEXT_##NAME] = (name),
#include "cli/context.def"
#undef key
};

const struct cli_option context_options[] = {
	{"context", 0, CONTEXT_OPT, "NAME", COMMAND_CONTEXTS,
	 "a section of ~/.config/comet/cli.ini, with http, api_key, api_key_file, cacert, cert, cert_key, host and "
	 "token_file; "
	 "without it that of COMET_CONTEXT, or [default]"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

/* The main thread's. */
static struct {
	const char *chosen; /* on the command line; or NULL */
	const char *wanted;
	char values[CONTEXT_KEYS][VALUE_BYTES];
	bool has[CONTEXT_KEYS], is_there, is_wrong;
	char path[4096], last[64]; /* last: section that was listed */
	FILE *list;
} context;

static const char *path_of_file(void)
{
	const char *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (folder != NULL && folder[0] == '/')
		(void)snprintf(context.path, sizeof(context.path), "%s/comet/cli.ini", folder);
	else
		(void)snprintf(context.path, sizeof(context.path), "%s/.config/comet/cli.ini",
			       home != NULL ? home : "");
	return context.path;
}

void context_choose(const char *name)
{
	context.chosen = name;
}

static int say_unknown(const char *name)
{
	char all[256] = "";
	const char *meant;

	for (unsigned i = 0; i < CONTEXT_KEYS; i++) {
		command_add_word(all, sizeof(all), names[i]);
	}
	meant = command_meant(name, all);
	fprintf(stderr, "comet-cli: %s: [%s] has no key \"%s\"%s%s%s\n", context.path, context.wanted, name,
		meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "", meant != NULL ? "?" : "");
	context.is_wrong = true;
	return 0;
}

/* inih's callback: 0 is a fault, by the number of its line. */
static int take(void *arg, const char *section, const char *name, const char *value)
{
	(void)arg;
	if (context.list != NULL && strcmp(section, context.last) != 0)
		fprintf(context.list, "%s\n", section);
	(void)snprintf(context.last, sizeof(context.last), "%s", section);
	if (context.list != NULL || strcmp(section, context.wanted) != 0)
		return 1;
	context.is_there = true;
	for (unsigned i = 0; i < CONTEXT_KEYS; i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		if (strlen(value) >= VALUE_BYTES)
			return 0;
		(void)snprintf(context.values[i], VALUE_BYTES, "%s", value);
		context.has[i] = true;
		return 1;
	}
	return say_unknown(name);
}

/* As ini_parse_file. */
static int take_all(FILE *file)
{
	inih_set_up(LINE_BYTES);
	return ini_parse_file(file, take, NULL);
}

/* False: it is wrong, which was said. */
static bool parse(FILE *file)
{
	int line = take_all(file);

	if (context.is_wrong)
		return false;
	if (line != 0) {
		fprintf(stderr, "comet-cli: %s: line %d is neither a section nor key = value\n", context.path, line);
		return false;
	}
	if (context.has[CONTEXT_API_KEY] && small_file_is_open(fileno(file)))
		fprintf(stderr, "comet-cli: %s has an API key, and everybody on this machine may read it: chmod 600\n",
			context.path);
	return true;
}

bool context_read(void)
{
	const char *variable = getenv("COMET_CONTEXT");
	bool is_good = true;
	FILE *file;

	context.wanted = context.chosen != NULL ? context.chosen : variable != NULL ? variable : "default";
	if ((file = fopen(path_of_file(), "re")) != NULL) {
		is_good = parse(file);
		(void)fclose(file);
	} else if (errno != ENOENT && errno != ENOTDIR) {
		fprintf(stderr, "comet-cli: %s: %s\n", context.path, err_text(-errno));
		return false;
	}
	if (!is_good || context.is_there || (context.chosen == NULL && variable == NULL))
		return is_good;
	fprintf(stderr, "comet-cli: no context \"%s\": %s has no such section\n", context.wanted, context.path);
	return false;
}

bool context_rules(const char *variable)
{
	return context.chosen != NULL || getenv(variable) == NULL;
}

const char *context_get(enum context_key key, const char *variable)
{
	const char *value = variable != NULL ? getenv(variable) : NULL;

	if (context.has[key] && (context.chosen != NULL || value == NULL))
		return context.values[key];
	return value;
}

bool context_read_line(enum context_key key, char *line, size_t bytes)
{
	size_t n;
	int rc = small_file_read(context.values[key], line, bytes - 1, &n, NULL);

	if (rc < 0) {
		fprintf(stderr, "comet-cli: %s %s: %s\n", names[key], context.values[key], err_text(rc));
		return false;
	}
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	return true;
}

void context_list(FILE *out)
{
	FILE *file = fopen(path_of_file(), "re");

	if (file == NULL)
		return;
	context.list = out;
	(void)take_all(file);
	context.list = NULL;
	(void)fclose(file);
}
