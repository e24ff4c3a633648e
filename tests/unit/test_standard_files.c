/* standard_files: what was closed is there, what was open stays as it is. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/standard_files.h"

static bool is_null_device(int fd)
{
	struct stat null, here;

	return stat("/dev/null", &null) == 0 && fstat(fd, &here) == 0 && here.st_rdev == null.st_rdev;
}

/* In a child, so that the test keeps its own files. Its exit code has a bit for each file that is /dev/null then. */
static int null_devices_after_closing(unsigned closed)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		unsigned null = 0;

		for (int fd = 0; fd < 3; fd++)
			if (closed & 1U << fd)
				(void)close(fd);
		if (standard_files_open() < 0)
			_exit(99);
		for (int fd = 0; fd < 3; fd++)
			null |= is_null_device(fd) ? 1U << fd : 0;
		_exit((int)null);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void what_was_closed_becomes_the_null_device_and_nothing_else_does(void **state)
{
	unsigned before = (unsigned)null_devices_after_closing(0);

	(void)state;
	for (unsigned closed = 0; closed < 8; closed++)
		assert_int_equal(null_devices_after_closing(closed), before | closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_closed_becomes_the_null_device_and_nothing_else_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
