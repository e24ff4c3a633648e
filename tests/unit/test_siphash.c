/* Tests of common/base/siphash. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/siphash.h"

/* By another implementation, that of Python 3.11: hash(bytes) with PYTHONHASHSEED=0, which is a key of zeros. */
static void hashes_are_those_of_others(void **state)
{
	static const struct {
		const char *text;
		uint64_t hash;
	} known[] = {
		{"a", 0x407448d2b89b1813},
		{"abc", 0xc03bc3a0042630f2},
		{"seven b", 0xab2262fcb5199654},
		{"8 bytes.", 0x3782c3e6045fbc04},
		{"nine byte", 0xbf1900b61a2cf12c},
		{"room://1", 0x755324544309c89b},
		{"c0ffee00-1234-5678-9abc-def012345678", 0x11abebf24b019b1f},
		{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		 0xe27ba1701482722b},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_true(siphash((struct siphash_key){0, 0}, known[i].text, strlen(known[i].text)) == known[i].hash);
}

/* The first of the reference's vectors for this number of rounds: of no bytes, with the key 00 01 .. 0f. */
static void both_halves_of_the_key_count(void **state)
{
	const struct siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

	(void)state;
	assert_true(siphash(key, "", 0) == 0xabac0158050fc4dc);
	assert_true(siphash((struct siphash_key){1, 0}, "a", 1) != siphash((struct siphash_key){0, 0}, "a", 1));
	assert_true(siphash((struct siphash_key){0, 1}, "a", 1) != siphash((struct siphash_key){0, 0}, "a", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_those_of_others),
		cmocka_unit_test(both_halves_of_the_key_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
