/* Tests of logic/auth in mode jwt: what a token makes of a client. The clock stands still. Which signatures are right is
 * tested in test_jwt.c. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "logic/auth.h"
#include "logic/logic.h"
#include "tests/unit/seam.h"
#include "tests/unit/signed_token.h"

#define NOW_S  INT64_C(1800000000)
#define HOUR_S 3600

static struct config cfg;
static struct auth *a;
static struct auth_identity who;
static char key_file[] = "/tmp/comet-test-auth-XXXXXX";

static void write_key(const char *text)
{
	FILE *file = fopen(key_file, "we");

	assert_non_null(file);
	assert_int_equal(fputs(text, file) >= 0 && fclose(file) == 0, 1);
}

static int set(const char *assignment)
{
	return config_flag(&cfg, assignment, stderr);
}

static int set_up(void **state)
{
	char assignment[128];
	int fd;

	(void)state;
	log_setup(LOG_ERROR, LOG_TEXT);
	memcpy(key_file + strlen(key_file) - 6, "XXXXXX", 6);
	if ((fd = mkstemp(key_file)) < 0 || close(fd) < 0)
		return -1;
	write_key(SECRET "\n");
	(void)snprintf(assignment, sizeof(assignment), "auth.jwt_keys=HS256:%s", key_file);
	if (config_init(&cfg) < 0 || set("auth.mode=jwt") < 0 || set(assignment) < 0)
		return -1;
	seam_clock_set(1, NOW_S * 1000);
	return auth_new(&cfg, &a);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	auth_free(&a);
	config_fini(&cfg);
	return unlink(key_file);
}

static int check_bytes(const char *token)
{
	const struct auth_request request = {
		.token = (const uint8_t *)token, .token_bytes = strlen(token), .peer = "10.0.0.9", .server = "c"};

	return auth_check(a, &request, &who);
}

/* {claims} with this exp, as it is in text; "" for none. */
static const char *token_of(const char *claims, const char *exp)
{
	static char token[4096];
	char payload[2048];

	(void)snprintf(payload, sizeof(payload), "{%s%s%s}", claims, exp[0] != '\0' ? ",\"exp\":" : "", exp);
	sign_token(token, sizeof(token), SECRET, "{\"alg\":\"HS256\"}", payload);
	return token;
}

static const char *good_token(const char *claims)
{
	return token_of(claims, "1800003600");
}

static void is_let_in(const char *token, int64_t mid, const char *key, const char *room)
{
	assert_int_equal(check_bytes(token), 0);
	assert_int_equal(who.mid, mid);
	assert_string_equal(who.key, key);
	assert_string_equal(who.room, room);
	auth_identity_fini(&who);
}

static void is_refused(const char *token, enum auth_cause cause, const char *words)
{
	int64_t before = counters_read_by(COUNT_AUTH_FAILURES, cause);

	assert_int_equal(check_bytes(token), -ERR_REFUSED);
	assert_string_equal(who.refusal, words);
	assert_int_equal(counters_read_by(COUNT_AUTH_FAILURES, cause), before + 1);
	assert_null(who.key);
	assert_null(who.accepts);
}

/* ---- time ---- */

static void exp_and_nbf_hold_to_the_millisecond_with_leeway(void **state)
{
	(void)state;
	cfg.auth_leeway = 60000;
	assert_int_equal(check_bytes(token_of("\"mid\":7", "1799999940.001")), 0);
	assert_int_equal(who.lifetime_ms, 1);
	auth_identity_fini(&who);
	is_refused(token_of("\"mid\":7", "1799999940"), AUTH_EXPIRED, "the token has expired");
	is_let_in(good_token("\"mid\":7,\"nbf\":1800000060"), 7, "", "");
	is_refused(good_token("\"mid\":7,\"nbf\":1800000060.001"), AUTH_NOT_YET, "the token is not valid yet");
	cfg.auth_leeway = 0;
	is_refused(token_of("\"mid\":7", "1800000000"), AUTH_EXPIRED, "the token has expired");
	assert_int_equal(check_bytes(token_of("\"mid\":7", "1800000001")), 0);
	assert_int_equal(who.lifetime_ms, 1000);
	auth_identity_fini(&who);
}

static void dates_that_are_no_seconds_are_refused(void **state)
{
	/* The third is an hour from now in milliseconds. */
	static const char *const late[] = {"9223372036854775807", "1e300", "1800003600000", "253402300800"};
	static const char *const early[] = {"-1", "-9223372036854775808", "-1e300", "0", "0.5"};

	(void)state;
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++)
		is_refused(token_of("\"mid\":7", late[i]), AUTH_CLAIMS, "exp is not a number of seconds since 1970");
	is_refused(good_token("\"mid\":7,\"nbf\":1800000000000"), AUTH_CLAIMS,
		   "nbf is not a number of seconds since 1970");
	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
		is_refused(token_of("\"mid\":7", early[i]), AUTH_EXPIRED, "the token has expired");
	assert_int_equal(check_bytes(token_of("\"mid\":7", "253402300799")), 0);
	assert_true(who.lifetime_ms > INT64_C(250000000000000));
	auth_identity_fini(&who);
}

static void a_token_without_exp_needs_permission(void **state)
{
	(void)state;
	is_refused(token_of("\"mid\":7", ""), AUTH_CLAIMS, "the token has no exp, and would be good for ever");
	is_refused(token_of("\"mid\":7", "null"), AUTH_CLAIMS, "exp is not a number of seconds since 1970");
	cfg.auth_require_exp = false;
	assert_int_equal(check_bytes(token_of("\"mid\":7", "")), 0);
	assert_int_equal(who.lifetime_ms, 0);
	auth_identity_fini(&who);
	is_refused(token_of("\"mid\":7", "\"1\""), AUTH_CLAIMS, "exp is not a number of seconds since 1970");
}

/* ---- who it is ---- */

static void the_user_is_the_first_claim_that_is_there(void **state)
{
	(void)state;
	is_let_in(good_token("\"mid\":7,\"sub\":\"8\""), 7, "", "");
	is_let_in(good_token("\"sub\":\"8\""), 8, "", "");
	is_let_in(good_token("\"mid\":null,\"sub\":\"-8\""), -8, "", "");
	is_let_in(good_token("\"mid\":\"9223372036854775807\""), INT64_MAX, "", "");
	is_refused(good_token("\"mid\":\"\""), AUTH_CLAIMS, "mid is not a whole number");
	is_refused(good_token("\"mid\":\"ada\",\"sub\":\"8\""), AUTH_CLAIMS, "mid is not a whole number");
	is_let_in(good_token("\"mid\":\"007\""), 7, "", "");
	is_let_in(good_token("\"sub\":8"), 8, "", "");
	is_refused(good_token("\"sub\":true"), AUTH_CLAIMS, "sub is not a string");
	is_refused(good_token("\"sub\":8.5"), AUTH_CLAIMS, "sub is not a string");
	is_refused(good_token("\"uid\":8"), AUTH_CLAIMS, "the token names no user");
}

static void a_login_service_names_users_as_it_likes(void **state)
{
	static const char *const names[] = {"auth0|5f7c8ec7c33c6c004bbafe82",
					    "user@example.com",
					    "007",
					    "8 ",
					    "--8",
					    "9223372036854775808",
					    "a_b%c:d/e",
					    "J\xc3\xbcrgen"};
	char claims[256];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(claims, sizeof(claims), "\"sub\":\"%s\"", names[i]);
		assert_int_equal(check_bytes(good_token(claims)), 0);
		assert_string_equal(who.name, names[i]);
		assert_int_equal(who.mid, 0);
		auth_identity_fini(&who);
	}
	(void)snprintf(claims, sizeof(claims), "\"sub\":\"%0129d\"", 1);
	is_refused(good_token(claims), AUTH_CLAIMS, "sub is empty, too long or has control characters");
	is_refused(good_token("\"sub\":\"a\\nb\""), AUTH_CLAIMS, "sub is empty, too long or has control characters");
	is_refused(good_token("\"sub\":\"\""), AUTH_CLAIMS, "sub is empty, too long or has control characters");
}

static void claims_go_by_the_names_that_are_set(void **state)
{
	(void)state;
	assert_int_equal(set("auth.claim_mid=uid"), 0);
	assert_int_equal(set("auth.claim_key=device"), 0);
	assert_int_equal(set("auth.claim_room=https://example.com/room"), 0);
	assert_int_equal(set("auth.claim_accepts=ops"), 0);
	assert_int_equal(
		check_bytes(good_token("\"uid\":8,\"mid\":9,\"device\":\"d\",\"key\":\"k\",\"https://example.com/"
				       "room\":\"r\",\"ops\":[5]")),
		0);
	assert_int_equal(who.mid, 8);
	assert_string_equal(who.key, "d");
	assert_string_equal(who.room, "r");
	assert_int_equal(who.n_accepts, 1);
	assert_int_equal(who.dialect, DIALECT_V2);
	auth_identity_fini(&who);
	is_refused(good_token("\"uid\":8,\"device\":7"), AUTH_CLAIMS, "device is not a string");
}

/* ---- what the client says beside it ---- */

static const char *said(const char *claims, const char *beside)
{
	static char text[4096 + 1024];

	(void)snprintf(text, sizeof(text), " {\"token\":\"%s\"%s}", good_token(claims), beside);
	return text;
}

static void the_client_chooses_only_what_the_token_leaves_open(void **state)
{
	(void)state;
	is_let_in(said("\"mid\":7", ",\"mid\":1,\"key\":\"k\",\"room_id\":\"r\""), 7, "7_k", "r");
	is_let_in(said("\"mid\":7,\"key\":\"a\",\"room_id\":\"b\"", ",\"key\":\"k\",\"room_id\":\"r\""), 7, "a", "b");
	is_let_in(said("\"mid\":7,\"key\":\"\",\"room_id\":\"\"", ",\"key\":\"k\",\"room_id\":\"r\""), 7, "", "");
	is_let_in(said("\"mid\":0", ",\"key\":\"\""), 0, "", "");
	is_refused(said("\"mid\":0", ",\"key\":\"7_k\""), AUTH_MALFORMED,
		   "a client that is no user cannot choose a key");
	is_refused(said("\"mid\":-1", ",\"key\":\"k\""), AUTH_MALFORMED,
		   "a client that is no user cannot choose a key");
	is_refused(said("\"mid\":7", ",\"key\":1"), AUTH_MALFORMED, "key is not a string");
	is_refused(said("\"mid\":7", ",\"room_id\":1"), AUTH_MALFORMED, "room_id is not a string");
	is_refused(said("\"mid\":7", ",\"dialect\":3"), AUTH_MALFORMED, "dialect is 1 or 2");
}

static void a_chosen_key_is_no_other_user_s(void **state)
{
	(void)state;
	is_let_in(said("\"sub\":\"a_b\"", ",\"key\":\"c\""), 0, "a%5Fb_c", "");
	is_let_in(said("\"sub\":\"a\"", ",\"key\":\"b_c\""), 0, "a_b_c", "");
	is_let_in(said("\"sub\":\"007\"", ",\"key\":\"c\""), 0, "007_c", "");
}

static void a_chosen_key_has_room_for_its_user(void **state)
{
	char beside[512];

	(void)state;
	for (int n = 252; n <= 255; n++) {
		(void)snprintf(beside, sizeof(beside), ",\"key\":\"%0*d\"", n, 0);
		if (n <= 253) {
			assert_int_equal(check_bytes(said("\"mid\":7", beside)), 0);
			assert_int_equal(strlen(who.key), n + 2);
			auth_identity_fini(&who);
		} else {
			is_refused(said("\"mid\":7", beside), AUTH_MALFORMED, "key is too long");
		}
	}
}

/* ---- several issuers ---- */

/* A token of the partner's key, which has a name. */
static const char *partner_token(const char *claims)
{
	static char token[4096];
	char payload[2048];

	(void)snprintf(payload, sizeof(payload), "{%s,\"exp\":1800003600}", claims);
	sign_token(token, sizeof(token), SECRET, "{\"alg\":\"HS256\",\"kid\":\"partner\"}", payload);
	return token;
}

static void is_user(const char *token, int64_t mid, const char *name, const char *key)
{
	assert_int_equal(check_bytes(token), 0);
	assert_int_equal(who.mid, mid);
	if (name != NULL)
		assert_string_equal(who.name, name);
	else
		assert_null(who.name);
	assert_string_equal(who.key, key);
	auth_identity_fini(&who);
}

static void no_issuer_names_another_s_users(void **state)
{
	char keys[128], claims[256];

	(void)state;
	(void)snprintf(keys, sizeof(keys), "auth.jwt_keys=partner=HS256:%s, HS256:%s", key_file, key_file);
	assert_int_equal(set(keys), 0);
	assert_int_equal(set("auth.user_prefix=partner=p:"), 0);
	auth_free(&a);
	assert_int_equal(auth_new(&cfg, &a), 0);
	is_user(partner_token("\"sub\":\"ann\""), 0, "p:ann", "");
	is_user(partner_token("\"sub\":\"7\""), 0, "p:7", "");
	is_user(partner_token("\"mid\":7"), 0, "p:7", "");
	is_user(partner_token("\"mid\":0"), 0, NULL, "");
	is_user(partner_token("\"mid\":7,\"key\":\"k_1\""), 0, "p:7", "p:7_k_1");
	is_refused(partner_token("\"mid\":0,\"key\":\"k\""), AUTH_CLAIMS,
		   "a client that is no user cannot choose a key");
	is_user(good_token("\"mid\":7,\"key\":\"k\""), 7, NULL, "k");
	is_user(good_token("\"sub\":\"ann\""), 0, "ann", "");
	(void)snprintf(claims, sizeof(claims), "\"sub\":\"%0127d\"", 1);
	is_refused(partner_token(claims), AUTH_CLAIMS, "the user is too long with its prefix");
	assert_int_equal(set("auth.user_prefix=partner=p:, own|"), 0);
	is_user(good_token("\"mid\":7,\"key\":\"k\""), 0, "own|7", "own|7_k");
	is_user(partner_token("\"mid\":7"), 0, "p:7", "");
	assert_int_equal(set("auth.user_prefix=own|"), 0);
	is_user(partner_token("\"mid\":7"), 0, "own|7", "");
}

/* ---- a new token ---- */

static void renewing_is_for_the_same_user_and_key(void **state)
{
	const struct seat seat = {.key = "k", .user.mid = 7};
	struct auth_request request = {.peer = "", .server = "", .seat = &seat};
	static const struct {
		const char *claims;
		int rc;
	} CASES[] = {{"\"mid\":7", 0},
		     {"\"mid\":7,\"key\":\"k\"", 0},
		     {"\"mid\":7,\"key\":\"\"", 0},
		     {"\"mid\":8", -ERR_REFUSED},
		     {"\"sub\":\"007\"", -ERR_REFUSED},
		     {"\"mid\":7,\"key\":\"K\"", -ERR_REFUSED}};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		const char *token = good_token(CASES[i].claims);

		request.token = (const uint8_t *)token;
		request.token_bytes = strlen(token);
		assert_int_equal(auth_check_again(a, &request, &who), CASES[i].rc);
		if (CASES[i].rc == 0)
			assert_int_equal(who.lifetime_ms, HOUR_S * 1000 + cfg.auth_leeway);
		else
			assert_int_equal(who.cause, AUTH_OTHER);
		auth_identity_fini(&who);
	}
}

/* ---- keys ---- */

static int reload(void)
{
	const struct reload_part part = auth_reload(a);

	return reload_all(&part, 1);
}

static void a_reload_takes_all_keys_or_none(void **state)
{
	static const char other[] = "another secret, which is as long as it has to be";

	(void)state;
	write_key(other);
	assert_int_equal(reload(), 1);
	is_refused(good_token("\"mid\":7"), AUTH_SIGNATURE, "the token's signature is wrong");
	write_key("short");
	assert_int_equal(reload(), -ERR_CONFIG);
	write_key(SECRET);
	for (unsigned after = 0; after < 4; after++) { /* buffer, set, secret, name */
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		assert_int_equal(reload(), -ENOMEM);
	}
	is_refused(good_token("\"mid\":7"), AUTH_SIGNATURE, "the token's signature is wrong");
	seam_fail(SEAM_ALLOC, 0, 0, 0);
	assert_int_equal(reload(), 1);
	is_let_in(good_token("\"mid\":7"), 7, "", "");
}

static void no_memory_is_said_and_leaves_nothing(void **state)
{
	const char *token = said("\"mid\":7,\"accepts\":[1]", ",\"key\":\"k\",\"room_id\":\"r\",\"platform\":\"p\"");
	unsigned failed = 0;

	(void)state;
	for (unsigned after = 0;; after++) {
		int rc;

		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = check_bytes(token);
		if (seam_failed(SEAM_ALLOC) == failed) {
			assert_int_equal(rc, 0);
			auth_identity_fini(&who);
			break;
		}
		failed++;
		assert_int_equal(rc, -ENOMEM);
		assert_null(who.key);
		assert_null(who.room);
	}
	assert_true(failed >= 7);
}

/* ---- tickets ---- */

/* User 7 comes with this ticket; when its pass to the room ends, in seconds from now: 0: it has none. */
static int64_t pass_of(const char *ticket, const char *room)
{
	char body[8192];
	int64_t until_ns;

	(void)snprintf(body, sizeof(body), "{\"token\":\"%s\",\"ticket\":\"%s\"}", good_token("\"mid\":7"), ticket);
	assert_int_equal(check_bytes(body), 0);
	until_ns = grants_room_until(who.grants, room);
	auth_identity_fini(&who);
	return until_ns == 0 ? 0 : (until_ns - clock_now_ns()) / CLOCK_SEC;
}

static const char *ticket_of(const char *claims, const char *exp)
{
	static char ticket[4096];

	(void)snprintf(ticket, sizeof(ticket), "%s", token_of(claims, exp));
	return ticket;
}

static void a_ticket_opens_its_rooms_until_its_end(void **state)
{
	(void)state;
	cfg.auth_leeway = 0;
	assert_int_equal(pass_of(ticket_of("\"mid\":7,\"ticket\":\"vip://1\"", "1800000060"), "vip://1"), 60);
	assert_int_equal(pass_of(ticket_of("\"mid\":7,\"ticket\":\"vip://1\"", "1800000060"), "vip://2"), 0);
	assert_int_equal(pass_of(ticket_of("\"mid\":7,\"ticket\":[\"a\",\"vip://2\"]", "1800000030"), "vip://2"), 30);
	assert_int_equal(pass_of(ticket_of("\"mid\":7,\"ticket\":\"vip*\"", "1800000060"), "vip1"), 0);
	cfg.auth_leeway = 5000;
	assert_int_equal(pass_of(ticket_of("\"mid\":7,\"ticket\":\"a\"", "1799999996"), "a"), 1);
}

static void a_ticket_that_is_no_good_opens_nothing_and_is_counted(void **state)
{
	static const struct {
		const char *claims, *exp;
		enum auth_cause cause;
	} bad[] = {
		{"\"mid\":8,\"ticket\":\"a\"", "1800000060", AUTH_OTHER},
		{"\"ticket\":\"a\"", "1800000060", AUTH_CLAIMS},
		{"\"mid\":7", "1800000060", AUTH_CLAIMS},
		{"\"mid\":7,\"ticket\":\"a\"", "", AUTH_CLAIMS},
		{"\"mid\":7,\"ticket\":\"a\"", "1799999000", AUTH_EXPIRED},
		{"\"mid\":7,\"nbf\":1800001000,\"ticket\":\"a\"", "1800002000", AUTH_NOT_YET},
		{"\"mid\":7,\"ticket\":[]", "1800000060", AUTH_CLAIMS},
		{"\"mid\":7,\"ticket\":[\"a\",5]", "1800000060", AUTH_CLAIMS},
		{"\"mid\":7,\"ticket\":{\"a\":1}", "1800000060", AUTH_CLAIMS},
		{"\"mid\":7,\"ticket\":\"\"", "1800000060", AUTH_CLAIMS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t before = counters_read_by(COUNT_TICKETS_REFUSED, bad[i].cause);

		cfg.auth_require_exp = bad[i].exp[0] != '\0';
		assert_int_equal(pass_of(ticket_of(bad[i].claims, bad[i].exp), "a"), 0);
		assert_int_equal(counters_read_by(COUNT_TICKETS_REFUSED, bad[i].cause), before + 1);
	}
	assert_int_equal(pass_of("no.token.atall", "a"), 0);
}

static void tickets_are_taken_back_with_the_user_s_tokens(void **state)
{
	struct ban back = {.kind = BAN_TOKENS, .name = "7", .stamp = 1, .before_s = NOW_S + 1};
	int64_t before = counters_read_by(COUNT_TICKETS_REFUSED, AUTH_REVOKED);
	struct bans *bans;

	(void)state;
	assert_int_equal(bans_new(&bans), 0);
	auth_heed(a, bans);
	back.until_ms = clock_wall_ms() + 1000;
	assert_int_equal(pass_of(ticket_of("\"mid\":7,\"ticket\":\"a\"", "1800000060"), "a"),
			 60 + cfg.auth_leeway / 1000);
	assert_int_equal(bans_take(bans, &back, 1, 0, NULL), 0);
	assert_int_equal(pass_of(ticket_of("\"mid\":7,\"ticket\":\"a\"", "1800000060"), "a"), 0);
	assert_int_equal(pass_of(ticket_of("\"mid\":7,\"iat\":1800000000,\"ticket\":\"a\"", "1800000060"), "a"), 0);
	assert_int_equal(counters_read_by(COUNT_TICKETS_REFUSED, AUTH_REVOKED), before + 2);
	assert_int_not_equal(pass_of(ticket_of("\"mid\":7,\"iat\":1800000001,\"ticket\":\"a\"", "1800000060"), "a"), 0);
	bans_free(&bans);
}

static void tickets_come_a_line_each_after_auth(void **state)
{
	const struct seat seat = {.key = "7_1", .user.mid = 7};
	struct logic l = {.cfg = &cfg, .auth = a};
	struct grants *grants;
	char text[8192];
	struct wire_connect request = {.token = (const uint8_t *)text, .peer = "10.0.0.9"};

	(void)state;
	(void)snprintf(text, sizeof(text), "%s\n", ticket_of("\"mid\":7,\"ticket\":\"a\"", "1800000060"));
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "junk\n%s",
		       ticket_of("\"mid\":7,\"ticket\":\"b\"", "1800000060"));
	request.token_bytes = strlen(text);
	assert_int_equal(logic_permit(&l, &request, &seat, NULL, 0, &grants), 0);
	assert_int_not_equal(grants_room_until(grants, "a"), 0);
	assert_int_not_equal(grants_room_until(grants, "b"), 0);
	assert_int_equal(grants_room_until(grants, "c"), 0);
	grants_free(&grants);
	request.token_bytes = 0;
	assert_int_equal(logic_permit(&l, &request, &seat, NULL, 0, &grants), 0);
	assert_null(grants);
}

static void a_ticket_is_no_token(void **state)
{
	(void)state;
	is_refused(good_token("\"mid\":7,\"ticket\":\"a\""), AUTH_CLAIMS,
		   "a ticket lets nobody in; it stands beside a token");
}

#define auth_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		auth_test(exp_and_nbf_hold_to_the_millisecond_with_leeway),
		auth_test(dates_that_are_no_seconds_are_refused),
		auth_test(a_token_without_exp_needs_permission),
		auth_test(the_user_is_the_first_claim_that_is_there),
		auth_test(a_login_service_names_users_as_it_likes),
		auth_test(claims_go_by_the_names_that_are_set),
		auth_test(the_client_chooses_only_what_the_token_leaves_open),
		auth_test(a_chosen_key_is_no_other_user_s),
		auth_test(no_issuer_names_another_s_users),
		auth_test(a_chosen_key_has_room_for_its_user),
		auth_test(renewing_is_for_the_same_user_and_key),
		auth_test(a_reload_takes_all_keys_or_none),
		auth_test(a_ticket_opens_its_rooms_until_its_end),
		auth_test(a_ticket_that_is_no_good_opens_nothing_and_is_counted),
		auth_test(tickets_are_taken_back_with_the_user_s_tokens),
		auth_test(tickets_come_a_line_each_after_auth),
		auth_test(a_ticket_is_no_token),
		auth_test(no_memory_is_said_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
