/* config_reload: see config_reload.h. SPDX-License-Identifier: MIT */
#include "common/config/config_reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/config/setting.h"

/* Settings that are not in use: those that were read, and later the strings that they have replaced. */
struct config_past {
	struct config cfg;
	struct config_past *before;
};

static void free_past(struct config_past *past)
{
	if (past == NULL)
		return;
	config_fini(&past->cfg);
	free(past);
}

/* ---- reading ---- */

static void note_fault(const char *fault)
{
	reload_note(RELOAD_FAULTS, fault);
}

/* What needs a restart stays as it is, and what changes has to go together with that. */
static int keep_others(const struct config_reload *r, struct config *next, FILE *errors)
{
	int rc = 0;

	for (const struct setting *s = settings; s->name != NULL && rc == 0; s++) {
		if (s->live || !setting_differs(s, r->cfg, next))
			continue;
		reload_note(RELOAD_RESTART, s->name);
		rc = setting_copy(s, r->cfg, next);
	}
	return rc == 0 ? config_check(next, r->is_logic, errors) : rc;
}

static int read_sources(const struct config_reload *r, struct config *next)
{
	char *text = NULL;
	size_t bytes;
	FILE *errors = open_memstream(&text, &bytes);
	int rc;

	if (errors == NULL)
		return -ENOMEM;
	if ((rc = config_again(next, r->cfg, r->is_logic, errors)) == 0)
		rc = keep_others(r, next, errors);
	if (fclose(errors) != 0)
		rc = -ENOMEM;
	if (rc < 0 && text != NULL)
		config_log_said(text, false, note_fault);
	free(text);
	return rc;
}

static int read_again(void *self)
{
	struct config_reload *r = self;
	struct config_past *next = calloc(1, sizeof(*next));
	int rc;

	if (next == NULL)
		return -ENOMEM;
	if ((rc = config_init(&next->cfg)) == 0 && (rc = read_sources(r, &next->cfg)) == 0)
		rc = r->prepare(r->arg, &next->cfg);
	if (rc < 0) {
		free_past(next);
		return rc;
	}
	r->next = next;
	return 0;
}

/* ---- using it ---- */

static void tell_changed(const struct setting *s, const struct config *cfg)
{
	char number[SETTING_TEXT_BYTES], line[256];

	(void)snprintf(line, sizeof(line), "%s=%s", s->name, setting_show(s, cfg, number));
	reload_note(RELOAD_CHANGED, line);
}

/* Was a string replaced? */
static bool take(struct config *cfg, struct config *next)
{
	bool was_replaced = false;

	for (const struct setting *s = settings; s->name != NULL; s++) {
		const bool differs = setting_differs(s, cfg, next);

		if (differs) {
			setting_swap(s, cfg, next);
			tell_changed(s, cfg);
		}
		if (differs && s->kind == SETTING_STR)
			was_replaced = true;
		else
			setting_drop(s, next);
	}
	return was_replaced;
}

static void settle(void *self, bool use)
{
	struct config_reload *r = self;
	struct config_past *next = r->next;
	const bool is_kept = use && take(r->cfg, &next->cfg);

	r->next = NULL;
	r->settle(r->arg, use);
	if (!is_kept) {
		free_past(next);
		return;
	}
	next->before = r->past;
	r->past = next;
}

struct reload_part config_reload_part(struct config_reload *r)
{
	return (struct reload_part){"settings", read_again, settle, r->cfg->file != NULL ? r : NULL};
}

void config_reload_fini(struct config_reload *r)
{
	struct config_past *past;

	while ((past = r->past) != NULL) {
		r->past = past->before;
		free_past(past);
	}
}
