/* bench_body: the body of a benchmark's push. Fixed columns, so that reading one back costs next to nothing, and JSON,
 * so that every server of this protocol takes it. Pure. SPDX-License-Identifier: MIT */
#include "bench/bench_body.h"

#include <stdio.h>
#include <string.h>

#include "common/base/obj.h"

/* {"run":"0123456789abcdef","n":"0000000012","ns":"0000000000000000034","pad":"all an"}
 * Numbers as strings: JSON knows none that begin with 0. */
#define RUN_AT    8
#define RUN_BYTES 16
#define N_AT      (RUN_AT + RUN_BYTES + 7)
#define N_DIGITS  10
#define NS_AT     (N_AT + N_DIGITS + 8)
#define NS_DIGITS 19

/* Words at random, which compress by half, as most that is pushed does; of one push always the same. */
static void write_words(char *out, size_t bytes, uint32_t n)
{
	static const char *const words[] = {
		"a",    "all",  "an",    "and",  "are",  "as",   "at",   "be",   "been",  "but",  "by",   "can",  "did",
		"do",   "for",  "from",  "get",  "go",   "had",  "has",  "have", "he",    "her",  "him",  "his",  "how",
		"if",   "in",   "into",  "is",   "it",   "its",  "like", "long", "look",  "make", "many", "more", "my",
		"no",   "not",  "now",   "of",   "on",   "one",  "or",   "out",  "other", "said", "see",  "she",  "so",
		"some", "than", "there", "they", "this", "time", "will", "word", "write", "you",  "were", "when",
	};
	uint32_t x = n * 2654435761U + 1;

	_Static_assert(sizeof(words) / sizeof(words[0]) == 64, "6 bits choose a word");

	for (size_t at = 0; at < bytes;) {
		const char *word;

		x = x * 1664525 + 1013904223;
		for (word = words[x >> 26]; *word != '\0' && at < bytes; word++)
			out[at++] = *word;
		if (at < bytes)
			out[at++] = ' ';
	}
}

void bench_body_write(char *body, size_t body_bytes, const char *run, uint32_t n, int64_t sent_ns)
{
	char head[BENCH_BODY_MIN];
	int used = snprintf(head, sizeof(head), "{\"run\":\"%.16s\",\"n\":\"%010u\",\"ns\":\"%019lld\",\"pad\":\"", run,
			    n, (long long)sent_ns);

	BUG_UNLESS(used > 0 && (size_t)used < sizeof(head) && body_bytes >= (size_t)used + 2);
	memcpy(body, head, (size_t)used);
	write_words(body + used, body_bytes - (size_t)used, n);
	body[body_bytes - 2] = '"';
	body[body_bytes - 1] = '}';
}

static bool read_digits(const uint8_t *at, unsigned digits, uint64_t *out)
{
	*out = 0;
	for (unsigned i = 0; i < digits; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		*out = *out * 10 + (at[i] - '0');
	}
	return true;
}

bool bench_body_read(const uint8_t *body, size_t body_bytes, const char *run, uint32_t *n, int64_t *sent_ns)
{
	uint64_t number, ns;

	if (body_bytes < BENCH_BODY_MIN || memcmp(body, "{\"run\":\"", RUN_AT) != 0 ||
	    memcmp(body + RUN_AT, run, RUN_BYTES) != 0)
		return false;
	if (!read_digits(body + N_AT, N_DIGITS, &number) || !read_digits(body + NS_AT, NS_DIGITS, &ns) ||
	    number > UINT32_MAX || ns > INT64_MAX)
		return false;
	*n = (uint32_t)number;
	*sent_ns = (int64_t)ns;
	return true;
}
