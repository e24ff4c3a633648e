/* Tests of common/http/http_keys: what a file of keys may hold, whose a key is, and that a file which is wrong changes nothing.
 * SPDX-License-Identifier: MIT */
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

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/http/http_keys.h"
#include "tests/unit/seam.h"

static char path[] = "/tmp/test-http-keys-XXXXXX";
static struct http_keys *keys;

static void write_file(const char *text, size_t bytes)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, bytes, f), bytes);
	assert_int_equal(fclose(f), 0);
}

static void file_is(const char *text)
{
	write_file(text, strlen(text));
}

static int set_up(void **state)
{
	int fd;

	(void)state;
	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	if ((fd = mkstemp(path)) < 0)
		return -1;
	return close(fd);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	if (keys != NULL)
		http_keys_free(&keys);
	return unlink(path);
}

/* The name and the scopes of who has this key, such as "shop kick"; "nobody". */
static const char *whose(const char *shown)
{
	static char text[256];
	char scopes[HTTP_SCOPES_BYTES];
	struct http_key found;

	if (!http_keys_find(keys, shown, &found)) {
		assert_int_equal(found.scopes, 0);
		return "nobody";
	}
	http_scopes_words(found.scopes, ",", scopes);
	(void)snprintf(text, sizeof(text), "%s %s", found.name, found.scopes == HTTP_ALL ? "all" : scopes);
	return text;
}

#define PUSH "push:keys,push:users,push:rooms,push:all"
#define READ "metrics,online,upstream,events,stream"

static void keys_have_names_and_scopes(void **state)
{
	(void)state;
	file_is("# who may do what\n\n  shop  push,kick   k-1\t\nwatch read k-2\r\nboss all k-3\nlast push k-4");
	assert_int_equal(http_keys_new("", path, &keys), 0);
	assert_string_equal(whose("k-1"), "shop " PUSH ",kick");
	assert_string_equal(whose("k-2"), "watch " READ);
	assert_string_equal(whose("k-3"), "boss all");
	assert_string_equal(whose("k-4"), "last " PUSH);
	assert_string_equal(whose("k-5"), "nobody");
	assert_string_equal(whose("k-"), "nobody");
	assert_string_equal(whose("k-11"), "nobody");
	assert_string_equal(whose(""), "nobody");
	assert_string_equal(whose(NULL), "nobody");
}

static void each_scope_has_a_word(void **state)
{
	(void)state;
	file_is("a metrics 1\nb online,upstream 2\nc events,stream 3\nd push:keys 4\ne push:users,push:rooms 5\n"
		"f push:all,kick,admin 6\ng " READ "," PUSH ",kick,admin 7\n");
	assert_int_equal(http_keys_new("", path, &keys), 0);
	assert_string_equal(whose("1"), "a metrics");
	assert_string_equal(whose("2"), "b online,upstream");
	assert_string_equal(whose("3"), "c events,stream");
	assert_string_equal(whose("4"), "d push:keys");
	assert_string_equal(whose("5"), "e push:users,push:rooms");
	assert_string_equal(whose("6"), "f push:all,kick,admin");
	assert_string_equal(whose("7"), "g all");
}

static void a_key_may_have_rooms_a_rate_and_an_end(void **state)
{
	struct http_key found;

	(void)state;
	file_is("shop push:rooms,online 1 rooms=live://*,dm://1 rate=50 until=2027-01-31\n"
		"plain push 2\nlate push 3 until=2027-01-31T12:00:01Z\n");
	assert_int_equal(http_keys_new("", path, &keys), 0);
	assert_true(http_keys_find(keys, "1", &found));
	assert_true(http_key_may_room(&found, "live://7"));
	assert_true(http_key_may_room(&found, "dm://1"));
	assert_false(http_key_may_room(&found, "dm://12"));
	assert_false(http_key_may_room(&found, "live:/"));
	assert_false(http_key_may_room(&found, ""));
	assert_int_equal(found.rate, 50);
	assert_int_equal(found.until_s, 1801353600);
	assert_true(http_keys_find(keys, "2", &found));
	assert_true(http_key_may_room(&found, "anything"));
	assert_int_equal(found.rate, 0);
	assert_int_equal(found.until_s, 0);
	assert_true(http_keys_find(keys, "3", &found));
	assert_int_equal(found.until_s, 1801353600 + 43201);
}

static void a_key_may_stand_there_as_its_hash(void **state)
{
	(void)state;
	/* printf %s hello | sha256sum */
	file_is("shop push sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938B9824\n");
	assert_int_equal(http_keys_new("", path, &keys), 0);
	assert_string_equal(whose("hello"), "shop " PUSH);
	assert_string_equal(whose("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"), "nobody");
	assert_string_equal(whose("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"), "nobody");
}

static int reload(void)
{
	const struct reload_part part = http_keys_reload(keys);

	return reload_all(&part, 1);
}

static void the_one_key_of_the_settings_may_do_everything_beside_those_of_the_file(void **state)
{
	(void)state;
	file_is("shop push k-1\n");
	assert_int_equal(http_keys_new("the one", path, &keys), 0);
	assert_string_equal(whose("the one"), "(api_key) all");
	assert_string_equal(whose("k-1"), "shop " PUSH);
	assert_string_equal(whose("the"), "nobody");
}

static void where_no_keys_are_set_everybody_may_do_everything(void **state)
{
	(void)state;
	assert_int_equal(http_keys_new("", "", &keys), 0);
	assert_string_equal(whose(NULL), " all");
	assert_string_equal(whose("whatever"), " all");
	assert_int_equal(reload(), 0);
}

static void what_is_wrong_in_a_file_is_an_error(void **state)
{
	static const char *const wrong[] = {
		"",
		"# nothing else\n",
		"shop\n",
		"shop push\n",
		"shop push k more\n",
		"sh/op push k\n",
		"(api_key) push k\n",
		"0123456789012345678901234567890123456789012345678901234567890123 push k\n",
		"shop pull k\n",
		"shop push,,kick k\n",
		"shop push, k\n",
		"shop push k\xc3\xa9\n",
		"shop push k\x01\n",
		"shop push sha256:\n",
		"shop push sha256:2cf24dba\n",
		"shop push sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b98zz\n",
		"shop push k-1\nshop kick k-2\n",
		"shop push k-1\nwatch kick k-1\n",
		"shop push k-1\nwatch kick\n",
		"shop push: k\n",
		"shop push:room k\n",
		"shop Push k\n",
		"shop push:rooms k rooms=\n",
		"shop push:rooms k rooms=,\n",
		"shop push k rooms=live://*\n",
		"shop push:rooms,kick k rooms=live://*\n",
		"shop push:rooms,upstream k rooms=live://*\n",
		"shop all k rooms=live://*\n",
		"shop push k rate=0\n",
		"shop push k rate=-1\n",
		"shop push k rate=+1\n",
		"shop push k rate=1000001\n",
		"shop push k rate=99999999999999999999\n",
		"shop push k rate=5x\n",
		"shop push k rate=\n",
		"shop push k until=\n",
		"shop push k until=tomorrow\n",
		"shop push k until=2027-02-30\n",
		"shop push k until=2027-2-03\n",
		"shop push k until=2027-02-03T\n",
		"shop push k until=2027-02-03T10:00:00\n",
		"shop push k until=2027-02-03T25:00:00Z\n",
		"shop push k until=2027-02-03T10:00:00Zx\n",
		"shop push k until=1960-02-03\n",
		"shop push k Rate=5\n",
		"shop push k rate=5 until=2027-01-31 rate=6 rate=7\n",
	};
	char line[2100];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		file_is(wrong[i]);
		assert_int_equal(http_keys_new("", path, &keys), -ERR_CONFIG);
	}
	write_file("shop push k\0\n", 13);
	assert_int_equal(http_keys_new("", path, &keys), -ERR_CONFIG);
	(void)snprintf(line, sizeof(line), "shop push %02000d\n", 1);
	file_is(line);
	assert_int_equal(http_keys_new("", path, &keys), -ERR_CONFIG);
	(void)snprintf(line, sizeof(line), "shop push:rooms k rooms=%0256d\n", 1);
	file_is(line);
	assert_int_equal(http_keys_new("", path, &keys), -ERR_CONFIG);
	assert_int_equal(http_keys_new("", "/no/such/file", &keys), -ENOENT);
	assert_int_equal(http_keys_new("", "/tmp", &keys), -EIO);
	assert_null(keys);
}

static void a_reload_takes_all_or_nothing(void **state)
{
	(void)state;
	file_is("shop push k-1\n");
	assert_int_equal(http_keys_new("", path, &keys), 0);
	file_is("shop push k-2\nnew all k-3\nbroken\n");
	assert_int_equal(reload(), -ERR_CONFIG);
	assert_string_equal(whose("k-1"), "shop " PUSH);
	assert_string_equal(whose("k-3"), "nobody");
	file_is("");
	assert_int_equal(reload(), -ERR_CONFIG);
	assert_string_equal(whose("k-1"), "shop " PUSH);
	file_is("shop read k-2\n");
	assert_int_equal(reload(), 1);
	assert_string_equal(whose("k-1"), "nobody");
	assert_string_equal(whose("k-2"), "shop " READ);
}

static void a_thousand_keys_are_taken_and_no_more(void **state)
{
	FILE *f = fopen(path, "we");

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		(void)fprintf(f, "name-%d read key-%d\n", i, i);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(http_keys_new("", path, &keys), 0);
	assert_string_equal(whose("key-0"), "name-0 " READ);
	assert_string_equal(whose("key-999"), "name-999 " READ);
	f = fopen(path, "ae");
	assert_non_null(f);
	(void)fprintf(f, "name-1000 read key-1000\n");
	assert_int_equal(fclose(f), 0);
	assert_int_equal(reload(), -ERR_CONFIG);
}

static void names_keep_their_place_in_the_metrics(void **state)
{
	struct http_key shop, other, none;

	(void)state;
	file_is("metric-shop push k-1\n");
	assert_int_equal(http_keys_new("", path, &keys), 0);
	assert_true(http_keys_find(keys, "k-1", &shop));
	file_is("metric-other push k-2\n");
	assert_int_equal(reload(), 1);
	assert_true(http_keys_find(keys, "k-2", &other));
	assert_false(http_keys_find(keys, "k-1", &none));
	assert_int_not_equal(shop.label, other.label);
	assert_int_not_equal(shop.label, none.label);
	file_is("metric-shop push k-3\n");
	assert_int_equal(reload(), 1);
	assert_true(http_keys_find(keys, "k-3", &other));
	assert_int_equal(shop.label, other.label);
	assert_true(other.label < COUNTER_LABELS_MAX);
}

static void without_memory_nothing_is_left(void **state)
{
	(void)state;
	file_is("shop push k-1\nwatch kick k-2\n");
	for (unsigned after = 0; keys == NULL; after++) {
		int rc;

		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = http_keys_new("one", path, &keys);
		assert_int_equal(rc, seam_failed(SEAM_ALLOC) > 0 ? -ENOMEM : 0);
	}
	seam_reset();
	assert_string_equal(whose("k-2"), "watch kick");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CASE(keys_have_names_and_scopes),
		CASE(each_scope_has_a_word),
		CASE(a_key_may_have_rooms_a_rate_and_an_end),
		CASE(a_key_may_stand_there_as_its_hash),
		CASE(the_one_key_of_the_settings_may_do_everything_beside_those_of_the_file),
		CASE(where_no_keys_are_set_everybody_may_do_everything),
		CASE(what_is_wrong_in_a_file_is_an_error),
		CASE(a_reload_takes_all_or_nothing),
		CASE(names_keep_their_place_in_the_metrics), /* before the places are all taken */
		CASE(a_thousand_keys_are_taken_and_no_more),
		CASE(without_memory_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
