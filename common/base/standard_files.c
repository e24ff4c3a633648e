/* standard_files: see standard_files.h. On main. SPDX-License-Identifier: MIT */
#include "common/base/standard_files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int standard_files_open(void)
{
	for (int number = STDIN_FILENO; number <= STDERR_FILENO; number++) {
		if (fcntl(number, F_GETFD) >= 0)
			continue;
		/* The lowest free number is the one that is given, and that is this one. Not close-on-exec: as the others. */
		if (open("/dev/null", O_RDWR) < 0)
			return -errno;
	}
	return 0;
}
