/* Tests of common/base/cidr. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/cidr.h"

static const char *written(const char *text)
{
	static char out[CIDR_BYTES];
	struct cidr c;

	assert_null(cidr_read(text, &c));
	cidr_unmap(&c);
	cidr_text(&c, out);
	return out;
}

static void a_network_has_one_text(void **state)
{
	(void)state;
	assert_string_equal(written("192.0.2.1"), "192.0.2.1/32");
	assert_string_equal(written("10.0.0.0/8"), "10.0.0.0/8");
	assert_string_equal(written("2001:DB8:0::/32"), "2001:db8::/32");
	assert_string_equal(written("::ffff:10.1.2.3"), "10.1.2.3/32");
	assert_string_equal(written("::ffff:10.1.0.0/112"), "10.1.0.0/16");
	assert_string_equal(written("::/0"), "::/0");
}

static void a_cut_keeps_the_first_bits(void **state)
{
	char text[CIDR_BYTES];
	struct cidr c;

	(void)state;
	assert_null(cidr_read("10.255.255.255", &c));
	cidr_cut(&c, 13);
	cidr_text(&c, text);
	assert_string_equal(text, "10.248.0.0/13");
	cidr_cut(&c, 0);
	cidr_text(&c, text);
	assert_string_equal(text, "0.0.0.0/0");
}

static void faults_have_words(void **state)
{
	static const char *const bad[] = {"", "x", "10.0.0.0/33", "10.0.0.1/8", "::1/129", "1.2.3", "1.2.3.4/", "/8"};
	struct cidr c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(cidr_read(bad[i], &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_network_has_one_text),
		cmocka_unit_test(a_cut_keeps_the_first_bits),
		cmocka_unit_test(faults_have_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
