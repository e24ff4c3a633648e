/* node_name: see node_name.h. SPDX-License-Identifier: MIT */
#include "common/base/node_name.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"

/* Ids below it come again after each boot, and in each container. */
#define LOW_PID 1000
/* The inode of the first process namespace (PROC_PID_INIT_INO of the kernel). */
#define FIRST_NAMESPACE 0xEFFFFFFCu

static bool is_alone_with_its_id(void)
{
	struct stat namespace;

	if (getpid() < LOW_PID)
		return false;
	return stat("/proc/self/ns/pid", &namespace) < 0 || namespace.st_ino == FIRST_NAMESPACE;
}

/* Letters that are not taken for digits. */
static void add_random_part(char *name)
{
	static const char letters[32] = "abcdefghjkmnpqrstuvwxyz023456789";
	uint64_t dice;
	size_t n = strlen(name);

	if (getrandom(&dice, sizeof(dice), 0) != (ssize_t)sizeof(dice))
		dice = (uint64_t)clock_now_ns();
	name[n++] = '-';
	for (int i = 0; i < 6; i++, dice >>= 5)
		name[n++] = letters[dice % sizeof(letters)];
	name[n] = '\0';
}

void node_name(const char *given, char name[NODE_NAME_BYTES])
{
	char host[65] = "comet";

	if (given[0] != '\0') {
		(void)snprintf(name, NODE_NAME_BYTES, "%s", given);
		return;
	}
	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(name, NODE_NAME_BYTES, "%s-%d", host, (int)getpid());
	if (!is_alone_with_its_id())
		add_random_part(name);
}
