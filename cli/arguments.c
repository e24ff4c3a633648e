/* arguments: see arguments.h. Main thread only. SPDX-License-Identifier: MIT */
#include "cli/arguments.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "common/base/clock.h"

#define DAY_NS (86400 * CLOCK_SEC)

static bool parse_i64(const char *text, char **end, int64_t *out)
{
	if (*text != '-' && (*text < '0' || *text > '9'))
		return false; /* strtoll would skip blanks and take a plus sign */
	errno = 0;
	*out = strtoll(text, end, 10);
	return *end != text && errno == 0;
}

bool argument_i64(const char *option, const char *text, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	int64_t value;

	if (!parse_i64(text, &end, &value) || *end != '\0' || value < min || value > max) {
		fprintf(stderr, "comet-cli: %s takes a number from %lld to %lld, not \"%s\"\n", option, (long long)min,
			(long long)max, text);
		return false;
	}
	*out = value;
	return true;
}

/* Nanoseconds of a unit, 0 for a unit that we do not know. */
static int64_t unit_ns(const char *unit)
{
	if (strcmp(unit, "") == 0 || strcmp(unit, "s") == 0)
		return CLOCK_SEC;
	if (strcmp(unit, "ms") == 0)
		return CLOCK_MS;
	if (strcmp(unit, "m") == 0)
		return 60 * CLOCK_SEC;
	if (strcmp(unit, "h") == 0)
		return 3600 * CLOCK_SEC;
	return 0;
}

bool argument_time(const char *option, const char *text, int64_t *out_ns)
{
	char *end = NULL;
	double value = *text >= '0' && *text <= '9' ? strtod(text, &end) : 0;
	/* In doubles, so that a huge number is seen to be one and cannot overflow. */
	double ns = end != NULL ? value * (double)unit_ns(end) : 0;

	if (!(ns >= 1 && ns <= (double)DAY_NS)) {
		fprintf(stderr, "comet-cli: %s takes a time such as 500ms, 10, 1.5s or 5m, at most 24h, not \"%s\"\n",
			option, text);
		return false;
	}
	*out_ns = (int64_t)ns;
	return true;
}

bool argument_numbers(const char *option, const char *text, int32_t *numbers, size_t max, size_t *n_out)
{
	size_t n = 0;

	for (const char *at = text; n < max; at++) {
		char *end;
		int64_t number;

		if (!parse_i64(at, &end, &number) || number < 0 || number > INT32_MAX || (*end != ',' && *end != '\0'))
			break;
		numbers[n++] = (int32_t)number;
		if (*end == '\0') {
			*n_out = n;
			return true;
		}
		at = end;
	}
	fprintf(stderr, "comet-cli: %s takes at most %zu numbers with commas, such as 1000,1001, not \"%s\"\n", option,
		max, text);
	return false;
}

const char *argument_secret(char *value, char **copy)
{
	char *text = strdup(value);

	if (text == NULL)
		return value;
	memset(value, '*', strlen(value));
	free(*copy);
	*copy = text;
	return text;
}

int argument_wrong(const char *command, const char *format, ...)
{
	va_list words;

	fprintf(stderr, "comet-cli %s: ", command);
	va_start(words, format);
	vfprintf(stderr, format, words);
	va_end(words);
	fprintf(stderr, "; comet-cli %s --help shows how\n", command);
	return EXIT_USAGE;
}
