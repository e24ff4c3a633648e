/* Tests of logic/bans_file. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "logic/bans_file.h"
#include "tests/unit/seam.h"

#define HOUR INT64_C(3600000)

static struct config cfg;
static char folder[] = "/tmp/comet-test-bans-XXXXXX", path[64];
static struct bans *bans;
static struct bans_file *file;

static int make_folder(void **state)
{
	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	(void)unsetenv("STATE_DIRECTORY");
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/bans", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int set_up(void **state)
{
	(void)state;
	if (config_init(&cfg) < 0)
		return -1;
	cfg.limits_bans = 3;
	free(cfg.auth_bans_file);
	cfg.auth_bans_file = strdup(path);
	return bans_new(&bans);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	if (file != NULL)
		bans_file_free(&file);
	bans_free(&bans);
	config_fini(&cfg);
	(void)unlink(path);
	return 0;
}

static int put(const char *name, bool lifted)
{
	const struct ban_keeper keeper = bans_file_keeper(file);
	struct ban ban = {.kind = BAN_USER, .name = name, .until_ms = clock_wall_ms() + HOUR, .lifted = lifted};

	return keeper.put(keeper.self, &ban, 1);
}

static bool is_out(const char *user)
{
	struct ban_found found;

	return bans_find(bans, &(struct ban_subject){.user = user}, &found);
}

static void start_again(void)
{
	bans_file_free(&file);
	bans_free(&bans);
	assert_int_equal(bans_new(&bans), 0);
	assert_int_equal(bans_file_new(&cfg, bans, &file), 0);
}

static void bans_are_there_at_the_next_start(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(bans_file_new(&cfg, bans, &file), 0);
	assert_int_equal(put("7", false), 0);
	assert_int_equal(put("a name with spaces", false), 0);
	assert_int_equal(put("7", true), 0);
	assert_int_equal(put("8", false), 0);
	assert_int_equal(put("9", false), -ENOSPC);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	start_again();
	assert_true(is_out("a name with spaces") && is_out("8"));
	assert_false(is_out("7") || is_out("9"));
	assert_int_equal(put("7", false), 0);
	assert_true(is_out("7"));
}

static void without_a_file_they_are_in_memory(void **state)
{
	(void)state;
	cfg.auth_bans_file[0] = '\0';
	assert_int_equal(bans_file_new(&cfg, bans, &file), 0);
	assert_int_equal(put("7", false), 0);
	assert_true(is_out("7"));
	start_again();
	assert_false(is_out("7"));
}

static void the_state_directory_has_it_where_no_setting_names_it(void **state)
{
	(void)state;
	cfg.auth_bans_file[0] = '\0';
	assert_int_equal(setenv("STATE_DIRECTORY", folder, 1), 0);
	assert_int_equal(bans_file_new(&cfg, bans, &file), 0);
	assert_int_equal(put("7", false), 0);
	start_again();
	assert_true(is_out("7"));
	(void)unsetenv("STATE_DIRECTORY");
}

static void a_file_that_cannot_be_written_is_an_error_and_the_ban_counts(void **state)
{
	(void)state;
	free(cfg.auth_bans_file);
	cfg.auth_bans_file = strdup("/nowhere/at/all");
	assert_int_equal(bans_file_new(&cfg, bans, &file), 0);
	assert_int_equal(put("7", false), -EIO);
	assert_true(is_out("7"));
}

static void write_text(const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void a_damaged_file_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"comet bans 1",
		"comet bans 2\nend 0\n",
		"comet bans 1\n",
		"comet bans 1\nend 1\n",
		"comet bans 1\nend 0\nend 0\n",
		"comet bans 1\n1 9999999999999 9999999999999 0 0 u:7\n",
		"comet bans 1\n1 9999999999999 9999999999999 0 0 u:7\nend 0\n",
		"comet bans 1\n1 9999999999999 9999999999999 0 u:7\nend 1\n",
		"comet bans 1\n1 9999999999999 9999999999999 0 0 x:7\nend 1\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_text(bad[i]);
		assert_int_equal(bans_file_new(&cfg, bans, &file), -ERR_CONFIG);
	}
	write_text("comet bans 1\n1 9999999999999 9999999999999 0 0 u:7\nend 1\n");
	assert_int_equal(bans_file_new(&cfg, bans, &file), 0);
	assert_true(is_out("7"));
}

static void each_allocation_may_fail(void **state)
{
	unsigned after = 0;
	int rc;

	(void)state;
	write_text("comet bans 1\n1 9999999999999 9999999999999 0 0 u:7\nend 1\n");
	do {
		seam_reset();
		seam_fail(SEAM_ALLOC, after++, 1, ENOMEM);
		if ((rc = bans_file_new(&cfg, bans, &file)) == 0)
			bans_file_free(&file);
		else
			assert_true(rc == -ENOMEM || rc == -ERR_CONFIG);
	} while (seam_failed(SEAM_ALLOC) > 0);
	assert_true(after > 2);
	seam_reset();
	assert_int_equal(bans_file_new(&cfg, bans, &file), 0);
	assert_true(is_out("7"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bans_are_there_at_the_next_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_a_file_they_are_in_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_state_directory_has_it_where_no_setting_names_it, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_be_written_is_an_error_and_the_ban_counts, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_damaged_file_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_allocation_may_fail, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
