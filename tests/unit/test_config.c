/* Tests of common/config/config and common/config/setting: where settings come from, what a value may be, what is said about those
 * that are wrong. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/version.h"
#include "common/config/config.h"
#include "common/config/config_redis.h"
#include "common/config/retired.h"
#include "common/config/setting.h"
#include "tests/unit/seam.h"

static struct config cfg;
static FILE *errors;
static char *said;
static size_t said_bytes;
static size_t heard_bytes;

static int set_up(void **state)
{
	(void)state;
	heard_bytes = 0;
	errors = open_memstream(&said, &said_bytes);
	return errors ? config_init(&cfg) : -1;
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	config_fini(&cfg);
	(void)fclose(errors);
	free(said);
	return 0;
}

static char folder[] = "/tmp/test_config.XXXXXX";

static int go_into_the_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? chdir(folder) : -1;
}

static int remove_the_folder(void **state)
{
	(void)state;
	return chdir("/") < 0 ? -1 : rmdir(folder);
}

/* What was complained about since the last call. */
static const char *complaints(void)
{
	const char *text;

	(void)fflush(errors);
	text = said + heard_bytes;
	heard_bytes = said_bytes;
	return text;
}

#define FILE_PATH "test_config.ini" /* in a folder of this run */

static int read_bytes(const char *bytes, size_t n)
{
	int fd = open(FILE_PATH, O_WRONLY | O_CREAT | O_EXCL, 0600);
	int rc;

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, bytes, n), n);
	(void)close(fd);
	rc = config_file(&cfg, FILE_PATH, errors);
	(void)unlink(FILE_PATH);
	return rc;
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

/* --- the table --- */

static void every_default_is_one_that_the_row_takes(void **state)
{
	(void)state;
	for (const struct setting *s = settings; s->name; s++) {
		char number[SETTING_TEXT_BYTES];
		char why[SETTING_WHY_BYTES] = "";
		char value[SETTING_LONGEST];

		(void)snprintf(value, sizeof(value), "%s", setting_show(s, &cfg, number));
		if (setting_set(s, &cfg, value, why) != 0)
			fail_msg("%s: %s", s->name, why);
		assert_string_equal(setting_show(s, &cfg, number), value);
		assert_ptr_equal(setting_find(s->section, s->key), s);
	}
}

static void the_highest_and_the_lowest_value_are_taken_and_shown_as_they_are(void **state)
{
	(void)state;
	for (const struct setting *s = settings; s->name; s++) {
		const int64_t ends[] = {s->min, s->max};

		for (unsigned i = 0; i < 2 && s->min < s->max; i++) {
			char text[SETTING_TEXT_BYTES];
			char number[SETTING_TEXT_BYTES];
			char why[SETTING_WHY_BYTES] = "";

			setting_text(s, ends[i], text);
			if (setting_set(s, &cfg, text, why) != 0)
				fail_msg("%s: %s", s->name, why);
			assert_string_equal(setting_show(s, &cfg, number), text);
		}
	}
}

static void a_slip_of_the_finger_finds_the_setting_that_was_meant(void **state)
{
	static const struct {
		const char *section, *key, *meant;
	} CASES[] = {
		{"tcp", "bnid", "tcp.bind"},
		{"tpc", "bind", "tcp.bind"},
		{"TCP", "BIND", "tcp.bind"},
		{"protocol", "handshaketimeout", "protocol.handshake_timeout"},
		{"http", "sndbuf", "tcp.sndbuf"},
		{"limit", "connections", "limits.connections"},
		{"limits", "conections", "limits.connections"},
		{"kafka", "brokers", NULL},
		{"", "", NULL},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bind", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		const struct setting *s = setting_nearest(CASES[i].section, CASES[i].key);

		if (CASES[i].meant)
			assert_string_equal(s ? s->name : "none", CASES[i].meant);
		else
			assert_null(s);
	}
}

/* --- values --- */

struct value_case {
	const char *assignment;
	int64_t value; /* or -1, and then what the complaint must say */
	const char *words;
};

static void check_values(const struct value_case *c, size_t n, const int64_t *field)
{
	for (; n > 0; n--, c++) {
		int64_t before = *field;
		int rc = config_flag(&cfg, c->assignment, errors);

		if (c->words) {
			assert_int_equal(rc, -ERR_CONFIG);
			assert_int_equal(*field, before);
			assert_string_equal(complaints(), c->words);
		} else {
			assert_string_equal(complaints(), "");
			assert_int_equal(rc, 0);
			assert_int_equal(*field, c->value);
		}
	}
}

static void a_size_takes_k_m_and_g(void **state)
{
#define NOT_SIZE(v)                                                                                                    \
	"-o tcp.sndbuf: `" v "` is not a size: a whole number of bytes, or with k, m or g behind it, such as 64k\n"
	static const struct value_case CASES[] = {
		{"tcp.sndbuf=0", 0, NULL},
		{"tcp.sndbuf=1", 1, NULL},
		{"tcp.sndbuf=4k", 4096, NULL},
		{"tcp.sndbuf=4K", 4096, NULL},
		{"tcp.sndbuf = 16m ", 16777216, NULL},
		{"tcp.sndbuf=1g", -1, "-o tcp.sndbuf: 1g is out of range; it goes from 0 to 16m\n"},
		{"tcp.sndbuf=-1", -1, "-o tcp.sndbuf: -1 is out of range; it goes from 0 to 16m\n"},
		{"tcp.sndbuf=16777217", -1, "-o tcp.sndbuf: 16777217 is out of range; it goes from 0 to 16m\n"},
		{"tcp.sndbuf=", -1, NOT_SIZE("")},
		{"tcp.sndbuf=4kb", -1, NOT_SIZE("4kb")},
		{"tcp.sndbuf=4 k", -1, NOT_SIZE("4 k")},
		{"tcp.sndbuf=1.5m", -1, NOT_SIZE("1.5m")},
		{"tcp.sndbuf=+1", -1, NOT_SIZE("+1")},
		{"tcp.sndbuf=0x10", -1, NOT_SIZE("0x10")},
		{"tcp.sndbuf=10s", -1, NOT_SIZE("10s")},
		{"tcp.sndbuf=9223372036854775808", -1, NOT_SIZE("9223372036854775808")},
		{"tcp.sndbuf=9223372036854775807k", -1, NOT_SIZE("9223372036854775807k")},
	};

	(void)state;
	check_values(CASES, sizeof(CASES) / sizeof(CASES[0]), &cfg.tcp_sndbuf);
}

static void a_time_takes_ms_s_m_and_h_and_never_goes_without(void **state)
{
#define NOT_TIME(v)                                                                                                    \
	"-o server.drain_timeout: `" v "` is not a time: a whole number with ms, s, m or h behind it, such as "        \
	"500ms or 5m\n"
	static const struct value_case CASES[] = {
		{"server.drain_timeout=0", 0, NULL},
		{"server.drain_timeout=1ms", 1, NULL},
		{"server.drain_timeout=90s", 90000, NULL},
		{"server.drain_timeout=2M", 120000, NULL},
		{"server.drain_timeout=1h", 3600000, NULL},
		{"server.drain_timeout=2h", -1, "-o server.drain_timeout: 2h is out of range; it goes from 0 to 1h\n"},
		{"server.drain_timeout=10", -1, NOT_TIME("10")},
		{"server.drain_timeout=10k", -1, NOT_TIME("10k")},
		{"server.drain_timeout=forever", -1, NOT_TIME("forever")},
	};

	(void)state;
	check_values(CASES, sizeof(CASES) / sizeof(CASES[0]), &cfg.server_drain_timeout);
}

static void a_number_takes_no_unit(void **state)
{
	static const struct value_case CASES[] = {
		{"bucket.size=10", 10, NULL},
		{"bucket.size=10k", -1, "-o bucket.size: `10k` is not a whole number\n"},
		{"bucket.size=10000001", -1, "-o bucket.size: 10000001 is out of range; it goes from 1 to 4096\n"},
	};

	(void)state;
	check_values(CASES, sizeof(CASES) / sizeof(CASES[0]), &cfg.bucket_size);
}

static void a_switch_takes_yes_and_no_and_their_like(void **state)
{
	static const char *const YES[] = {"yes", "on", "true", "1", "YES"};
	static const char *const NO[] = {"no", "off", "false", "0", "Off"};

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		char flag[64];

		(void)snprintf(flag, sizeof(flag), "tcp.keepalive=%s", NO[i]);
		assert_int_equal(config_flag(&cfg, flag, errors), 0);
		assert_false(cfg.tcp_keepalive);
		(void)snprintf(flag, sizeof(flag), "tcp.keepalive=%s", YES[i]);
		assert_int_equal(config_flag(&cfg, flag, errors), 0);
		assert_true(cfg.tcp_keepalive);
	}
	assert_int_equal(config_flag(&cfg, "tcp.keepalive=maybe", errors), -ERR_CONFIG);
	assert_string_equal(complaints(), "-o tcp.keepalive: `maybe` is neither yes nor no\n");
	assert_true(cfg.tcp_keepalive);
}

static void a_choice_is_stored_as_its_index(void **state)
{
	(void)state;
	assert_int_equal(cfg.protocol_slow_consumer, CONFIG_SLOW_DISCONNECT);
	assert_int_equal(config_flag(&cfg, "protocol.slow_consumer=drop", errors), 0);
	assert_int_equal(cfg.protocol_slow_consumer, CONFIG_SLOW_DROP);
	assert_int_equal(config_flag(&cfg, "logic.mode=Redis", errors), 0);
	assert_int_equal(cfg.logic_mode, CONFIG_LOGIC_REDIS);
	assert_int_equal(config_flag(&cfg, "protocol.slow_consumer=dro", errors), -ERR_CONFIG);
	assert_int_equal(config_flag(&cfg, "protocol.slow_consumer=disconnect|drop", errors), -ERR_CONFIG);
	assert_string_equal(complaints(),
			    "-o protocol.slow_consumer: `dro` is not one of disconnect|drop\n"
			    "-o protocol.slow_consumer: `disconnect|drop` is not one of disconnect|drop\n");
	assert_int_equal(cfg.protocol_slow_consumer, CONFIG_SLOW_DROP);
}

static void a_string_is_taken_as_it_is_but_for_control_characters(void **state)
{
	char flag[SETTING_LONGEST + 32];
	size_t head;

	(void)state;
	assert_int_equal(config_flag(&cfg, "server.region= a=b ; c # d ", errors), 0);
	assert_string_equal(cfg.server_region, "a=b ; c # d");
	assert_int_equal(config_flag(&cfg, "server.region=", errors), 0);
	assert_string_equal(cfg.server_region, "");
	assert_int_equal(config_flag(&cfg, "server.region=x\ny", errors), -ERR_CONFIG);
	assert_string_equal(complaints(), "-o server.region: has a control character in it\n");
	assert_string_equal(cfg.server_region, "");

	head = (size_t)snprintf(flag, sizeof(flag), "server.region=");
	memset(flag + head, 'a', SETTING_LONGEST);
	flag[head + SETTING_LONGEST] = '\0';
	assert_int_equal(config_flag(&cfg, flag, errors), 0);
	assert_int_equal(strlen(cfg.server_region), SETTING_LONGEST);
	memcpy(flag + head + SETTING_LONGEST, "a", 2);
	assert_int_equal(config_flag(&cfg, flag, errors), -ERR_CONFIG);
	assert_string_equal(complaints(), "-o server.region: longer than 4000 bytes\n");
}

static void a_secret_is_never_shown(void **state)
{
	char *shown = NULL;
	size_t bytes;
	FILE *out = open_memstream(&shown, &bytes);

	(void)state;
	assert_non_null(out);
	assert_int_equal(config_flag(&cfg, "http.api_key=open sesame", errors), 0);
	assert_int_equal(config_flag(&cfg, "http.api_key=open\x01sesame", errors), -ERR_CONFIG);
	config_print(&cfg, out);
	(void)fclose(out);
	assert_string_equal(cfg.http_api_key, "open sesame");
	assert_null(strstr(complaints(), "sesame"));
	assert_null(strstr(shown, "sesame"));
	assert_non_null(strstr(shown, "\napi_key = ***\n"));
	/* Feeding that back must not leave us with a key that all can guess. */
	assert_int_equal(read_text("[http]\napi_key = ***\n"), -ERR_CONFIG);
	assert_string_equal(complaints(), FILE_PATH ":2: http.api_key: *** is what -t shows in place of a secret; give "
						    "the secret itself\n");
	free(shown);
}

/* --- the file --- */

static void a_file_is_read(void **state)
{
	(void)state;
	assert_int_equal(read_text("\xef\xbb\xbf; a comment\n"
				   "# another\r\n"
				   "[tcp]\r\n"
				   "bind = 127.0.0.1:1, [::1]:2\r\n"
				   "   sndbuf=64k\n"
				   "\n"
				   "[http] ; the API\n"
				   "api_key = a;b ;c#d\n"
				   "callers: 9\n"
				   "bind =\n"
				   "[limits]\n"
				   "per_ip = 7"),
			 0);
	assert_string_equal(complaints(), "");
	assert_string_equal(cfg.tcp_bind, "127.0.0.1:1, [::1]:2");
	assert_int_equal(cfg.tcp_sndbuf, 65536);
	assert_string_equal(cfg.http_api_key, "a;b ;c#d");
	assert_int_equal(cfg.http_callers, 9);
	assert_string_equal(cfg.http_bind, "");
	assert_int_equal(cfg.limits_per_ip, 7);
}

static void an_empty_file_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(read_text(""), 0);
	assert_string_equal(cfg.tcp_bind, "127.0.0.1:3101");
}

static void every_fault_of_a_file_is_reported_with_its_line(void **state)
{
	(void)state;
	assert_int_equal(read_text("early = 1\n"
				   "[tcp]\n"
				   "bnid = 127.0.0.1:1\n"
				   "sndbuf = lots\n"
				   "what is this\n"
				   "\n"
				   "[protocol\n"
				   "cli_proto = 1\n" /* nobody can say where this belongs */
				   "[http]\n"
				   "callers = 10001\n"
				   "callers = 3\n"
				   "= 4\n"
				   "bind = 127.0.0.1:5\n"
				   "last line"),
			 -ERR_CONFIG);
	assert_string_equal(
		complaints(), FILE_PATH
		":1: early: stands before any [section]\n" FILE_PATH
		":3: tcp.bnid: no such setting; did you mean tcp.bind?\n" FILE_PATH
		":4: tcp.sndbuf: `lots` is not a size: a whole number of bytes, or with k, m or g behind it, "
		"such as 64k\n" FILE_PATH ":5: neither a [section], nor key = value, nor a comment (; or #)\n" FILE_PATH
		":7: the [section] is not closed\n" FILE_PATH
		":10: http.callers: 10001 is out of range; it goes from 1 to 10000\n" FILE_PATH
		":11: http.callers: set twice, first on line 10\n" FILE_PATH ":12: http.: no such setting\n" FILE_PATH
		":14: neither a [section], nor key = value, nor a comment (; or #)\n");
	assert_string_equal(cfg.http_bind, "127.0.0.1:5");
	assert_int_equal(cfg.protocol_cli_proto, 8);
}

static void lines_that_are_too_long_or_hold_a_zero_byte_are_reported_and_passed_over(void **state)
{
	static const char ZERO[] = "[tcp]\nbind = a\0b\nsndbuf = 1k\n";
	char *text = malloc(20000);
	size_t n;

	(void)state;
	assert_non_null(text);
	assert_int_equal(read_bytes(ZERO, sizeof(ZERO) - 1), -ERR_CONFIG);
	assert_string_equal(complaints(), FILE_PATH ":2: the line has a zero byte in it\n");
	assert_int_equal(cfg.tcp_sndbuf, 1024);

	n = (size_t)sprintf(text, "[server]\nregion = ");
	memset(text + n, 'a', 15000);
	(void)snprintf(text + n + 15000, 16, "\nweight = 3\n");
	assert_int_equal(read_text(text), -ERR_CONFIG);
	assert_string_equal(complaints(), FILE_PATH ":2: the line is too long\n");
	assert_string_equal(cfg.server_region, "");
	assert_int_equal(cfg.server_weight, 3);
	(void)snprintf(text + n + SETTING_LONGEST, 2, "\n");
	assert_int_equal(read_text(text), 0);
	assert_int_equal(strlen(cfg.server_region), SETTING_LONGEST);
	free(text);
}

static void a_file_that_cannot_be_read_says_why(void **state)
{
	(void)state;
	assert_int_equal(config_file(&cfg, "/no/such/comet.ini", errors), -ENOENT);
	assert_int_equal(config_file(&cfg, "/tmp", errors), -EISDIR);
	assert_string_equal(complaints(), "/no/such/comet.ini: cannot be read: No such file or directory\n"
					  "/tmp: cannot be read: Is a directory\n");
}

/* --- environment, flags, and which wins --- */

static void the_environment_is_read(void **state)
{
	char *environment[] = {"PATH=/bin",
			       "COMET_TCP_BIND=127.0.0.1:5",
			       "COMET_PROTOCOL_HANDSHAKE_TIMEOUT= 7s",
			       "COMET_API_KEY=comet-cli's",
			       "COMET_HTTP=comet-cli's",
			       "COMET_HOST=comet-cli's",
			       "COMET_CONTEXT=comet-cli's",
			       "COMET_BUILD=build",
			       "COMET_TEST_PORT=1",
			       "COMET_SERVICE_HOST=10.0.0.1",
			       "COMET_SERVICE_PORT_WS=3102",
			       "COMET_PORT=tcp://10.0.0.1:3101",
			       "COMET_LOGIC_PORT_3111_TCP_ADDR=10.0.0.1",
			       NULL};

	(void)state;
	assert_int_equal(config_env(&cfg, environment, errors), 0);
	assert_string_equal(complaints(), "");
	assert_string_equal(cfg.tcp_bind, "127.0.0.1:5");
	assert_int_equal(cfg.protocol_handshake_timeout, 7000);
}

static void every_fault_of_the_environment_is_reported_with_its_variable(void **state)
{
	char *environment[] = {"COMET_TCP_BNID=1",  "COMET_BUCKET_SIZE=many", "COMET_", "COMET_X",
			       "COMET_KAFKA_HOSTS", "COMET_TCP_SNDBUF",       NULL};

	(void)state;
	assert_int_equal(config_env(&cfg, environment, errors), -ERR_CONFIG);
	assert_string_equal(
		complaints(),
		"COMET_TCP_BNID: no setting has this variable; did you mean COMET_TCP_BIND?\n"
		"COMET_BUCKET_SIZE: bucket.size: `many` is not a whole number\n"
		"COMET_: no setting has this variable\n"
		"COMET_X: no setting has this variable\n"
		"COMET_KAFKA_HOSTS: no setting has this variable\n"
		"COMET_TCP_SNDBUF: tcp.sndbuf: `` is not a size: a whole number of bytes, or with k, m or g "
		"behind it, such as 64k\n");
}

static void a_flag_must_be_section_key_and_value(void **state)
{
	static const char *const BAD[] = {"", "tcp", "tcp.bind", "tcp=1", ".bind=1", "tcp.=1", "=", "a.b.c=1"};

	(void)state;
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
		char want[96];

		(void)snprintf(want, sizeof(want), "-o %s: must be section.key=value\n", BAD[i]);
		assert_int_equal(config_flag(&cfg, BAD[i], errors), -ERR_CONFIG);
		assert_string_equal(complaints(), want);
	}
	assert_int_equal(config_flag(&cfg, "tcp.bnid=1", errors), -ERR_CONFIG);
	assert_string_equal(complaints(), "-o tcp.bnid: no such setting; did you mean tcp.bind?\n");
	/* As goim writes it. */
	assert_int_equal(config_flag(&cfg, "websocket.certFile=1", errors), -ERR_CONFIG);
	assert_string_equal(complaints(), "-o websocket.certFile: no such setting; did you mean tls.cert_file?\n");
	assert_int_equal(config_flag(&cfg, "tcp.privateFile_=1", errors), -ERR_CONFIG);
	assert_string_equal(complaints(), "-o tcp.privateFile_: no such setting; did you mean tls.private_file?\n");
	assert_int_equal(config_flag(&cfg, "server.id=a=b", errors), 0);
	assert_string_equal(cfg.server_id, "a=b");
}

#define GONE      ": warning: no effect since 0.2.0, take it out: "
#define ACCEPT    GONE "clients come in on the threads that serve them\n"
#define PUSH      GONE "there is one push thread for each core\n"
#define TIMER     GONE "there is one timer thread for each core\n"
#define WEBSOCKET GONE "WebSocket connections are served as those over TCP are\n"

static void a_setting_that_has_gone_is_a_warning_whatever_its_value(void **state)
{
	char *environment[] = {"COMET_WEBSOCKET_THREADS=many", "COMET_TCP_ACCEPT", NULL};

	(void)state;
	assert_int_equal(read_text("[tcp]\naccept = many\n[push]\nthreads = 65\nqueue = 7\n"), 0);
	assert_int_equal(config_env(&cfg, environment, errors), 0);
	assert_int_equal(config_flag(&cfg, "protocol.timer=", errors), 0);
	assert_string_equal(complaints(), "test_config.ini:2: tcp.accept" ACCEPT "test_config.ini:4: push.threads" PUSH
					  "COMET_WEBSOCKET_THREADS: websocket.threads" WEBSOCKET
					  "COMET_TCP_ACCEPT: tcp.accept" ACCEPT "-o protocol.timer" TIMER);
	assert_int_equal(cfg.push_queue, 7);
}

static void no_setting_is_both_here_and_gone(void **state)
{
	(void)state;
	for (const struct retired *r = retired_settings; r->name; r++) {
		assert_null(setting_find(r->section, r->key));
		assert_ptr_equal(retired_find(r->section, r->key), r);
	}
}

/* --- rules between settings --- */

static void good_addresses_on_loopback_pass(void **state)
{
	(void)state;
	assert_int_equal(config_check(&cfg, false, errors), 0);
	assert_int_equal(config_flag(&cfg, "tcp.bind=localhost:0, [::1]:65535,127.9.9.9:1", errors), 0);
	assert_int_equal(config_flag(&cfg, "websocket.bind=", errors), 0);
	assert_int_equal(config_check(&cfg, false, errors), 0);
	assert_string_equal(complaints(), "");
}

static void a_bind_must_be_host_and_port(void **state)
{
	static const struct {
		const char *address;
		const char *words;
	} CASES[] = {
#define FORM "must be host:port with a port up to 65535 (0 picks a free one), an IPv6 host in brackets, or unix:/path"
#define PATH "must have a path from / on behind unix:"
		{"127.0.0.1", FORM},      {"127.0.0.1:", FORM},
		{"127.0.0.1:http", FORM}, {"127.0.0.1:65536", FORM},
		{"127.0.0.1:-1", FORM},   {"127.0.0.1:999999", FORM},
		{"::1:80", FORM},         {"[::1]", FORM},
		{"[::1]80", FORM},        {"3101", FORM},
		{"[]:3101", FORM},        {"unix:", PATH},
		{"unix:relative", PATH},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char flag[64];
		char want[160];

		(void)snprintf(flag, sizeof(flag), "http.bind=127.0.0.1:1,%s", CASES[i].address);
		(void)snprintf(want, sizeof(want), "http.bind: %s %s\n", CASES[i].address, CASES[i].words);
		assert_int_equal(config_flag(&cfg, flag, errors), 0);
		assert_int_equal(config_check(&cfg, false, errors), -ERR_CONFIG);
		assert_string_equal(complaints(), want);
	}
}

static void a_path_must_fit_into_a_socket(void **state)
{
	char flag[256] = "http.bind=unix:/";
	size_t n = strlen(flag);

	(void)state;
	memset(flag + n, 'x', 106);
	assert_int_equal(config_flag(&cfg, flag, errors), 0);
	assert_int_equal(config_check(&cfg, false, errors), 0);
	flag[n + 106] = 'x';
	assert_int_equal(config_flag(&cfg, flag, errors), 0);
	assert_int_equal(config_check(&cfg, false, errors), -ERR_CONFIG);
	assert_non_null(strstr(complaints(), " has a path that is too long for a socket: at most 107 bytes\n"));
}

static void open_authentication_stays_on_loopback_unless_allowed(void **state)
{
#define WIDE                                                                                                           \
	" can be reached from other machines, and auth.mode = open would let anybody in as anybody; bind to "          \
	"127.0.0.1, or set auth.allow_open = yes\n"
	(void)state;
	assert_int_equal(config_flag(&cfg, "tcp.bind=127.0.0.1:1,0.0.0.0:3101,[::]:1,:3105", errors), 0);
	assert_int_equal(config_flag(&cfg, "websocket.bind=comet.example.com:1", errors), 0);
	assert_int_equal(config_check(&cfg, false, errors), -ERR_CONFIG);
	assert_string_equal(complaints(), "tcp.bind: 0.0.0.0:3101" WIDE "tcp.bind: [::]:1" WIDE "tcp.bind: :3105" WIDE
					  "websocket.bind: comet.example.com:1" WIDE);
	assert_int_equal(config_flag(&cfg, "auth.allow_open=yes", errors), 0);
	assert_int_equal(config_check(&cfg, false, errors), 0);
}

static void check_says(const char *flag, const char *words)
{
	assert_int_equal(config_flag(&cfg, flag, errors), 0);
	assert_int_equal(config_check(&cfg, false, errors), words[0] != '\0' ? -ERR_CONFIG : 0);
	assert_string_equal(complaints(), words);
}

static void a_port_alone_stands_beside_no_address_that_it_takes(void **state)
{
#define BESIDE " as well, and cannot stand beside it; leave one of them away\n"
	(void)state;
	assert_int_equal(config_flag(&cfg, "auth.allow_open=yes", errors), 0);
	check_says("tcp.bind=:3901,127.0.0.1:3901", "tcp.bind: :3901 takes 127.0.0.1:3901" BESIDE);
	check_says("tcp.bind=[::1]:3901 , :3901", "tcp.bind: :3901 takes [::1]:3901" BESIDE);
	check_says("tcp.bind=localhost:3901,:3901", "tcp.bind: :3901 takes localhost:3901" BESIDE);
	check_says("tcp.bind=:3901,127.0.0.1:3902", "");
	check_says("tcp.bind=:0,127.0.0.1:0", ""); /* two ports, of which each is free */
	check_says("tcp.bind=:3901,0.0.0.0:3901", "");
	check_says("tcp.bind=[::]:3901,127.0.0.1:3901", ""); /* IPv6 from everywhere, IPv4 from here */
	check_says("tcp.bind=:3901,unix:/run/3901", "");
}

static void tokens_need_keys_that_can_be_read(void **state)
{
	(void)state;
	/* Clients from everywhere: that is what tokens are for. */
	assert_int_equal(config_flag(&cfg, "tcp.bind=0.0.0.0:3101", errors), 0);
	check_says("auth.mode=jwt", "auth.jwt_keys must be set for auth.mode = jwt: [KID=]ALGORITHM:FILE, such as "
				    "HS256:/etc/comet/token.secret; or auth.jwks_url\n");
	check_says("auth.jwt_keys=HS256:/dev/null, nonsense, a=RS256:, ES256:/nowhere",
		   "auth.jwt_keys: nonsense is not [KID=]ALGORITHM:FILE\n"
		   "auth.jwt_keys: a=RS256: is not [KID=]ALGORITHM:FILE\n"
		   "auth.jwt_keys: /nowhere cannot be read: No such file or directory\n");
	/* They lie where comet-logic runs. */
	check_says("logic.mode=redis", "");
	check_says("logic.mode=embedded", "auth.jwt_keys: nonsense is not [KID=]ALGORITHM:FILE\n"
					  "auth.jwt_keys: a=RS256: is not [KID=]ALGORITHM:FILE\n"
					  "auth.jwt_keys: /nowhere cannot be read: No such file or directory\n");
	check_says("auth.jwt_keys=a=HS256:/dev/null", "");
	check_says("auth.user_prefix=a=p:, own|", "");
	check_says("auth.user_prefix=a=p:, p:", ""); /* one issuer, whose keys change */
	check_says("auth.user_prefix=b=p:", "auth.user_prefix: b=p:: auth.jwt_keys has no key of this name\n");
	check_says("auth.user_prefix=a=p:, p:q:", "auth.user_prefix: a=p:: the prefix begins another one, so that one "
						  "issuer could name the other's users\n");
	check_says("auth.user_prefix=a=", "auth.user_prefix: a=: a prefix has 1 to 63 bytes\n");
	check_says("auth.user_prefix=p7",
		   "auth.user_prefix: p7: a prefix ends with a sign such as : or |, so that it shows "
		   "where the name begins\n");
	check_says("auth.user_prefix=\xc3\xa4:",
		   "auth.user_prefix: \xc3\xa4:: a prefix is of ASCII, without control characters\n");
	check_says("auth.user_prefix=", "");
	check_says("auth.claim_mid=,", "auth.claim_mid must name a claim, or no token says whose it is\n");
	check_says("auth.claim_mid=uid", "");
}

static void operations_that_are_open_are_operations(void **state)
{
	(void)state;
	check_says("auth.ops_open=1000, 20*, -1, -*, 0, *", "");
	check_says("auth.ops_open=1000, chat, 007, 1*0, -, +5, 10 11",
		   "auth.ops_open: chat is no operation, such as 1000 or 20*\n"
		   "auth.ops_open: 007 is no operation, such as 1000 or 20*\n"
		   "auth.ops_open: 1*0 is no operation, such as 1000 or 20*\n"
		   "auth.ops_open: - is no operation, such as 1000 or 20*\n"
		   "auth.ops_open: +5 is no operation, such as 1000 or 20*\n"
		   "auth.ops_open: 10 11 is no operation, such as 1000 or 20*\n");
	check_says("auth.ops_open=", "");
}

static void cookies_go_to_a_back_end_only_from_pages_that_may_connect(void **state)
{
	(void)state;
	check_says("auth.headers=X-App, Authorization", "");
	check_says("auth.headers=X-App, cookie",
		   "auth.headers may have Cookie only where websocket.origins is set: pages of any "
		   "site could use their visitor's cookies\n");
	check_says("websocket.origins=https://example.com", "");
	check_says("auth.headers=X App, a:b",
		   "auth.headers: X App is not the name of a header\nauth.headers: a:b is not the name of a header\n");
	check_says("auth.headers=", "");
}

static void only_who_has_proved_it_is_granted_anything(void **state)
{
	(void)state;
	check_says("auth.rooms=token",
		   "auth.rooms and auth.ops other than open need auth.mode = jwt or webhook, or clients would "
		   "grant themselves anything\n");
	check_says("auth.rooms=open", "");
	check_says("auth.ops=token",
		   "auth.rooms and auth.ops other than open need auth.mode = jwt or webhook, or clients would "
		   "grant themselves anything\n");
	assert_int_equal(config_flag(&cfg, "auth.jwt_keys=HS256:/dev/null", errors), 0);
	check_says("auth.mode=jwt", "");
}

static void operations_that_go_up_are_numbers_and_ranges(void **state)
{
	(void)state;
	check_says("limits.upstream_ops=4, 1000-1999", "");
	check_says("limits.upstream_ops=1000-", "limits.upstream_ops must be numbers and ranges with commas, such as "
						"4,1000-1999\n");
	check_says("limits.upstream_ops=", "");
}

static void users_are_kept_where_it_is_known_who_they_are(void **state)
{
#define OPEN_DOOR                                                                                                      \
	"stream.users with auth.mode=open lets everybody read what was pushed to anybody; stream.users_open=yes says " \
	"that this is meant\n"
	(void)state;
	check_says("stream.users=50", "stream.users must be what is kept for each user, such as 50/24h: at most 10000 "
				      "messages and 168h\n");
	check_says("stream.users=50/24h", OPEN_DOOR);
	check_says("stream.users_open=yes", "");
	check_says("events.kinds=online,unacked", "");
	check_says("stream.position_ttl=23h",
		   "stream.position_ttl must not be shorter than the time in stream.users\n");
	check_says("stream.position_ttl=24h", "");
	check_says("stream.users_open=no", OPEN_DOOR);
	check_says("stream.users=", "events.kinds has unacked, and without stream.users nothing is kept that could be "
				    "confirmed\n");
	check_says("events.kinds=unacknowledged", "events.kinds may have online, offline, occupied, vacated and "
						  "unacked, with commas\n");
	check_says("events.kinds=", "");
}

static void numbers_of_rooms_live_until_they_are_renewed(void **state)
{
#define TOO_SHORT "stream.position_ttl and stream.idle_ttl must be at least twice logic.renew_online\n"
	(void)state;
	check_says("stream.rooms=chat:5/1s", "");
	check_says("stream.idle_ttl=1s", ""); /* alone a number lives as long as somebody is there */
	check_says("logic.mode=redis", TOO_SHORT);
	check_says("stream.idle_ttl=2s", "");
	check_says("stream.position_ttl=19s", "");
	check_says("logic.renew_online=10s", TOO_SHORT);
	check_says("stream.rooms=", "");
}

static void a_prefix_in_redis_is_a_plain_word(void **state)
{
#define PREFIX "redis.prefix must be 1 to 64 letters, digits, . _ or -, such as comet or staging\n"
#define LONG64 "0123456789012345678901234567890123456789012345678901234567890123"
	static const char long65[] = LONG64 "4";
	const char *const BAD[] = {"", "a b", "a:b", "a*", "{a}", "\xc3\xa4", long65};
	char flag[128];

	(void)state;
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
		(void)snprintf(flag, sizeof(flag), "redis.prefix=%s", BAD[i]);
		check_says(flag, PREFIX);
	}
	check_says("redis.prefix=Staging-2.eu_1", "");
	check_says("redis.prefix=" LONG64, "");
}

static void names_have_at_most_127_bytes(void **state)
{
#define NAME127 "server.id=" LONG64 "012345678901234567890123456789012345678901234567890123456789012"
	(void)state;
	check_says(NAME127, "");
	check_says(NAME127 "x", "server.id and logic.id must have at most 127 bytes\n");
}

/* A settings file in Latin-1: JSON has no such names, and everything that tells one would be empty. */
static void names_are_utf8(void **state)
{
#define UTF8 "server.id, server.region, server.addrs and logic.id must be UTF-8\n"
	(void)state;
	check_says("server.id=m\xfcnchen", UTF8);
	check_says("server.id=m\xc3\xbcnchen", "");
	check_says("server.region=m\xfcnchen", UTF8);
	check_says("server.region=m\xc3\xbcnchen", "");
	check_says("server.addrs=m\xfcnchen", UTF8);
	check_says("server.addrs=m\xc3\xbcnchen", "");
	check_says("logic.id=m\xfcnchen", UTF8);
	check_says("logic.id=m\xc3\xbcnchen", "");
}

static void what_stands_before_an_at_is_never_shown(void **state)
{
#define FORMS "must be host:port, [v6]:port, unix:/path or redis://user:password@host:port/db\n"
#define OTHER "has another user, password or database than redis.user, redis.password and redis.db\n"
	(void)state;
	check_says("redis.addr=redis://joe:sesame@host:x", "redis.addr: host:x " FORMS);
	check_says("redis.addr=joe:sesame@host:1", "redis.addr: host:1 " FORMS);
	check_says("redis.addr=redis://joe:sesame@host:1/2", "");
	check_says("redis.password=other", "redis.addr: host:1/2 " OTHER);
	check_says("redis.password=sesame", "");
	check_says("redis.db=3", "redis.addr: host:1/2 " OTHER);
	check_says("redis.db=0", "");
	check_says("redis.sentinels=redis://a:se,same@b:1",
		   "redis.sentinels: *** " FORMS "redis.sentinels: b:1 " FORMS);
	check_says("redis.sentinels=redis://:x@a:1, redis://:y@b:1",
		   "redis.sentinels: b:1 has another user or password than the first, or than redis.sentinel_user and "
		   "redis.sentinel_password; all Sentinels have the same\n");
	check_says("redis.sentinels=redis://:x@a", "redis.sentinels: a has no port; Sentinels mostly have 26379\n");
	check_says("redis.sentinels=redis://:x@a:1/1",
		   "redis.sentinels: a:1/1 has a database; that stands in redis.db\n");
	check_says("redis.sentinel_password_file=/x",
		   "redis.sentinels: a:1/1 has a database; that stands in redis.db\n"
		   "redis.sentinel_password_file takes the place of a password in redis.sentinel_password or "
		   "redis.sentinels; set one of them\n");
	check_says("redis.sentinel_password_file=", "redis.sentinels: a:1/1 has a database; that stands in redis.db\n");
	check_says("redis.sentinels=", "");
	check_says("redis.password_file=/x", "redis.password_file takes the place of a password in redis.password or "
					     "redis.addr; set one of them\n");
	check_says("redis.password_file=", "");
	check_says("redis.sentinels=,", "redis.sentinels names no Sentinel; leave it empty for none\n");
	check_says("redis.sentinels=a:1", "");
	assert_int_equal(config_flag(&cfg, "redis.addr:redis://joe:sesame@host:1", errors), -ERR_CONFIG);
	assert_string_equal(complaints(), "-o ***: must be section.key=value\n");
}

static void an_address_with_more_in_it_settles_into_plain_settings(void **state)
{
	(void)state;
	assert_int_equal(config_flag(&cfg, "redis.addr=redis://joe:se%2csame@host/2", errors), 0);
	assert_int_equal(config_flag(&cfg, "redis.sentinels=redis://eye:x@a:1,redis://eye:x@[::1]:2", errors), 0);
	assert_int_equal(config_check(&cfg, false, errors), 0);
	assert_int_equal(config_redis_settle(&cfg), 0);
	assert_string_equal(cfg.redis_addr, "host:6379");
	assert_string_equal(cfg.redis_user, "joe");
	assert_string_equal(cfg.redis_password, "se,same");
	assert_int_equal(cfg.redis_db, 2);
	assert_string_equal(cfg.redis_sentinels, "a:1,[::1]:2");
	assert_string_equal(cfg.redis_sentinel_user, "eye");
	assert_string_equal(cfg.redis_sentinel_password, "x");
}

static void a_webhook_needs_an_address_and_less_time_than_logic(void **state)
{
#define NO_URL "auth.url must be set for auth.mode = webhook, to a http:// or https:// address\n"
	(void)state;
	check_says("auth.mode=webhook", NO_URL);
	check_says("auth.url=https://", NO_URL);
	check_says("auth.url=file:///etc/passwd", NO_URL);
	check_says("auth.url=http://ada:sesame@127.0.0.1/a",
		   "auth.url must have no password in it, since -t shows it; use auth.secret\n");
	check_says("auth.url=https://127.0.0.1/a?to=@b", "");
	check_says("auth.ca_file=/nowhere", "auth.ca_file: /nowhere cannot be read: No such file or directory\n");
	check_says("auth.ca_file=", "");
	check_says("auth.timeout=1s",
		   "auth.timeout must be less than logic.timeout, or a comet gives up before the back "
		   "end's answer can reach it\n");
	check_says("logic.timeout=1001ms", "");
	check_says("logic.timeout=30s", "");
	check_says("auth.timeout=5s",
		   "auth.timeout must be less than protocol.handshake_timeout, or clients are closed "
		   "before the back end's answer can reach them\n");
	check_says("protocol.handshake_timeout=5001ms", "");
}

static void an_origin_that_no_page_has_is_refused_with_the_nearest_that_one_may_have(void **state)
{
#define NO_ORIGIN(entry) "websocket.origins: " entry " is no origin as browsers send it; write "
	(void)state;
	check_says("websocket.origins=*", "");
	check_says("websocket.origins=https://a.test,https://*.a.test , http://[::1]:8080, null", "");
	check_says("websocket.origins=a.test, https://a.test, https://a.test/, https://a.test:443",
		   NO_ORIGIN("a.test") "https://a.test\n" NO_ORIGIN("https://a.test/") "https://a.test\n" NO_ORIGIN(
			   "https://a.test:443") "https://a.test\n");
	check_says("websocket.origins=https://*",
		   NO_ORIGIN("https://*") "https://HOST, https://HOST:PORT, https://*.DOMAIN, or * for all\n");
	check_says("websocket.origins=,",
		   "websocket.origins names no origin; leave it empty, or set it to * for all\n");
	check_says("websocket.origins=", "");
}

static void a_password_in_the_url_is_found_whatever_the_mode_is(void **state)
{
	static const char *const urls[] = {"https://u:p4ss@host/", "http://p4ss@host", "HTTPS://u:p4ss@host?x",
					   "u:p4ss@host#"};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		char flag[64];

		(void)snprintf(flag, sizeof(flag), "auth.url=%s", urls[i]);
		check_says(flag, "auth.url must have no password in it, since -t shows it; use auth.secret\n");
	}
	check_says("auth.url=https://host/@", "");
}

static void comet_logic_needs_what_a_comet_alone_needs(void **state)
{
	(void)state;
	assert_int_equal(config_flag(&cfg, "logic.mode=redis", errors), 0);
	assert_int_equal(config_flag(&cfg, "auth.mode=webhook", errors), 0);
	assert_int_equal(config_check(&cfg, false, errors), 0);
	assert_int_equal(config_check(&cfg, true, errors), -ERR_CONFIG);
	assert_string_equal(complaints(), NO_URL);
	assert_int_equal(config_flag(&cfg, "auth.mode=jwt", errors), 0);
	assert_int_equal(config_flag(&cfg, "auth.jwt_keys=HS256:/nowhere", errors), 0);
	assert_int_equal(config_check(&cfg, true, errors), -ERR_CONFIG);
	assert_string_equal(complaints(), "auth.jwt_keys: /nowhere cannot be read: No such file or directory\n");
}

static void an_api_without_a_key_stays_on_loopback(void **state)
{
	(void)state;
	assert_int_equal(config_flag(&cfg, "auth.allow_open=yes", errors), 0);
	assert_int_equal(config_flag(&cfg, "http.bind=0.0.0.0:3111", errors), 0);
	assert_int_equal(config_check(&cfg, false, errors), -ERR_CONFIG);
	assert_string_equal(complaints(), "http.bind: 0.0.0.0:3111 can be reached from other machines, and without "
					  "http.api_key anybody could push and kick; bind to 127.0.0.1, or set "
					  "http.api_key or http.keys_file\n");
	assert_int_equal(config_flag(&cfg, "http.api_key=secret", errors), 0);
	assert_int_equal(config_check(&cfg, false, errors), 0);
}

/* --- showing --- */

static char *printed(const struct config *c)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	config_print(c, out);
	(void)fclose(out);
	return text;
}

static void what_is_printed_is_read_back_the_same(void **state)
{
	char *first;
	char *second;

	(void)state;
	assert_int_equal(config_flag(&cfg, "server.region= a ;b=c", errors), 0);
	assert_int_equal(config_flag(&cfg, "protocol.write_timeout=1500ms", errors), 0);
	assert_int_equal(config_flag(&cfg, "log.format=json", errors), 0);
	first = printed(&cfg);
	assert_non_null(strstr(first, "\n[protocol]\n"));
	assert_non_null(strstr(first, "\nwrite_timeout = 1500ms\n"));
	config_fini(&cfg);
	assert_int_equal(config_init(&cfg), 0);
	assert_int_equal(read_text(first), 0);
	second = printed(&cfg);
	assert_string_equal(first, second);
	free(first);
	free(second);
}

/* --- memory --- */

static void without_memory_nothing_is_changed_and_nothing_lost(void **state)
{
	struct config other;
	unsigned strings = 0;

	(void)state;
	for (const struct setting *s = settings; s->name; s++)
		strings += s->text != NULL;
	for (unsigned i = 0; i < strings; i++) {
		seam_fail(SEAM_ALLOC, i, 1, ENOMEM);
		assert_int_equal(config_init(&other), -ENOMEM);
	}
	seam_reset();
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(config_flag(&cfg, "tcp.bind=127.0.0.1:9", errors), -ENOMEM);
	assert_string_equal(cfg.tcp_bind, "127.0.0.1:3101");
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(read_text("[tcp]\nbind = 127.0.0.1:9\n[server]\nweight = many\n"), -ENOMEM);
	assert_string_equal(cfg.tcp_bind, "127.0.0.1:3101");
	assert_string_equal(complaints(), "");
}

/* --- the command line --- */

/* Run config_start with stdout and stderr caught. */
static int start(char **argv, char out[8192], char err[8192])
{
	int argc = 0;
	int real[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
	FILE *files[2] = {tmpfile(), tmpfile()};
	char *texts[2] = {out, err};
	const struct config_program program = {.name = "comet", .summary = "what it is"};
	int rc;

	while (argv[argc])
		argc++;
	(void)fflush(stdout);
	for (int i = 0; i < 2; i++) {
		assert_non_null(files[i]);
		assert_return_code(dup2(fileno(files[i]), STDOUT_FILENO + i), errno);
	}
	optind = 0; /* getopt starts again */
	rc = config_start(&cfg, argc, argv, &program);
	(void)fflush(stdout);
	for (int i = 0; i < 2; i++) {
		ssize_t n = pread(fileno(files[i]), texts[i], 8191, 0);

		assert_return_code(dup2(real[i], STDOUT_FILENO + i), errno);
		assert_return_code(n, errno);
		texts[i][n] = '\0';
		(void)close(real[i]);
		(void)fclose(files[i]);
	}
	return rc;
}

#define START(out, err, ...) start((char *[]){"comet", __VA_ARGS__, NULL}, out, err)

static void a_flag_wins_over_the_environment_and_that_over_the_file(void **state)
{
	char out[8192];
	char err[8192];
	char path[] = "/tmp/test_config.XXXXXX";
	int fd = mkstemp(path);
	static const char TEXT[] = "[server]\nid = file\nregion = file\naddrs = file\n";

	(void)state;
	assert_int_equal(write(fd, TEXT, sizeof(TEXT) - 1), sizeof(TEXT) - 1);
	(void)close(fd);
	assert_return_code(setenv("COMET_SERVER_REGION", "env", 1), errno);
	assert_return_code(setenv("COMET_SERVER_ADDRS", "env", 1), errno);
	/* The order on the command line is of no consequence, but for one -o over an earlier one. */
	assert_int_equal(START(out, err, "-o", "server.addrs=no", "-o", "server.addrs=flag", "-c", path), 0);
	(void)unsetenv("COMET_SERVER_REGION");
	(void)unsetenv("COMET_SERVER_ADDRS");
	(void)unlink(path);
	assert_string_equal(err, "");
	assert_string_equal(out, "");
	assert_string_equal(cfg.server_id, "file");
	assert_string_equal(cfg.server_region, "env");
	assert_string_equal(cfg.server_addrs, "flag");
}

static void minus_t_prints_what_is_in_effect(void **state)
{
	char out[8192];
	char err[8192];
	char *want;

	(void)state;
	assert_int_equal(START(out, err, "-t", "-o", "tcp.bind=127.0.0.1:9"), 1);
	want = printed(&cfg);
	assert_string_equal(out, want);
	assert_string_equal(err, "");
	assert_non_null(strstr(out, "bind = 127.0.0.1:9\n"));
	free(want);
}

static void help_and_version_are_printed_even_if_settings_are_wrong(void **state)
{
	char version[160];
	char out[8192];
	char err[8192];

	(void)state;
	assert_int_equal(START(out, err, "-o", "no.such=1", "--help"), 1);
	assert_memory_equal(out, "usage: comet ", 13);
	assert_non_null(strstr(out, "what it is"));
	assert_non_null(strstr(out, "docs/configuration.md"));
	assert_int_equal(START(out, err, "-c", "/no/such", "--version"), 1);
	(void)snprintf(version, sizeof(version), "comet %s (%s)\n", version_text, version_commit);
	assert_string_equal(out, version);
	assert_string_equal(err, "");
}

static void a_start_with_faults_shows_all_of_them(void **state)
{
	char out[8192];
	char err[8192];

	(void)state;
	assert_return_code(setenv("COMET_BUCKET_SIZE", "many", 1), errno);
	assert_int_equal(START(out, err, "-c", "/no/such", "-o", "http.bind=*:80", "-o", "tcp.bnid=1", "-t"), -ENOENT);
	(void)unsetenv("COMET_BUCKET_SIZE");
	assert_string_equal(out, "");
	assert_string_equal(err, "/no/such: cannot be read: No such file or directory\n"
				 "COMET_BUCKET_SIZE: bucket.size: `many` is not a whole number\n"
				 "-o tcp.bnid: no such setting; did you mean tcp.bind?\n"
				 "http.bind: *:80 can be reached from other machines, and without http.api_key anybody "
				 "could push and kick; bind to 127.0.0.1, or set http.api_key or http.keys_file\n"
				 "comet: not started, because of the above\n");
}

static void a_wrong_command_line_points_to_help(void **state)
{
	char out[8192];
	char err[8192];

	(void)state;
	assert_int_equal(START(out, err, "-x"), -ERR_CONFIG);
	assert_non_null(strstr(err, "invalid option -- 'x'\ncomet --help says more\n"));
	assert_int_equal(START(out, err, "-o"), -ERR_CONFIG);
	assert_non_null(strstr(err, "comet --help says more\n"));
	assert_int_equal(START(out, err, "start"), -ERR_CONFIG);
	assert_string_equal(err, "comet: start: there are no arguments beside the options\ncomet --help says more\n");
	assert_int_equal(START(out, err, "-c", "a", "-c", "b"), -ERR_CONFIG);
	assert_string_equal(err, "comet: -c may be given once\ncomet --help says more\n");
}

static void a_start_without_memory_says_so(void **state)
{
	char out[8192];
	char err[8192];

	(void)state;
	/* The list of flags, then the value of one. */
	for (unsigned i = 0; i < 2; i++) {
		seam_fail(SEAM_ALLOC, i, 1, ENOMEM);
		assert_int_equal(START(out, err, "-t", "-o", "tcp.bind=127.0.0.1:9"), -ENOMEM);
		assert_string_equal(err, "comet: out of memory\n");
		assert_string_equal(out, "");
	}
}

static void a_list_gives_its_items_trimmed(void **state)
{
	const char *rest = " , a ,b c,, \tlonger than it";
	char item[8];

	(void)state;
	assert_true(config_list_next(&rest, item, sizeof(item)));
	assert_string_equal(item, "a");
	assert_true(config_list_next(&rest, item, sizeof(item)));
	assert_string_equal(item, "b c");
	assert_true(config_list_next(&rest, item, sizeof(item)));
	assert_string_equal(item, "longer ");
	assert_false(config_list_next(&rest, item, sizeof(item)));
	assert_false(config_list_next(&rest, item, sizeof(item)));
	assert_int_equal(config_list_count(""), 0);
	assert_int_equal(config_list_count(" one, two ,three"), 3);
}

#define config_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		config_test(every_default_is_one_that_the_row_takes),
		config_test(the_highest_and_the_lowest_value_are_taken_and_shown_as_they_are),
		config_test(a_slip_of_the_finger_finds_the_setting_that_was_meant),
		config_test(a_size_takes_k_m_and_g),
		config_test(a_time_takes_ms_s_m_and_h_and_never_goes_without),
		config_test(a_number_takes_no_unit),
		config_test(a_switch_takes_yes_and_no_and_their_like),
		config_test(a_choice_is_stored_as_its_index),
		config_test(a_string_is_taken_as_it_is_but_for_control_characters),
		config_test(a_secret_is_never_shown),
		config_test(a_file_is_read),
		config_test(an_empty_file_changes_nothing),
		config_test(every_fault_of_a_file_is_reported_with_its_line),
		config_test(lines_that_are_too_long_or_hold_a_zero_byte_are_reported_and_passed_over),
		config_test(a_file_that_cannot_be_read_says_why),
		config_test(the_environment_is_read),
		config_test(every_fault_of_the_environment_is_reported_with_its_variable),
		config_test(a_flag_must_be_section_key_and_value),
		config_test(a_setting_that_has_gone_is_a_warning_whatever_its_value),
		config_test(no_setting_is_both_here_and_gone),
		config_test(good_addresses_on_loopback_pass),
		config_test(a_bind_must_be_host_and_port),
		config_test(a_path_must_fit_into_a_socket),
		config_test(open_authentication_stays_on_loopback_unless_allowed),
		config_test(a_port_alone_stands_beside_no_address_that_it_takes),
		config_test(tokens_need_keys_that_can_be_read),
		config_test(operations_that_are_open_are_operations),
		config_test(cookies_go_to_a_back_end_only_from_pages_that_may_connect),
		config_test(only_who_has_proved_it_is_granted_anything),
		config_test(operations_that_go_up_are_numbers_and_ranges),
		config_test(users_are_kept_where_it_is_known_who_they_are),
		config_test(numbers_of_rooms_live_until_they_are_renewed),
		config_test(a_prefix_in_redis_is_a_plain_word),
		config_test(names_have_at_most_127_bytes),
		config_test(names_are_utf8),
		config_test(what_stands_before_an_at_is_never_shown),
		config_test(an_address_with_more_in_it_settles_into_plain_settings),
		config_test(a_webhook_needs_an_address_and_less_time_than_logic),
		config_test(an_origin_that_no_page_has_is_refused_with_the_nearest_that_one_may_have),
		config_test(a_password_in_the_url_is_found_whatever_the_mode_is),
		config_test(comet_logic_needs_what_a_comet_alone_needs),
		config_test(an_api_without_a_key_stays_on_loopback),
		config_test(what_is_printed_is_read_back_the_same),
		config_test(without_memory_nothing_is_changed_and_nothing_lost),
		config_test(a_flag_wins_over_the_environment_and_that_over_the_file),
		config_test(minus_t_prints_what_is_in_effect),
		config_test(help_and_version_are_printed_even_if_settings_are_wrong),
		config_test(a_start_with_faults_shows_all_of_them),
		config_test(a_wrong_command_line_points_to_help),
		config_test(a_start_without_memory_says_so),
		config_test(a_list_gives_its_items_trimmed),
	};

	return cmocka_run_group_tests(tests, go_into_the_folder, remove_the_folder);
}
