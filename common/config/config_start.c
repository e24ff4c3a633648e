/* config: the command line of comet and comet-logic. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/version.h"
#include "common/config/config.h"
#include "common/config/config_redis.h"
#include "common/config/setting.h"

/* The requests of the command line. */
struct request {
	const char *file;
	char **flags; /* points into argv: the assignments of -o, in their order */
	unsigned n_flags;
	bool test;
	bool help;
	bool version;
};

static void print_help(const struct config_program *program)
{
	const char *name = program->name;

	(void)printf("usage: %s [-c FILE] [-o SECTION.KEY=VALUE]... [-t]\n"
		     "%s\n"
		     "\n"
		     "  -c FILE                read settings from an INI file\n"
		     "  -o SECTION.KEY=VALUE   set one; may be given many times\n"
		     "  -t                     check the settings, print those in effect, and exit\n"
		     "  -h, --help             print this and exit\n"
		     "      --version          print the version and exit\n"
		     "\n"
		     "A setting is looked for in -o, then in the environment (COMET_SECTION_KEY),\n"
		     "then in FILE; without one it has its default. Without any setting\n"
		     "%s runs on 127.0.0.1 only.\n"
		     "\n"
		     "  %s -o tcp.bind=127.0.0.1:4000 -o log.level=debug\n"
		     "  COMET_TCP_BIND=127.0.0.1:0 %s -c comet.ini -t\n"
		     "\n"
		     "Every setting with its default and range: docs/configuration.md, comet.conf(5).\n"
		     "All at a glance: %s -t\n",
		     name, program->summary, name, name, name, name);
}

/* 0, or -ERR_CONFIG with a line on stderr (getopt writes those about options it does not know). */
static int read_command_line(int argc, char **argv, const char *program, struct request *rq)
{
	static const struct option long_options[] = {
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(argc, argv, "c:o:th", long_options, NULL)) != -1)
		switch (option) {
		case 'c':
			if (rq->file != NULL) {
				(void)fprintf(stderr, "%s: -c may be given once\n", program);
				return -ERR_CONFIG;
			}
			rq->file = optarg;
			break;
		case 'o':
			rq->flags[rq->n_flags++] = optarg;
			break;
		case 't':
			rq->test = true;
			break;
		case 'h':
			rq->help = true;
			break;
		case 'V':
			rq->version = true;
			break;
		default:
			return -ERR_CONFIG;
		}
	if (optind < argc) {
		(void)fprintf(stderr, "%s: %s: there are no arguments beside the options\n", program, argv[optind]);
		return -ERR_CONFIG;
	}
	return 0;
}

/* Others see a command line in the list of processes: what is secret in it, or stands before an @, is theirs no longer. */
static void hide(char *assignment, FILE *said)
{
	char section[SETTING_ENV_BYTES], key[SETTING_ENV_BYTES], *value;
	const struct setting *s = NULL;

	BUG_UNLESS(assignment != NULL); /* getopt has seen to that */
	value = strchr(assignment, '=');
	if (sscanf(assignment, " %63[^.= ] . %63[^.= ]", section, key) == 2)
		s = setting_find(section, key);
	if (value == NULL || value[1] == '\0' ||
	    (strchr(value, '@') == NULL && (s == NULL || s->kind != SETTING_SECRET)))
		return;
	memset(value + 1, '*', strlen(value + 1));
	if (s != NULL && s->kind == SETTING_SECRET)
		(void)fprintf(
			said,
			"-o %s: warning: the list of processes had it until now; %s_file names a file that has it\n",
			s->name, s->name);
}

static void keep_worst(int *rc, int more)
{
	if (*rc == 0)
		*rc = more;
}

/* All sources in their order; goes on after a fault, so that one run shows all of them. */
static int read_sources(struct config *cfg, const struct request *rq, bool is_logic, FILE *said)
{
	int rc = 0;

	if (rq->file != NULL)
		keep_worst(&rc, config_file(cfg, rq->file, said));
	keep_worst(&rc, config_env(cfg, environ, said));
	for (unsigned i = 0; i < rq->n_flags; i++)
		keep_worst(&rc, config_flag(cfg, rq->flags[i], said));
	keep_worst(&rc, config_check(cfg, is_logic, said));
	for (unsigned i = 0; i < rq->n_flags; i++)
		hide(rq->flags[i], said);
	return rc == 0 ? config_redis_settle(cfg) : rc;
}

#define WARNING ": warning: "

void config_log_said(const char *said, bool with_warnings, void (*each)(const char *fault))
{
	char line[512];

	while (*said != '\0') {
		const size_t n = strcspn(said, "\n");
		bool is_warning;

		(void)snprintf(line, sizeof(line), "%.*s", n < sizeof(line) ? (int)n : (int)sizeof(line) - 1, said);
		is_warning = strstr(line, WARNING) != NULL;
		if (is_warning && with_warnings)
			LOG(LOG_WARN, log_what(EVENT_SETTING_WARNED), log_str("why", line));
		if (!is_warning) {
			LOG(LOG_ERROR, log_what(EVENT_SETTING_WRONG), log_str("fault", line));
			if (each != NULL)
				each(line);
		}
		said += n + (said[n] != '\0');
	}
}

/* The lines are kept until log.format is known. -t is for a person, and says all as text. */
static int read_settings(struct config *cfg, const struct request *rq, const struct config_program *program)
{
	char *text = NULL;
	size_t bytes;
	FILE *said = open_memstream(&text, &bytes);
	int rc;

	if (said == NULL)
		return -ENOMEM;
	rc = read_sources(cfg, rq, program->is_logic, said);
	if (fclose(said) != 0)
		rc = -ENOMEM;
	log_setup(LOG_WARN, rq->test ? LOG_TEXT : (enum log_format)cfg->log_format);
	if (text != NULL && log_is_json())
		config_log_said(text, true, NULL);
	else if (text != NULL)
		(void)fputs(text, stderr);
	free(text);
	return rc;
}

static bool is_flagged(const struct config *cfg, unsigned row)
{
	return (cfg->flagged[row / 64] >> (row % 64) & 1) != 0;
}

/* As -o said. An address of Redis may have said user, password and database, too. */
static bool stays(const struct config *before, unsigned row)
{
	return is_flagged(before, row) ||
	       (strcmp(settings[row].section, "redis") == 0 &&
		(is_flagged(before, SETTING_INDEX_redis_addr) || is_flagged(before, SETTING_INDEX_redis_sentinels)));
}

int config_again(struct config *cfg, const struct config *before, bool is_logic, FILE *errors)
{
	int rc = 0;

	if (before->file != NULL)
		keep_worst(&rc, config_file(cfg, before->file, errors));
	keep_worst(&rc, config_env(cfg, environ, errors));
	for (unsigned i = 0; i < SETTING_MAX && rc != -ENOMEM; i++)
		if (stays(before, i))
			keep_worst(&rc, setting_copy(&settings[i], before, cfg));
	keep_worst(&rc, config_check(cfg, is_logic, errors));
	return rc == 0 ? config_redis_settle(cfg) : rc;
}

/* Can everything be had that the settings name? For files only reading tells. Before a start only faults are said: what is worth a
 * warning the start itself says. */
static int try_settings(const struct config *cfg, const struct config_program *program, bool faults_only)
{
	int rc = 0;

	log_setup(faults_only ? LOG_ERROR : LOG_WARN, faults_only ? (enum log_format)cfg->log_format : LOG_TEXT);
	for (unsigned i = 0; program->tries[i] != NULL; i++)
		keep_worst(&rc, program->tries[i](cfg));
	return rc;
}

static int say_not_started(const struct config_program *program, int rc)
{
	if (log_is_json())
		LOG(LOG_ERROR, log_what(EVENT_START_FAILED), log_str("part", "settings"),
		    log_str("error", err_text(rc)));
	else
		(void)fprintf(stderr, "%s: %s\n", program->name,
			      rc == -ENOMEM ? "out of memory" : "not started, because of the above");
	return rc;
}

static int start(struct config *cfg, const struct request *rq, const struct config_program *program)
{
	int rc;

	if (rq->help) {
		print_help(program);
		return 1;
	}
	if (rq->version) {
		(void)printf("%s %s (%s)\n", program->name, version_text, version_commit);
		return 1;
	}
	rc = read_settings(cfg, rq, program);
	cfg->file = rq->file;
	if (rc == 0)
		rc = try_settings(cfg, program, !rq->test);
	if (rc < 0)
		return say_not_started(program, rc);
	if (rq->test) {
		config_print(cfg, stdout);
		return 1;
	}
	return 0;
}

int config_start(struct config *cfg, int argc, char **argv, const struct config_program *program)
{
	struct request rq = {.flags = calloc((size_t)argc + 1, sizeof(char *))};
	int rc;

	if (rq.flags == NULL) {
		(void)fprintf(stderr, "%s: out of memory\n", program->name);
		return -ENOMEM;
	}
	rc = read_command_line(argc, argv, program->name, &rq);
	if (rc < 0)
		(void)fprintf(stderr, "%s --help says more\n", program->name);
	else
		rc = start(cfg, &rq, program);
	free(rq.flags);
	return rc;
}
