/* table: see table.h. SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/printer.h"
#include "common/base/obj.h"

#define GAP     2 /* blanks between two columns */
#define LEAST   8 /* a text is not cut below that */
#define UNKNOWN "-"

/* ---- cells ---- */

/* Takes the text over; NULL: no memory. */
static void add(struct table *t, char *text)
{
	if (text != NULL && t->n == t->capacity) {
		const size_t want = t->capacity > 0 ? 2 * t->capacity : 64;
		char **more = reallocarray(t->cells, want, sizeof(*more));

		if (more != NULL) {
			t->cells = more;
			t->capacity = want;
		}
	}
	if (text != NULL && t->n < t->capacity) {
		t->cells[t->n++] = text;
		return;
	}
	free(text);
	t->failed = true;
}

void table_text(struct table *t, const char *text)
{
	char *shown = NULL;
	size_t bytes;
	FILE *out = open_memstream(&shown, &bytes);

	if (out != NULL) {
		printer_word(out, text);
		if (fclose(out) != 0) {
			free(shown);
			shown = NULL;
		}
	}
	add(t, shown);
}

void table_number(struct table *t, int64_t number)
{
	char *text;

	add(t, asprintf(&text, "%" PRId64, number) < 0 ? NULL : text);
}

void table_rate(struct table *t, bool is_known, double rate)
{
	char *text;

	if (!is_known)
		table_text(t, UNKNOWN);
	else
		add(t, asprintf(&text, rate < 10 ? "%.1f" : "%.0f", rate) < 0 ? NULL : text);
}

const char *table_age_text(int64_t ms, char text[TABLE_AGE_BYTES])
{
	const long long s = ms > 0 ? ms / 1000 : 0;

	if (s < 60)
		(void)snprintf(text, TABLE_AGE_BYTES, "%lld s", s);
	else if (s < 3600)
		(void)snprintf(text, TABLE_AGE_BYTES, "%lld m %lld s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(text, TABLE_AGE_BYTES, "%lld h %lld m", s / 3600, s / 60 % 60);
	else
		(void)snprintf(text, TABLE_AGE_BYTES, "%lld d %lld h", s / 86400, s / 3600 % 24);
	return text;
}

void table_age(struct table *t, int64_t ms)
{
	char text[TABLE_AGE_BYTES];

	table_text(t, table_age_text(ms, text));
}

/* ---- printing ---- */

/* Characters, each of which is taken for one column. */
static unsigned width_of(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static unsigned count_columns(const struct table *t)
{
	unsigned n = 0;

	while (t->columns[n].title != NULL)
		n++;
	BUG_UNLESS(n > 0 && n <= TABLE_COLUMNS);
	return n;
}

/* How wide each column is, with the widest text cut until all of a row has space. */
static void measure(const struct table *t, unsigned n, size_t rows, unsigned width, unsigned widths[TABLE_COLUMNS])
{
	unsigned all = 0;

	for (unsigned c = 0; c < n; c++) {
		widths[c] = width_of(t->columns[c].title);
		for (size_t r = 0; r < rows; r++)
			if (width_of(t->cells[r * n + c]) > widths[c])
				widths[c] = width_of(t->cells[r * n + c]);
		all += widths[c] + (c > 0 ? GAP : 0);
	}
	while (width > 0 && all > width) {
		unsigned most = n;

		for (unsigned c = 0; c < n; c++)
			if (!t->columns[c].is_number && widths[c] > LEAST && (most == n || widths[c] > widths[most]))
				most = c;
		if (most == n)
			return;
		widths[most]--;
		all--;
	}
}

/* The first `width` characters, of which the last is a ~ where that is not all. */
static void print_cut(FILE *out, const char *text, unsigned width)
{
	const bool cut = width_of(text) > width;
	unsigned n = 0;

	for (; *text != '\0'; text++) {
		n += ((unsigned char)*text & 0xc0) != 0x80;
		if (cut && n == width)
			break;
		fputc(*text, out);
	}
	if (cut)
		fputc('~', out);
}

static void print_cell(FILE *out, const char *text, unsigned width, bool is_number, bool is_last)
{
	const unsigned own = width_of(text) < width ? width_of(text) : width;

	if (is_number)
		fprintf(out, "%*s", (int)(width - own), "");
	print_cut(out, text, width);
	if (!is_number && !is_last)
		fprintf(out, "%*s", (int)(width - own), "");
	fputs(is_last ? "\n" : "  ", out);
}

bool table_print(FILE *out, struct table *t, unsigned width, size_t rows_max)
{
	const unsigned n = count_columns(t);
	const size_t rows = t->n / n < rows_max ? t->n / n : rows_max;
	const bool ok = !t->failed;
	unsigned widths[TABLE_COLUMNS];

	measure(t, n, rows, width, widths);
	for (unsigned c = 0; c < n; c++)
		print_cell(out, t->columns[c].title, widths[c], t->columns[c].is_number, c == n - 1);
	for (size_t i = 0; i < rows * n; i++)
		print_cell(out, t->cells[i], widths[i % n], t->columns[i % n].is_number, i % n == n - 1);
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){.columns = t->columns};
	return ok;
}

unsigned table_terminal(unsigned *rows)
{
	struct winsize size;

	*rows = 0;
	if (isatty(STDOUT_FILENO) == 0)
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) {
		*rows = 24;
		return 80;
	}
	*rows = size.ws_row;
	return size.ws_col;
}
