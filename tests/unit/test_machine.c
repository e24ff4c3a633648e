/* Tests of common/base/machine, on a machine that is a few files. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/resource.h>
#include <unistd.h>

#include "common/base/machine.h"
#include "common/base/thread.h"
#include "tests/unit/fake_machine.h"

static int set_up(void **state)
{
	(void)state;
	fake_machine_init();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_machine_fini();
	return 0;
}

static void assert_reading(enum machine_limit which, int64_t value, int64_t used)
{
	struct machine_reading r = machine_read(which);

	assert_int_equal(r.value, value);
	assert_int_equal(r.used, used);
}

static void the_kernel_s_limits_are_read_with_what_is_used(void **state)
{
	(void)state;
	fake_machine_has("/proc/sys/kernel/pid_max", "32768\n");
	fake_machine_has("/proc/sys/kernel/threads-max", "9000\n");
	fake_machine_has("/proc/sys/vm/max_map_count", "65530\n");
	fake_machine_has("/proc/loadavg", "0.20 0.18 0.12 1/80 11206\n");
	fake_machine_has("/proc/self/maps", "a\nb\nc\n");
	assert_reading(MACHINE_PID_MAX, 32768, 80);
	assert_reading(MACHINE_THREADS_MAX, 9000, 80);
	assert_reading(MACHINE_MAX_MAP_COUNT, 65530, 3);
}

static void what_cannot_be_read_is_no_limit(void **state)
{
	(void)state;
	assert_reading(MACHINE_PID_MAX, -1, 0);
	assert_reading(MACHINE_MAX_MAP_COUNT, -1, 0);
	assert_reading(MACHINE_CGROUP_PIDS, -1, 0);
}

static void of_the_cgroups_above_us_the_one_with_the_least_room_counts(void **state)
{
	(void)state;
	fake_machine_has("/proc/self/cgroup", "0::/outer/inner\n");
	fake_machine_has("/sys/fs/cgroup/outer/inner/pids.max", "max\n");
	fake_machine_has("/sys/fs/cgroup/outer/inner/pids.current", "5\n");
	assert_reading(MACHINE_CGROUP_PIDS, -1, 0);
	fake_machine_has("/sys/fs/cgroup/outer/pids.max", "1000\n");
	fake_machine_has("/sys/fs/cgroup/outer/pids.current", "900\n");
	assert_reading(MACHINE_CGROUP_PIDS, 1000, 900);
	fake_machine_has("/sys/fs/cgroup/outer/inner/pids.max", "512\n");
	assert_reading(MACHINE_CGROUP_PIDS, 1000, 900);
	fake_machine_has("/sys/fs/cgroup/outer/pids.current", "7\n");
	assert_reading(MACHINE_CGROUP_PIDS, 512, 5);
}

static void cgroups_of_version_1_are_read(void **state)
{
	(void)state;
	fake_machine_has("/proc/self/cgroup", "9:name=systemd:/\n8:pids:/box\n4:memory:/other\n");
	fake_machine_has("/sys/fs/cgroup/pids/box/pids.max", "300\n");
	fake_machine_has("/sys/fs/cgroup/pids/box/pids.current", "20\n");
	assert_reading(MACHINE_CGROUP_PIDS, 300, 20);
}

static void files_are_those_of_this_process(void **state)
{
	struct rlimit files;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(machine_read(MACHINE_NOFILE).value, files.rlim_cur);
}

static void tasks_of_the_user_do_not_bind_root(void **state)
{
	struct rlimit before, few;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NPROC, &before), 0);
	few = before;
	few.rlim_cur = 10;
	assert_int_equal(setrlimit(RLIMIT_NPROC, &few), 0);
	assert_int_equal(machine_read(MACHINE_NPROC).value, getuid() == 0 ? -1 : 10);
	assert_int_equal(setrlimit(RLIMIT_NPROC, &before), 0);
}

static void limit_with_the_least_room_is_named_when_a_thread_cannot_start(void **state)
{
	char text[256];

	(void)state;
	fake_machine_has("/proc/sys/kernel/pid_max", "100\n");
	fake_machine_has("/proc/loadavg", "0.20 0.18 0.12 1/80 11206\n");
	fake_machine_has("/proc/self/cgroup", "0::/\n");
	fake_machine_has("/sys/fs/cgroup/pids.max", "64\n");
	fake_machine_has("/sys/fs/cgroup/pids.current", "64\n");
	thread_limit_text(text, sizeof(text));
	assert_string_equal(text, "pids.max of the cgroup: 64 of 64 used; raise it: TasksMax=infinity, or docker run "
				  "--pids-limit=-1");
	fake_machine_has("/sys/fs/cgroup/pids.max", "640\n");
	thread_limit_text(text, sizeof(text));
	assert_string_equal(text, "kernel.pid_max: 80 of 100 used; raise it: sysctl -w kernel.pid_max=4194304");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(the_kernel_s_limits_are_read_with_what_is_used),
		CASE(what_cannot_be_read_is_no_limit),
		CASE(of_the_cgroups_above_us_the_one_with_the_least_room_counts),
		CASE(cgroups_of_version_1_are_read),
		CASE(files_are_those_of_this_process),
		CASE(tasks_of_the_user_do_not_bind_root),
		CASE(limit_with_the_least_room_is_named_when_a_thread_cannot_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
