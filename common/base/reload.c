/* reload: see reload.h. SPDX-License-Identifier: MIT */
#include "common/base/reload.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "common/base/signals.h"
#include "common/base/utf8.h"

#define PARTS_MAX 16

/* Who reloads is one thread, which fills this without a lock. */
static struct reload_told now;

static struct {
	struct lock lock;
	/* under lock */
	pthread_cond_t changed;
	uint64_t asked, done; /* so many have asked, and these were answered */
	struct reload_told told;
	bool is_closed; /* main stops */
} desk = {.lock = LOCK_STATIC(LOCK_SERVICE)};

/* ---- what came of it ---- */

/* A value from a file may be anything, and what is told is JSON. */
static void scrub(char *text, size_t bytes)
{
	if (utf8_is_valid((const uint8_t *)text, bytes))
		return;
	for (size_t i = 0; i < bytes; i++)
		if ((unsigned char)text[i] >= 0x80)
			text[i] = '?';
}

void reload_note(enum reload_note which, const char *line)
{
	char *text = now.notes[which];
	const size_t n = strlen(text), bytes = strlen(line);

	if (n + bytes + 2 > sizeof(now.notes[which]))
		return;
	(void)snprintf(text + n, bytes + 2, "%s\n", line);
	scrub(text + n, bytes);
}

/* For a line of the log: with commas. NULL: nothing. */
static const char *listed(enum reload_note which, char text[512])
{
	size_t n = 0;

	for (const char *at = now.notes[which]; *at != '\0' && n + 3 < 512; at++) {
		const bool is_end = *at == '\n';

		if (is_end && at[1] == '\0')
			break;
		text[n++] = is_end ? ',' : *at;
		if (is_end)
			text[n++] = ' ';
	}
	text[n] = '\0';
	return n > 0 ? text : NULL;
}

static void log_it(int rc)
{
	char a[512], b[512], c[512];

	if (rc < 0)
		LOG(LOG_ERROR, log_what(EVENT_RELOAD_FAILED), log_str("failed", listed(RELOAD_FAILED, a)),
		    log_str("error", err_text(rc)));
	else if (rc == 0)
		LOG(LOG_INFO, log_what(EVENT_RELOAD_EMPTY));
	else
		LOG(LOG_INFO, log_what(EVENT_RELOAD_DONE), log_str("what", listed(RELOAD_READ, a)),
		    log_str_if("changed", listed(RELOAD_CHANGED, b)),
		    log_str_if("needs_restart", listed(RELOAD_RESTART, c)));
}

/* ---- doing it ---- */

static int read_and_settle(const struct reload_part *parts, size_t n)
{
	bool was_read[PARTS_MAX] = {false};
	int done = 0, rc = 0;

	for (size_t i = 0; i < n; i++) {
		int part_rc = parts[i].self != NULL ? parts[i].read(parts[i].self) : 0;

		was_read[i] = parts[i].self != NULL && part_rc == 0;
		done += was_read[i];
		if (part_rc < 0)
			reload_note(RELOAD_FAILED, parts[i].what);
		rc = rc == 0 ? part_rc : rc;
	}
	for (size_t i = 0; i < n; i++) {
		if (!was_read[i])
			continue;
		parts[i].settle(parts[i].self, rc == 0);
		if (rc == 0)
			reload_note(RELOAD_READ, parts[i].what);
	}
	return rc < 0 ? rc : done;
}

static uint64_t take_orders(void)
{
	uint64_t asked;

	lock_take(&desk.lock);
	asked = desk.asked;
	lock_drop(&desk.lock);
	return asked;
}

static void answer(uint64_t orders)
{
	lock_take(&desk.lock);
	desk.told = now;
	if (orders > desk.done) {
		desk.done = orders;
		(void)pthread_cond_broadcast(&desk.changed);
	}
	lock_drop(&desk.lock);
}

int reload_all(const struct reload_part *parts, size_t n)
{
	/* Who asks from now on means another one: what is read here may have been read before. */
	const uint64_t orders = take_orders();

	BUG_UNLESS(n <= PARTS_MAX);
	memset(&now, 0, sizeof(now));
	now.rc = read_and_settle(parts, n);
	if (now.rc < 0)
		count(COUNT_RELOAD_FAILED);
	log_it(now.rc);
	answer(orders);
	return now.rc;
}

/* ---- asking for it ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_changed(void)
{
	lock_cond_init(&desk.changed);
}

static bool wait_for(uint64_t number, int64_t deadline_ns) NEEDS(desk.lock)
{
	while (desk.done < number && !desk.is_closed && clock_now_ns() < deadline_ns)
		(void)lock_wait_until(&desk.changed, &desk.lock, deadline_ns);
	return desk.done >= number;
}

void reload_close(void)
{
	(void)pthread_once(&once, init_changed);
	lock_take(&desk.lock);
	desk.is_closed = true;
	(void)pthread_cond_broadcast(&desk.changed);
	lock_drop(&desk.lock);
}

bool reload_ask(int64_t timeout_ms, struct reload_told *told)
{
	const int64_t deadline_ns = clock_now_ns() + timeout_ms * CLOCK_MS;
	bool is_done;

	(void)pthread_once(&once, init_changed);
	park_wait_begin();
	lock_take(&desk.lock);
	desk.asked++;
	signals_send_reload();
	is_done = wait_for(desk.asked, deadline_ns);
	*told = desk.told;
	lock_drop(&desk.lock);
	park_wait_end();
	return is_done;
}
