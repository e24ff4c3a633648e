/* fake_machine: see fake_machine.h. SPDX-License-Identifier: MIT */
#include "tests/unit/fake_machine.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/machine.h"
#include "common/base/obj.h"

static char root[64];

void fake_machine_init(void)
{
	(void)snprintf(root, sizeof(root), "/tmp/fake_machine_XXXXXX");
	BUG_UNLESS(mkdtemp(root) != NULL);
	machine_look_under(root);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st, (void)kind, (void)where;
	return remove(path);
}

void fake_machine_fini(void)
{
	machine_look_under("");
	BUG_UNLESS(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

void fake_machine_has(const char *path, const char *text)
{
	char file[256];
	FILE *f;

	(void)snprintf(file, sizeof(file), "%s%s", root, path);
	for (char *end = strchr(file + strlen(root) + 1, '/'); end != NULL; end = strchr(end + 1, '/')) {
		*end = '\0';
		(void)mkdir(file, 0700); /* or it is there */
		*end = '/';
	}
	f = fopen(file, "we");
	BUG_UNLESS(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}
