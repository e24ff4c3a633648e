/* Tests of common/config/config_reload. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/config/config_reload.h"
#include "tests/unit/seam.h"

static char path[64];
static struct config cfg;
static int prepare_rc, prepared, settled, used;

static int prepare(void *arg, const struct config *next)
{
	(void)arg;
	assert_ptr_not_equal(next, &cfg);
	prepared += prepare_rc == 0;
	return prepare_rc;
}

static void settle(void *arg, bool use)
{
	(void)arg;
	settled++;
	used += use;
}

static struct config_reload reload;

static void write_file(const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/test_config_reload_XXXXXX");
	if ((fd = mkstemp(path)) < 0 || close(fd) < 0 || config_init(&cfg) < 0)
		return -1;
	cfg.file = path;
	prepare_rc = prepared = settled = used = 0;
	reload = (struct config_reload){.cfg = &cfg, .prepare = prepare, .settle = settle};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	config_reload_fini(&reload);
	config_fini(&cfg);
	return unlink(path);
}

static int reload_now(void)
{
	const struct reload_part part = config_reload_part(&reload);

	return reload_all(&part, 1);
}

static void live_settings_change_and_strings_that_were_read_stay_good(void **state)
{
	const char *before = cfg.websocket_origins;

	(void)state;
	write_file("[websocket]\norigins = https://a.example\n[limits]\nper_ip = 7\n[log]\nlevel = "
		   "debug\n[bucket]\nsize = 7\n");
	assert_int_equal(reload_now(), 1);
	assert_string_equal(cfg.websocket_origins, "https://a.example");
	assert_string_equal(before, "");
	assert_int_equal(cfg.limits_per_ip, 7);
	assert_int_equal(cfg.log_level, 3);
	assert_int_equal(cfg.bucket_size, 32); /* needs a restart */
	before = cfg.websocket_origins;
	write_file("");
	assert_int_equal(reload_now(), 1);
	assert_string_equal(cfg.websocket_origins, "");
	assert_string_equal(before, "https://a.example");
	assert_int_equal(cfg.limits_per_ip, 0);
	assert_int_equal(settled, 2);
	assert_int_equal(used, 2);
}

static void what_a_flag_has_said_stays(void **state)
{
	(void)state;
	assert_int_equal(config_flag(&cfg, "limits.per_ip=3", stderr), 0);
	assert_int_equal(config_flag(&cfg, "redis.password=secret", stderr), 0);
	write_file("[limits]\nper_ip = 7\nconnects = 5\n");
	assert_int_equal(reload_now(), 1);
	assert_int_equal(cfg.limits_per_ip, 3);
	assert_int_equal(cfg.limits_connects, 5);
	assert_string_equal(cfg.redis_password, "secret");
}

static void one_fault_changes_nothing(void **state)
{
	(void)state;
	write_file("[limits]\nper_ip = 7\nconnects = many\n");
	assert_int_equal(reload_now(), -ERR_CONFIG);
	write_file("[limits]\nper_ip = 7\n[websocket]\norigins = nonsense\n");
	assert_int_equal(reload_now(), -ERR_CONFIG);
	assert_int_equal(prepared + settled, 0);
	write_file("[limits]\nper_ip = 7\n");
	prepare_rc = -ENOENT;
	assert_int_equal(reload_now(), -ENOENT);
	assert_int_equal(settled, 0);
	assert_int_equal(cfg.limits_per_ip, 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(reload_now(), -ENOENT);
	write_file("");
}

/* Cookie without origins is refused, and both are taken out at once: but auth.headers needs a restart. */
static void what_changes_goes_together_with_what_stays(void **state)
{
	(void)state;
	assert_int_equal(config_flag(&cfg, "auth.headers=Cookie", stderr), 0);
	cfg.flagged[0] = cfg.flagged[1] = cfg.flagged[2] = 0;
	write_file("[websocket]\norigins = https://a.example\n[auth]\nheaders = Cookie\n");
	assert_int_equal(reload_now(), 1);
	write_file("");
	assert_int_equal(reload_now(), -ERR_CONFIG);
	assert_string_equal(cfg.websocket_origins, "https://a.example");
}

static void without_memory_all_stays_as_it_was(void **state)
{
	unsigned after = 0;
	int rc = -ENOMEM;

	(void)state;
	write_file("[limits]\nper_ip = 7\n[websocket]\norigins = https://a.example\n");
	for (; rc < 0 && after < 1000; after++) {
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = reload_now();
		assert_int_equal(cfg.limits_per_ip, rc < 0 ? 0 : 7);
	}
	assert_int_equal(rc, 1);
	assert_true(after > 20);
}

static void without_a_file_there_is_nothing_to_read(void **state)
{
	(void)state;
	cfg.file = NULL;
	assert_int_equal(reload_now(), 0);
}

#define reload_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		reload_test(live_settings_change_and_strings_that_were_read_stay_good),
		reload_test(what_a_flag_has_said_stays),
		reload_test(one_fault_changes_nothing),
		reload_test(what_changes_goes_together_with_what_stays),
		reload_test(without_memory_all_stays_as_it_was),
		reload_test(without_a_file_there_is_nothing_to_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
