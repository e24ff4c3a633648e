/* config: how it is shown, as INI (-t), as the table of docs/configuration.md, as the manual page comet.conf(5).
 * SPDX-License-Identifier: MIT */
#include "common/config/config.h"

#include <string.h>

#include "common/config/retired.h"
#include "common/config/setting.h"

void config_print(const struct config *cfg, FILE *out)
{
	const char *section = "";

	for (const struct setting *s = settings; s->name != NULL; s++) {
		char number[SETTING_TEXT_BYTES];

		if (strcmp(section, s->section) != 0) {
			(void)fprintf(out, "%s[%s]\n", section[0] != '\0' ? "\n" : "", s->section);
			section = s->section;
		}
		(void)fprintf(out, "%s = %s\n", s->key, setting_show(s, cfg, number));
	}
}

/* The allowed values, for a table cell. */
static void print_values(const struct setting *s, FILE *out)
{
	char low[SETTING_TEXT_BYTES];
	char high[SETTING_TEXT_BYTES];

	switch (s->kind) {
	case SETTING_STR:
		(void)fputs("text", out);
		return;
	case SETTING_SECRET:
		(void)fputs("text, secret", out);
		return;
	case SETTING_BOOL:
		(void)fputs("yes, no", out);
		return;
	case SETTING_ENUM:
		/* A bar would end the cell. */
		for (const char *p = s->names; *p != '\0'; p++)
			(void)fputs(*p == '|' ? ", " : (char[]){*p, '\0'}, out);
		return;
	default:
		setting_text(s, s->min, low);
		setting_text(s, s->max, high);
		(void)fprintf(out, "%s %s to %s",
			      s->kind == SETTING_SIZE   ? "size,"
			      : s->kind == SETTING_TIME ? "time,"
							: "number,",
			      low, high);
	}
}

static void print_default(const struct setting *s, FILE *out)
{
	char text[SETTING_TEXT_BYTES];

	if (s->text != NULL) {
		(void)fprintf(out, s->text[0] ? "`%s`" : "empty%s", s->text);
		return;
	}
	setting_text(s, s->def, text);
	(void)fprintf(out, "`%s`", text);
}

static void print_retired_markdown(FILE *out)
{
	(void)fputs("\n### Retired settings\n\n"
		    "| setting | without effect since | today |\n|---|---|---|\n",
		    out);
	for (const struct retired *r = retired_settings; r->name; r++)
		(void)fprintf(out, "| `%s` | %s | %s |\n", r->name, r->since, r->what_now);
}

void config_print_markdown(FILE *out)
{
	const char *section = "";

	for (const struct setting *s = settings; s->name != NULL; s++) {
		if (strcmp(section, s->section) != 0) {
			(void)fprintf(out,
				      "%s### [%s]\n\n| key | default | values | what it does |\n|---|---|---|---|\n",
				      section[0] != '\0' ? "\n" : "", s->section);
			section = s->section;
		}
		(void)fprintf(out, "| `%s` | ", s->key);
		print_default(s, out);
		(void)fputs(" | ", out);
		print_values(s, out);
		(void)fprintf(out, " | %s%s |\n", s->help, s->live ? " *Live.*" : "");
	}
	print_retired_markdown(out);
}

/* roff takes a line that begins with a dot or a quote for a command of its own, and a backslash for more. */
static void print_roff(const char *text, FILE *out)
{
	if (*text == '.' || *text == '\'')
		(void)fputs("\\&", out);
	for (; *text != '\0'; text++)
		(void)fputs(*text == '\\' ? "\\e" : *text == '-' ? "\\-" : (char[]){*text, '\0'}, out);
}

static void print_default_roff(const struct setting *s, FILE *out)
{
	char text[SETTING_TEXT_BYTES];

	if (s->text == NULL)
		setting_text(s, s->def, text);
	else if (s->text[0] == '\0')
		(void)snprintf(text, sizeof(text), "empty");
	print_roff(s->text != NULL && s->text[0] != '\0' ? s->text : text, out);
}

static void print_retired_man(FILE *out)
{
	(void)fputs(".SS Retired settings\n", out);
	for (const struct retired *r = retired_settings; r->name; r++) {
		(void)fprintf(out, ".TP\n.B %s\n", r->name);
		print_roff(r->what_now, out);
		(void)fprintf(out, "\n.br\n(without effect since %s)\n", r->since);
	}
}

void config_print_man(FILE *out)
{
	const char *section = "";

	for (const struct setting *s = settings; s->name != NULL; s++) {
		if (strcmp(section, s->section) != 0) {
			(void)fprintf(out, ".SS [%s]\n", s->section);
			section = s->section;
		}
		(void)fprintf(out, ".TP\n.B %s\n", s->key);
		print_roff(s->help, out);
		(void)fputs("\n.br\n(", out);
		print_values(s, out);
		(void)fputs("; default: ", out);
		print_default_roff(s, out);
		(void)fputs(s->live ? "; live" : "", out);
		(void)fputs(")\n", out);
	}
	print_retired_man(out);
}
