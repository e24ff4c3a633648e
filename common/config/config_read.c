/* config_read: see config.h. Where settings come from: defaults, an INI file, the environment, flags. The check of a
 * single value is setting.c's business, that of all of them together config_check.c's. Runs while a program starts, on its
 * main thread. SPDX-License-Identifier: MIT */
#include "common/config/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/config/inih.h"
#include "common/config/retired.h"
#include "common/config/setting.h"

int config_init(struct config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	for (const struct setting *s = settings; s->name != NULL; s++) {
		int rc = setting_reset(s, cfg);

		if (rc < 0) {
			config_fini(cfg);
			return rc;
		}
	}
	return 0;
}

void config_fini(struct config *cfg)
{
	for (const struct setting *s = settings; s->name != NULL; s++)
		setting_drop(s, cfg);
}

/* Give `value` to a setting that was found; `where` opens the line of complaint. */
static int assign(struct config *cfg, const struct setting *s, const char *value, const char *where, FILE *errors)
{
	char why[SETTING_WHY_BYTES];
	int rc = setting_set(s, cfg, value, why);

	if (rc == -ERR_CONFIG)
		(void)fprintf(errors, "%s%s: %s\n", where, s->name, why);
	return rc;
}

/* Whether an older release had it; then a warning is written. */
static bool is_retired(const char *section, const char *key, const char *where, FILE *errors)
{
	const struct retired *r = retired_find(section, key);

	if (r)
		(void)fprintf(errors, "%s%s: warning: no effect since %s, take it out: %s\n", where, r->name, r->since,
			      r->what_now);
	return r != NULL;
}

/* 0 where an older release had it, otherwise -ERR_CONFIG. */
static int no_such_setting(const char *section, const char *key, const char *where, FILE *errors)
{
	const struct setting *nearest = setting_nearest(section, key);

	if (is_retired(section, key, where, errors))
		return 0;
	(void)fprintf(errors, "%s%.60s.%.60s: no such setting", where, section, key);
	if (nearest != NULL)
		(void)fprintf(errors, "; did you mean %s?", nearest->name);
	(void)fprintf(errors, "\n");
	return -ERR_CONFIG;
}

/* ---- the file ---- */

#define LINE_MAX_BYTES (SETTING_LONGEST + 96) /* the longest value, a name and its spaces */

/* inih gives its handler no line number and forgets all faults but the first, so the lines pass through read_line(),
 * which counts them and finds what inih would pass over. */
struct ini_source {
	FILE *file;
	const char *path;
	struct config *cfg;
	FILE *errors;
	int rc;
	unsigned line;
	bool unread;                   /* the line is no comment, and the handler has not seen it (yet) */
	bool section_lost;             /* a broken [section: the lines in it cannot be placed */
	unsigned seen_on[SETTING_MAX]; /* line of each setting, 0 = not there */
	char where[SETTING_WHY_BYTES]; /* "comet.ini:12: " */
};

static void keep_rc(int *rc, int more)
{
	if (*rc == 0 || more == -ENOMEM)
		*rc = more;
}

static void bad_line(struct ini_source *src, const char *what)
{
	(void)fprintf(src->errors, "%s%s\n", src->where, what);
	keep_rc(&src->rc, -ERR_CONFIG);
}

/* Fetch one line without its end. Lines of more than `space` bytes and those with a zero byte are reported and come back
 * empty. False at the end of the file. */
static bool fetch_line(struct ini_source *src, char *line, size_t space)
{
	size_t bytes = 0;
	bool has_zero = false;
	int c = getc(src->file);

	if (c == EOF)
		return false;
	src->line++;
	(void)snprintf(src->where, sizeof(src->where), "%.200s:%u: ", src->path, src->line);
	for (; c != EOF && c != '\n'; c = getc(src->file)) {
		if (bytes < space)
			line[bytes] = (char)c;
		bytes++;
		has_zero = has_zero || c == '\0';
	}
	line[bytes < space ? bytes : 0] = '\0';
	if (bytes >= space)
		bad_line(src, "the line is too long");
	if (has_zero)
		bad_line(src, "the line has a zero byte in it");
	if (has_zero)
		line[0] = '\0';
	return true;
}

static void report_unread(struct ini_source *src)
{
	if (src->unread)
		bad_line(src, "neither a [section], nor key = value, nor a comment (; or #)");
	src->unread = false;
}

/* The kind of a line, by the rules of inih. */
static void look_at_line(struct ini_source *src, char *line)
{
	const char *start = line;

	if (src->line == 1 && strncmp(start, "\xef\xbb\xbf", 3) == 0)
		start += 3;
	while (isspace((unsigned char)*start))
		start++;
	if (*start == '[') {
		src->section_lost = strchr(start, ']') == NULL;
		if (src->section_lost) {
			bad_line(src, "the [section] is not closed");
			line[0] = '\0';
		}
		return;
	}
	src->unread = *start != '\0' && *start != ';' && *start != '#';
}

/* An ini_reader: like fgets. */
static char *read_line(char *line, int space, void *arg)
{
	struct ini_source *src = arg;

	report_unread(src);
	if (space < 2 || src->rc == -ENOMEM || !fetch_line(src, line, (size_t)space))
		return NULL;
	look_at_line(src, line);
	return line;
}

static int take_pair(struct ini_source *src, const char *section, const char *key, const char *value)
{
	const struct setting *s = setting_find(section, key);
	unsigned *seen_on;

	if (section[0] == '\0') {
		(void)fprintf(src->errors, "%s%.60s: stands before any [section]\n", src->where, key);
		return -ERR_CONFIG;
	}
	if (s == NULL)
		return no_such_setting(section, key, src->where, src->errors);
	seen_on = &src->seen_on[s - settings];
	if (*seen_on != 0) {
		(void)fprintf(src->errors, "%s%s: set twice, first on line %u\n", src->where, s->name, *seen_on);
		return -ERR_CONFIG;
	}
	*seen_on = src->line;
	return assign(src->cfg, s, value, src->where, src->errors);
}

/* An ini_handler; goes on after a fault, so that all are found. */
static int handle_pair(void *arg, const char *section, const char *key, const char *value)
{
	struct ini_source *src = arg;

	src->unread = false;
	if (!src->section_lost)
		keep_rc(&src->rc, take_pair(src, section, key, value));
	return 1;
}

int config_file(struct config *cfg, const char *path, FILE *errors)
{
	struct ini_source src = {.path = path, .cfg = cfg, .errors = errors};
	int parsed;

	src.file = fopen(path, "re");
	if (src.file == NULL)
		goto cannot_read;
	inih_set_up(LINE_MAX_BYTES);
	parsed = ini_parse_stream(read_line, &src, handle_pair, &src);
	if (ferror(src.file))
		goto cannot_read;
	report_unread(&src);
	if (parsed == -2)
		src.rc = -ENOMEM;
	else if (parsed != 0 && src.rc == 0)
		bad_line(&src, "cannot be read as INI");
	(void)fclose(src.file);
	return src.rc;

cannot_read:
	src.rc = -errno;
	(void)fprintf(errors, "%s: cannot be read: %s\n", path, err_text(src.rc));
	if (src.file != NULL)
		(void)fclose(src.file);
	return src.rc;
}

/* ---- the environment ---- */

#define ENV_PREFIX "COMET_"

/* Variables with our prefix that are not meant for us: comet-cli's, the tests' own, and those that Kubernetes sets in every
 * container for a service whose name begins with "comet" (COMET_SERVICE_HOST, COMET_PORT, COMET_PORT_3101_TCP_ADDR). */
static bool is_foreign(const char *name)
{
	static const char *const words[] = {"COMET_API_KEY", "COMET_BUILD", "COMET_CONTEXT", "COMET_HOST",
					    "COMET_HTTP"};
	const char *port = strstr(name, "_PORT");

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(name, words[i]) == 0)
			return true;
	return strncmp(name, "COMET_TEST_", 11) == 0 || strstr(name, "_SERVICE_HOST") != NULL ||
	       strstr(name, "_SERVICE_PORT") != NULL ||
	       (port != NULL && (port[5] == '\0' || (port[5] == '_' && isdigit((unsigned char)port[6]))));
}

static const struct setting *find_by_env(const char *name)
{
	char known[SETTING_ENV_BYTES];

	for (const struct setting *s = settings; s->name != NULL; s++) {
		setting_env_name(s, known);
		if (strcmp(known, name) == 0)
			return s;
	}
	return NULL;
}

/* The same for a variable. */
static int no_such_variable(const char *name, FILE *errors)
{
	char lower[SETTING_ENV_BYTES];
	char known[SETTING_ENV_BYTES];
	char where[SETTING_ENV_BYTES + 4];
	const struct setting *nearest = NULL;
	size_t i = 0;
	char *key;

	for (const char *p = name + strlen(ENV_PREFIX); *p != '\0' && i + 1 < sizeof(lower); p++)
		lower[i++] = (char)tolower((unsigned char)*p);
	lower[i] = '\0';
	key = strchr(lower, '_');
	if (key != NULL) {
		*key++ = '\0';
		(void)snprintf(where, sizeof(where), "%.64s: ", name);
		if (is_retired(lower, key, where, errors))
			return 0;
		nearest = setting_nearest(lower, key);
	}
	(void)fprintf(errors, "%.80s: no setting has this variable", name);
	if (nearest != NULL) {
		setting_env_name(nearest, known);
		(void)fprintf(errors, "; did you mean %s?", known);
	}
	(void)fprintf(errors, "\n");
	return -ERR_CONFIG;
}

static int take_variable(struct config *cfg, const char *variable, FILE *errors)
{
	char name[SETTING_WHY_BYTES];
	char where[SETTING_WHY_BYTES + 2];
	size_t bytes = strcspn(variable, "=");
	const struct setting *s;

	(void)snprintf(name, sizeof(name), "%.*s", bytes < sizeof(name) ? (int)bytes : (int)sizeof(name), variable);
	s = find_by_env(name);
	if (s == NULL)
		return is_foreign(name) ? 0 : no_such_variable(name, errors);
	(void)snprintf(where, sizeof(where), "%s: ", name);
	return assign(cfg, s, variable[bytes] == '=' ? variable + bytes + 1 : "", where, errors);
}

int config_env(struct config *cfg, char *const *environment, FILE *errors)
{
	int rc = 0;

	for (; *environment != NULL; environment++)
		if (strncmp(*environment, ENV_PREFIX, strlen(ENV_PREFIX)) == 0)
			keep_rc(&rc, take_variable(cfg, *environment, errors));
	return rc;
}

/* ---- flags ---- */

_Static_assert(SETTING_MAX <= 8 * sizeof(((struct config *)NULL)->flagged), "a bit for each row");

int config_flag(struct config *cfg, const char *assignment, FILE *errors)
{
	char section[SETTING_ENV_BYTES];
	char key[SETTING_ENV_BYTES];
	int value_at = 0;
	const struct setting *s;

	/* The widths are one less than SETTING_ENV_BYTES. */
	if (sscanf(assignment, " %63[^.= ] . %63[^.= ] = %n", section, key, &value_at) != 2 || value_at == 0) {
		/* Before an @ there may be a password. */
		(void)fprintf(errors, "-o %.80s: must be section.key=value\n",
			      strchr(assignment, '@') != NULL ? "***" : assignment);
		return -ERR_CONFIG;
	}
	s = setting_find(section, key);
	if (s == NULL)
		return no_such_setting(section, key, "-o ", errors);
	cfg->flagged[(s - settings) / 64] |= UINT64_C(1) << ((s - settings) % 64);
	return assign(cfg, s, assignment + value_at, "-o ", errors);
}
