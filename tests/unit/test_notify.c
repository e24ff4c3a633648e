/* Tests of common/base/notify, with a socket of the test's own in place of systemd's. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/notify.h"

static int manager;
static char path[100];

static int set_up(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/test_notify.%d", (int)getpid());
	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	manager = socket(AF_UNIX, SOCK_DGRAM, 0);
	return bind(manager, (const struct sockaddr *)&name, sizeof(name));
}

static int tear_down(void **state)
{
	(void)state;
	notify_stop();
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	(void)unlink(path);
	return close(manager);
}

static const char *heard(void)
{
	static char text[600];
	ssize_t n = recv(manager, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void start(void)
{
	(void)setenv("NOTIFY_SOCKET", path, 1);
	notify_start();
}

static void each_word_is_a_datagram(void **state)
{
	(void)state;
	start();
	notify_status("starting");
	assert_string_equal(heard(), "STATUS=starting");
	notify_ready("running");
	assert_string_equal(heard(), "READY=1\nSTATUS=running");
	notify_reloading();
	assert_int_equal(strncmp(heard(), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
}

static void a_stop_says_how_long_it_takes(void **state)
{
	(void)state;
	start();
	notify_stopping("draining", 45000);
	assert_string_equal(heard(), "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=45000000");
}

static void the_watchdog_hears_it_twice_in_its_time(void **state)
{
	char pid[24];

	(void)state;
	(void)setenv("WATCHDOG_USEC", "30000000", 1);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)setenv("WATCHDOG_PID", pid, 1);
	start();
	assert_int_equal(notify_alive_every_ms(), 15000);
	notify_alive();
	assert_string_equal(heard(), "WATCHDOG=1");
	notify_stop();
	(void)setenv("WATCHDOG_PID", "1", 1); /* another process is meant */
	start();
	assert_int_equal(notify_alive_every_ms(), 0);
}

static void without_a_manager_nothing_happens(void **state)
{
	static const char *const names[] = {"", "x", "relative/path", "/tmp/test_notify.nobody"};

	(void)state;
	notify_start();
	notify_ready("running");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)setenv("NOTIFY_SOCKET", names[i], 1);
		notify_start();
		notify_ready("running");
		notify_stop();
	}
	assert_string_equal(heard(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_word_is_a_datagram, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stop_says_how_long_it_takes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_watchdog_hears_it_twice_in_its_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_a_manager_nothing_happens, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
