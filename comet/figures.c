/* figures: see figures.h. On the online thread. SPDX-License-Identifier: MIT */
#include "comet/figures.h"

#include "comet/close_reason.h"
#include "common/base/counters.h"

enum figure {
	CONNECTIONS,
	ROOMS,
	AUTHENTICATED,
	AUTH_REFUSED,
	CLOSED,
	CLOSED_BADLY,
	PUSHES,
	DELIVERED,
	DROPPED,
	BYTES_OUT,
	FIGURES
};

static const struct chronicle_figure table[FIGURES] = {
	[CONNECTIONS] = {"connections", false},
	[ROOMS] = {"rooms", false},
	[AUTHENTICATED] = {"authenticated", true},
	[AUTH_REFUSED] = {"auth_refused", true},
	[CLOSED] = {"closed", true},
	[CLOSED_BADLY] = {"closed_badly", true},
	[PUSHES] = {"pushes", true},
	[DELIVERED] = {"delivered", true},
	[DROPPED] = {"dropped", true},
	[BYTES_OUT] = {"bytes_out", true},
};

int figures_new(struct chronicle **out)
{
	return chronicle_new(table, FIGURES, out);
}

/* Ends that are somebody's fault: what is logged at warn. */
static int64_t closed_badly(void)
{
	int64_t n = 0;

	for (enum close_reason why = CLOSE_NONE; why < CLOSE_MAX; why++)
		if (close_reason_is_error(why))
			n += counters_read_by(COUNT_CLOSED, why);
	return n;
}

void figures_note(struct chronicle *c, size_t rooms)
{
	const int64_t now[FIGURES] = {
		[CONNECTIONS] = counters_read(COUNT_CONNECTIONS),
		[ROOMS] = (int64_t)rooms,
		[AUTHENTICATED] = counters_read(COUNT_AUTHENTICATED),
		[AUTH_REFUSED] = counters_read(COUNT_AUTH_REFUSED),
		[CLOSED] = counters_read(COUNT_CLOSED),
		[CLOSED_BADLY] = closed_badly(),
		[PUSHES] = counters_read(COUNT_PUSHES),
		[DELIVERED] = counters_read(COUNT_DELIVERED),
		[DROPPED] = counters_read(COUNT_DROPPED),
		[BYTES_OUT] = counters_read(COUNT_BYTES_OUT),
	};

	chronicle_note(c, now);
}
