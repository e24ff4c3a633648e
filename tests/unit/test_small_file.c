/* Tests of common/base/small_file. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/small_file.h"

static char path[64];

static int set_up(void **state)
{
	int fd;

	(void)state;
	(void)strncpy(path, "/tmp/test_small_file.XXXXXX", sizeof(path) - 1);
	fd = mkstemp(path);
	return fd < 0 || write(fd, "0123456789", 10) != 10 || close(fd) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

static void all_of_it_is_read_or_as_much_as_there_is_space_for(void **state)
{
	char bytes[16] = "";
	size_t n;

	(void)state;
	assert_int_equal(small_file_read(path, bytes, sizeof(bytes), &n, NULL), 0);
	assert_int_equal(n, 10);
	assert_memory_equal(bytes, "0123456789", 10);
	assert_int_equal(small_file_read(path, bytes, 4, &n, NULL), 0);
	assert_int_equal(n, 4);
	assert_int_equal(small_file_read("/nowhere", bytes, 4, &n, NULL), -ENOENT);
	assert_int_equal(n, 0);
	assert_int_equal(small_file_read("/tmp", bytes, 4, &n, NULL), -EISDIR);
}

static void a_file_that_others_can_open_is_told(void **state)
{
	static const struct {
		mode_t mode;
		bool is_open;
	} cases[] = {{0600, false}, {0640, false}, {0660, false}, {0604, true}, {0602, true}, {0644, true}};
	char bytes[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool is_open = !cases[i].is_open;
		size_t n;

		assert_int_equal(chmod(path, cases[i].mode), 0);
		assert_int_equal(small_file_read(path, bytes, sizeof(bytes), &n, &is_open), 0);
		assert_int_equal(is_open, cases[i].is_open);
	}
}

static void a_pipe_in_its_place_holds_nobody_up(void **state)
{
	char bytes[16];
	size_t n;

	(void)state;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(small_file_read(path, bytes, sizeof(bytes), &n, NULL), 0);
	assert_int_equal(n, 0);
}

#define file_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		file_test(all_of_it_is_read_or_as_much_as_there_is_space_for),
		file_test(a_file_that_others_can_open_is_told),
		file_test(a_pipe_in_its_place_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
