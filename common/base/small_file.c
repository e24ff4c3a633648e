/* small_file: see small_file.h. SPDX-License-Identifier: MIT */
#include "common/base/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

bool small_file_is_open(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & (S_IROTH | S_IWOTH)) != 0;
}

int small_file_read(const char *path, void *bytes, size_t space, size_t *n, bool *is_open)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t part = 1;
	int rc = 0;

	*n = 0;
	if (fd < 0)
		return -errno;
	if (is_open != NULL)
		*is_open = small_file_is_open(fd);
	while (rc == 0 && part > 0 && *n < space) {
		part = read(fd, (char *)bytes + *n, space - *n);
		if (part < 0)
			rc = -errno;
		else
			*n += (size_t)part;
	}
	(void)close(fd);
	return rc;
}
