/* chronicle: see chronicle.h. A number takes two bytes: up to 4095 it is exact, above its first twelve bits are kept, so that it is
 * at most 0.03 % wrong. SPDX-License-Identifier: MIT */
#include "common/base/chronicle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/obj.h"

#define SECONDS_A_MINUTE 60
/* A busy machine may be so late. */
#define LATE_SECONDS 5
/* More than two bytes can say; a minute of it is no overflow. */
#define FIGURE_MAX (INT64_C(1) << 50)

/* ---- numbers in two bytes ---- */

#define EXACT_BITS 11
#define BLANK      UINT16_MAX

static uint16_t shorten(int64_t value)
{
	const unsigned bits = value > 0 ? 64 - (unsigned)__builtin_clzll((unsigned long long)value) : 0;
	const unsigned shift = bits > EXACT_BITS + 1 ? bits - EXACT_BITS - 1 : 0;
	uint64_t rounded, code;

	if (value <= 0)
		return 0;
	rounded = ((uint64_t)value + (shift > 0 ? UINT64_C(1) << (shift - 1) : 0)) >> shift;
	/* With its highest bit: where rounding has made one more, the sum is right, too. */
	code = ((uint64_t)shift << EXACT_BITS) + rounded;
	return code < BLANK ? (uint16_t)code : BLANK - 1;
}

static uint64_t lengthen(uint16_t code)
{
	const unsigned shift = code >> EXACT_BITS > 0 ? (code >> EXACT_BITS) - 1 : 0;

	return (uint64_t)(code - (shift << EXACT_BITS)) << shift;
}

/* ---- what is kept ---- */

/* A row for each step, a number for each figure. The lines of a table are used round and round. */
struct cells {
	uint16_t seconds[CHRONICLE_SECONDS * CHRONICLE_FIGURES_MAX];
	uint16_t sums[CHRONICLE_MINUTES * CHRONICLE_FIGURES_MAX]; /* of a minute's seconds, */
	uint16_t most[CHRONICLE_MINUTES * CHRONICLE_FIGURES_MAX]; /* and the greatest of them */
	uint8_t known[CHRONICLE_MINUTES];                         /* of so many of them something is known */
	uint32_t over;                                            /* seconds that are over */
};

struct chronicle {
	unsigned magic;
#define CHRONICLE_MAGIC 0xc4404900
	/* set once */
	const struct chronicle_figure *figures;
	unsigned n;
	int64_t start_ns;
	/* the noting thread's */
	int64_t totals[CHRONICLE_FIGURES_MAX]; /* as they were the last time */
	struct {
		int64_t sums[CHRONICLE_FIGURES_MAX], most[CHRONICLE_FIGURES_MAX];
		uint8_t known_of[CHRONICLE_FIGURES_MAX], known; /* seconds: of this figure, and of any */
	} minute;                                               /* that is not over yet */
	/* under lock; written by the noting thread alone, which therefore reads it without */
	struct lock lock;
	struct cells cells;
};

int chronicle_new(const struct chronicle_figure *figures, unsigned n, struct chronicle **out)
{
	struct chronicle *c = calloc(1, sizeof(*c));

	BUG_UNLESS(n <= CHRONICLE_FIGURES_MAX);
	if (c == NULL)
		return -ENOMEM;
	c->magic = CHRONICLE_MAGIC;
	c->figures = figures;
	c->n = n;
	c->start_ns = clock_now_ns();
	lock_init(&c->lock, LOCK_POOL);
	*out = c;
	return 0;
}

void chronicle_free(struct chronicle **chronicle)
{
	struct chronicle *c = *chronicle;

	OBJ_CHECK(c, CHRONICLE_MAGIC);
	lock_fini(&c->lock);
	c->magic = 0;
	free(c);
	*chronicle = NULL;
}

/* ---- noting ---- */

/* Who reads a minute divides its sum by its known seconds: a figure that is known of fewer is made up to these. */
static void end_minute_locked(struct chronicle *c) NEEDS(c->lock)
{
	const size_t line = (c->cells.over / SECONDS_A_MINUTE - 1) % CHRONICLE_MINUTES;

	c->cells.known[line] = c->minute.known;
	for (unsigned i = 0; i < c->n; i++) {
		const size_t cell = line * CHRONICLE_FIGURES_MAX + i;
		const uint8_t known = c->minute.known_of[i];

		c->cells.sums[cell] = known > 0 ? shorten(c->minute.sums[i] / known * c->minute.known +
							  c->minute.sums[i] % known * c->minute.known / known)
						: BLANK;
		c->cells.most[cell] = known > 0 ? shorten(c->minute.most[i]) : BLANK;
	}
	memset(&c->minute, 0, sizeof(c->minute));
}

/* One more second is over; NULL: nobody knows of it. */
static void end_second_locked(struct chronicle *c, const int64_t *values) NEEDS(c->lock)
{
	uint16_t *line = &c->cells.seconds[c->cells.over % CHRONICLE_SECONDS * CHRONICLE_FIGURES_MAX];
	bool any = false;

	for (unsigned i = 0; i < c->n; i++) {
		const bool known = values != NULL && values[i] != CHRONICLE_UNKNOWN;

		line[i] = known ? shorten(values[i]) : BLANK;
		if (!known)
			continue;
		any = true;
		c->minute.known_of[i]++;
		c->minute.sums[i] += values[i];
		if (values[i] > c->minute.most[i])
			c->minute.most[i] = values[i];
	}
	c->minute.known += any;
	c->cells.over++;
	if (c->cells.over % SECONDS_A_MINUTE == 0)
		end_minute_locked(c);
}

/* The values of the i-th of n seconds that are over since the last time: shares that add up to what has grown. */
static void share_out(const struct chronicle *c, const int64_t *figures, int64_t i, int64_t n, int64_t *values)
{
	for (unsigned f = 0; f < c->n; f++) {
		const int64_t some = figures[f] > 0 ? figures[f] : 0, now = some < FIGURE_MAX ? some : FIGURE_MAX;
		const bool grows = c->figures[f].grows;
		int64_t grown;

		if (figures[f] == CHRONICLE_UNKNOWN || (grows && c->totals[f] == CHRONICLE_UNKNOWN)) {
			values[f] = CHRONICLE_UNKNOWN;
			continue;
		}
		grown = now - c->totals[f];
		values[f] = !grows ? now : grown > 0 ? grown / n + (i < grown % n) : 0;
	}
}

int64_t chronicle_due_ns(struct chronicle *c)
{
	OBJ_CHECK(c, CHRONICLE_MAGIC);
	return c->start_ns + ((int64_t)c->cells.over + 1) * CLOCK_SEC;
}

void chronicle_note(struct chronicle *c, const int64_t *figures)
{
	int64_t values[CHRONICLE_FIGURES_MAX], n;

	OBJ_CHECK(c, CHRONICLE_MAGIC);
	n = (clock_now_ns() - c->start_ns) / CLOCK_SEC - c->cells.over;
	if (n <= 0)
		return;
	lock_take(&c->lock);
	for (int64_t i = 0; i < n; i++) {
		share_out(c, figures, i, n, values);
		end_second_locked(c, n <= LATE_SECONDS ? values : NULL);
	}
	lock_drop(&c->lock);
	memcpy(c->totals, figures, c->n * sizeof(c->totals[0]));
}

/* ---- telling ---- */

/* Steps of one kind, the oldest first. */
struct column {
	const uint16_t *cells;
	const uint8_t *known; /* NULL: each number says it itself */
	uint32_t lines, from, to;
};

static void add_figure(const struct column *col, unsigned figure, struct counters_text *out)
{
	for (uint32_t step = col->from; step < col->to; step++) {
		const uint32_t line = step % col->lines;
		const uint16_t code = col->cells[line * CHRONICLE_FIGURES_MAX + figure];
		const char *comma = step > col->from ? "," : "";

		if (code == BLANK || (col->known != NULL && col->known[line] == 0))
			counters_text_add(out, "%snull", comma);
		else
			counters_text_add(out, "%s%llu", comma, (unsigned long long)lengthen(code));
	}
}

static void add_figures(const struct chronicle *c, const char *name, const struct column *col,
			struct counters_text *out)
{
	counters_text_add(out, ",\"%s\":{", name);
	for (unsigned i = 0; i < c->n; i++) {
		counters_text_add(out, "%s\"%s\":[", i > 0 ? "," : "", c->figures[i].name);
		add_figure(col, i, out);
		counters_text_add(out, "]");
	}
	counters_text_add(out, "}");
}

static void add_known(const struct column *col, struct counters_text *out)
{
	counters_text_add(out, ",\"seconds\":[");
	for (uint32_t step = col->from; step < col->to; step++)
		counters_text_add(out, "%s%u", step > col->from ? "," : "", col->known[step % col->lines]);
	counters_text_add(out, "]");
}

static void expose(const struct chronicle *c, const struct cells *cells, bool by_minutes, unsigned steps,
		   struct counters_text *out)
{
	const int64_t since_ms = clock_wall_ms() - (clock_now_ns() - c->start_ns) / CLOCK_MS;
	const unsigned step_s = by_minutes ? SECONDS_A_MINUTE : 1;
	struct column col = {.cells = by_minutes ? cells->sums : cells->seconds,
			     .known = by_minutes ? cells->known : NULL,
			     .lines = by_minutes ? CHRONICLE_MINUTES : CHRONICLE_SECONDS,
			     .to = cells->over / step_s};
	const uint32_t held = col.to < col.lines ? col.to : col.lines;
	const int64_t to_ms = since_ms + (int64_t)col.to * step_s * 1000;

	col.from = col.to - (steps < held ? steps : held);
	counters_text_add(out, "{\"since_ms\":%lld,\"to_ms\":%lld,\"step_s\":%u", (long long)since_ms, (long long)to_ms,
			  step_s);
	if (by_minutes)
		add_known(&col, out);
	add_figures(c, "sum", &col, out);
	col.cells = cells->most;
	if (by_minutes)
		add_figures(c, "max", &col, out);
	counters_text_add(out, "}");
}

int chronicle_expose(struct chronicle *c, bool by_minutes, unsigned steps, struct counters_text *out)
{
	/* Writing takes longer than the noting thread should wait. */
	struct cells *copy = malloc(sizeof(*copy));

	OBJ_CHECK(c, CHRONICLE_MAGIC);
	if (copy == NULL)
		return -ENOMEM;
	lock_take(&c->lock);
	*copy = c->cells;
	lock_drop(&c->lock);
	expose(c, copy, by_minutes, steps, out);
	free(copy);
	return out->failed ? -ENOMEM : 0;
}
