/* config: how it is shown, as INI (-t) and as the table of docs/configuration.md. SPDX-License-Identifier: MIT */
#include "common/config.h"

#include <string.h>

#include "common/setting.h"

void config_print(const struct config *cfg, FILE *out)
{
	const char *section = "";

	for (const struct setting *s = settings; s->name; s++) {
		char number[SETTING_TEXT_BYTES];

		if (strcmp(section, s->section) != 0) {
			(void)fprintf(out, "%s[%s]\n", section[0] ? "\n" : "", s->section);
			section = s->section;
		}
		(void)fprintf(out, "%s = %s\n", s->key, setting_show(s, cfg, number));
	}
}

/* What a value may be, in a table cell. */
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
		for (const char *p = s->names; *p; p++)
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

	if (s->text) {
		(void)fprintf(out, s->text[0] ? "`%s`" : "empty%s", s->text);
		return;
	}
	setting_text(s, s->def, text);
	(void)fprintf(out, "`%s`", text);
}

void config_print_markdown(FILE *out)
{
	const char *section = "";

	for (const struct setting *s = settings; s->name; s++) {
		if (strcmp(section, s->section) != 0) {
			(void)fprintf(out,
				      "%s### [%s]\n\n| key | default | values | what it does |\n|---|---|---|---|\n",
				      section[0] ? "\n" : "", s->section);
			section = s->section;
		}
		(void)fprintf(out, "| `%s` | ", s->key);
		print_default(s, out);
		(void)fputs(" | ", out);
		print_values(s, out);
		(void)fprintf(out, " | %s |\n", s->help);
	}
}
