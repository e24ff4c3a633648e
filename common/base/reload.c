/* reload: see reload.h. SPDX-License-Identifier: MIT */
#include "common/base/reload.h"

#include <stdio.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"

#define PARTS_MAX 16

/* Names with commas, for a line of the log. */
struct names {
	char text[128];
};

static void add_name(struct names *names, const char *name)
{
	size_t n = strlen(names->text);

	(void)snprintf(names->text + n, sizeof(names->text) - n, "%s%s", n > 0 ? ", " : "", name);
}

static void tell(int rc, const struct names *read, const struct names *failed)
{
	if (rc < 0)
		LOG(LOG_ERROR, log_what(EVENT_RELOAD_FAILED), log_str("failed", failed->text),
		    log_str("error", err_text(rc)));
	else if (rc == 0)
		LOG(LOG_INFO, log_what(EVENT_RELOAD_EMPTY));
	else
		LOG(LOG_INFO, log_what(EVENT_RELOAD_DONE), log_str("what", read->text));
}

int reload_all(const struct reload_part *parts, size_t n)
{
	struct names read = {0}, failed = {0};
	bool was_read[PARTS_MAX] = {false};
	int done = 0, rc = 0;

	BUG_UNLESS(n <= PARTS_MAX);
	for (size_t i = 0; i < n; i++) {
		int part_rc = parts[i].self != NULL ? parts[i].read(parts[i].self) : 0;

		was_read[i] = parts[i].self != NULL && part_rc == 0;
		done += was_read[i];
		if (was_read[i])
			add_name(&read, parts[i].what);
		else if (part_rc < 0)
			add_name(&failed, parts[i].what);
		rc = rc == 0 ? part_rc : rc;
	}
	for (size_t i = 0; i < n; i++)
		if (was_read[i])
			parts[i].settle(parts[i].self, rc == 0);
	if (rc < 0)
		count(COUNT_RELOAD_FAILED);
	rc = rc < 0 ? rc : done;
	tell(rc, &read, &failed);
	return rc;
}
