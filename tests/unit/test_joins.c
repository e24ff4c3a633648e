/* Tests of comet/join and comet/joins: rooms of a connection with streams, and the join gate. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "comet/deliver.h"
#include "comet/errand.h"
#include "comet/fence.h"
#include "comet/join.h"
#include "comet/joins.h"
#include "comet/operator.h"
#include "comet/push.h"
#include "comet/push_job.h"
#include "comet/serve.h"
#include "comet/usher.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "tests/unit/seam.h"
#include "tests/unit/stage.h"
#include "tests/unit/until.h"

static struct stage stage;
static struct push *push;
static struct fake_transport peers[2];
static struct connection *c[2];

static void enter_stage(unsigned i, const char *key)
{
	fake_init(&peers[i]);
	c[i] = stage_member(&stage, &peers[i], key, "");
	assert_int_equal(joins_new(&c[i]->joins), 0);
	c[i]->dialect = DIALECT_V2S;
	atomic_store(&c[i]->heartbeat_due_ns, INT64_MAX); /* it has no deadline to be put off */
}

static void leave_stage(unsigned i)
{
	joins_leave_all(&stage.server, c[i]);
	stage_leave(&stage, &c[i]);
	fake_fini(&peers[i]);
}

static int set_up_with(const char *rooms, int64_t svr_proto, bool parks)
{
	stage_set(&stage);
	stage.parks = parks;
	free(stage.cfg.stream_rooms);
	stage.cfg.stream_rooms = strdup(rooms);
	stage.cfg.protocol_svr_proto = svr_proto;
	stage.cfg.limits_rooms = 3;
	stage.cfg.limits_joins = 0;
	stage.cfg.limits_replay = 0;
	stage_up(&stage);
	assert_int_equal(push_start(&stage.server, 2, 64, &push), 0);
	enter_stage(0, "zero");
	enter_stage(1, "one");
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_with("chat:20/10m", 8, false);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	push_stop(&push);
	leave_stage(0);
	leave_stage(1);
	stage_down(&stage);
	return 0;
}

/* ---- asking ---- */

/* Whoever wrote to it has also given the baton back: what would be left to its dispatcher, nobody writes here. */
static bool is_at_rest(struct connection *who)
{
	bool rests;

	lock_take(&who->channel.lock);
	rests = who->channel.baton == BATON_FREE;
	lock_drop(&who->channel.lock);
	return rests;
}

static int say(unsigned i, int32_t op, int32_t seq, const char *body)
{
	struct packet p = {.ver = 1, .op = op, .seq = seq, .body = (uint8_t *)(uintptr_t)body};
	unsigned answers = fake_got_op(&peers[i], op + 1);
	int rc;

	until(c[i]->opt->park != NULL || is_at_rest(c[i]));
	p.body_bytes = (uint32_t)strlen(body);
	assert_true(errand_is_join(c[i], &p));
	if ((rc = join(&stage.server, c[i], &p)) < 0 || (rc = joins_replay(&stage.server, c[i])) < 0)
		return rc;
	assert_int_equal(p.kind, PACKET_NOTHING);
	/* A push thread that is writing writes it, and has perhaps not yet. */
	until(fake_got_op(&peers[i], op + 1) == answers + 1);
	return 0;
}

static const struct fake_packet *last_packet(unsigned i)
{
	return fake_packet(&peers[i], fake_got(&peers[i]) - 1);
}

/* The last packet is this. */
static void assert_last(unsigned i, int32_t op, const char *body)
{
	assert_int_equal(last_packet(i)->op, op);
	assert_int_equal(last_packet(i)->ver, 1);
	assert_string_equal(last_packet(i)->body, body);
}

/* JOIN of this member; the answer to it. */
static const char *answer_to(unsigned i, const char *member)
{
	static char body[600];

	(void)snprintf(body, sizeof(body), "{\"rooms\":[%s]}", member);
	assert_int_equal(say(i, OP_JOIN, 1, body), 0);
	for (unsigned n = fake_got(&peers[i]); n > 0; n--)
		if (fake_packet(&peers[i], n - 1)->op == OP_JOIN_REPLY)
			return fake_packet(&peers[i], n - 1)->body;
	return "";
}

static uint64_t at_of(const char *answer)
{
	const char *at = strstr(answer, "\"at\":");

	assert_non_null(at);
	return strtoull(at + 5, NULL, 10);
}

static uint64_t number_of(const struct fake_packet *p)
{
	return (uint64_t)(uint32_t)packet_get_i32((const uint8_t *)p->body) << 32 | (uint32_t)p->seq;
}

/* What pushes have brought by now, those of other peers included. */
static int64_t done(void)
{
	return counters_read(COUNT_QUEUED);
}

static void push_to(const char *room, const char *body)
{
	struct wire_push to = {.target = WIRE_ROOM, .room = room};

	assert_int_equal(message_new(1000, body, (uint32_t)strlen(body), &to.message), 0);
	assert_int_equal(push_accept(push, &to), 0);
	message_unref(&to.message);
}

static void push_many(const char *room, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		push_to(room, "x");
	until(done() == 0);
}

static void push_key(const char *key, const char *body)
{
	const char *const keys[] = {key};
	struct wire_push to = {.target = WIRE_KEYS, .keys = keys, .n_keys = 1};

	assert_int_equal(message_new(1000, body, (uint32_t)strlen(body), &to.message), 0);
	assert_int_equal(push_accept(push, &to), 0);
	message_unref(&to.message);
}

/* The number that the room's feed jumps to. */
static uint64_t clear(const char *room)
{
	struct wire_push to = {.target = WIRE_CLEAR, .room = room};
	uint64_t at;

	assert_int_equal(message_new(0, NULL, 0, &to.message), 0);
	to.message->notice = true;
	assert_int_equal(push_accept(push, &to), 0);
	at = to.message->number;
	message_unref(&to.message);
	return at;
}

/* The packets from `from` on are pushes with consecutive numbers after this one; how many. */
static unsigned assert_consecutive(unsigned i, unsigned from, uint64_t after)
{
	unsigned n = 0;

	for (; from + n < fake_got(&peers[i]); n++) {
		assert_int_equal(fake_packet(&peers[i], from + n)->ver, 4);
		assert_int_equal(number_of(fake_packet(&peers[i], from + n)), after + 1 + n);
	}
	return n;
}

/* ---- rooms ---- */

static void a_room_without_numbers_is_joined_from_now_on(void **state)
{
	(void)state;
	assert_string_equal(answer_to(0, "{\"id\":\"live://1\"}"),
			    "{\"rooms\":[{\"id\":\"live://1\",\"at\":0,\"gap\":false,\"replay\":0}]}");
	assert_string_equal(stage.logic.joined_room, "live://1");
	push_to("live://1", "hello");
	until(fake_got(&peers[0]) == 2);
	assert_int_equal(last_packet(0)->ver, 4);
	assert_int_equal(last_packet(0)->seq, 0);
	assert_memory_equal(last_packet(0)->body, "\0\0\0\0\x08live://1hello", 18);
	/* Whoever had a position cannot be told that nothing is missing. */
	assert_non_null(strstr(answer_to(0, "{\"id\":\"live://2\",\"since\":5}"),
			       "\"at\":0,\"gap\":true,\"replay\":0,\"reload_ms\":"));
}

static void *join_live(void *arg)
{
	char body[] = "{\"rooms\":[{\"id\":\"live://1\"}]}";
	struct packet p = {.ver = 1, .op = OP_JOIN, .seq = 1, .body = (uint8_t *)body, .body_bytes = sizeof(body) - 1};

	(void)join(&stage.server, c[0], &p);
	return arg;
}

static bool was_queued_or_filtered(int64_t filtered)
{
	unsigned queued;

	lock_take(&c[0]->channel.lock);
	queued = c[0]->channel.queue.count;
	lock_drop(&c[0]->channel.lock);
	return queued > 0 || counters_read(COUNT_FILTERED) > filtered;
}

/* Its client may have read the answer before the writer comes back. */
static void a_push_to_a_room_without_numbers_is_not_missed_once_the_answer_is_written(void **state)
{
	int64_t filtered = counters_read(COUNT_FILTERED);
	pthread_t joiner;

	(void)state;
	fake_hold_writes(&peers[0], true);
	assert_int_equal(pthread_create(&joiner, NULL, join_live, NULL), 0);
	until(fake_is_writing(&peers[0]));
	push_to("live://1", "hello");
	until(was_queued_or_filtered(filtered));
	fake_hold_writes(&peers[0], false);
	assert_int_equal(pthread_join(joiner, NULL), 0);
	assert_int_equal(counters_read(COUNT_FILTERED), filtered);
	until(fake_got(&peers[0]) == 2);
	assert_int_equal(last_packet(0)->ver, 4);
}

static void a_connection_is_in_many_rooms_and_leaves_those_that_it_names(void **state)
{
	(void)state;
	(void)answer_to(0, "{\"id\":\"live://1\"},{\"id\":\"live://2\"},{\"id\":\"chat://3\"}");
	assert_int_equal(counters_read(COUNT_ROOMS), 3);
	assert_int_equal(say(0, OP_LEAVE, 9, "{\"rooms\":[\"live://2\",\"live://7\",\"live://2\"]}"), 0);
	assert_last(0, OP_LEAVE_REPLY, "{\"rooms\":1}");
	assert_int_equal(last_packet(0)->seq, 9);
	push_many("live://2", 1);
	push_many("live://1", 1);
	until(fake_got(&peers[0]) == 3);
	assert_int_equal(say(0, OP_LEAVE, 9, "{\"rooms\":[]}"), 0);
	assert_last(0, OP_LEAVE_REPLY, "{\"rooms\":2}");
	assert_int_equal(counters_read(COUNT_ROOMS), 0);
	assert_int_equal(say(0, OP_LEAVE, 9, "x"), 0);
	assert_last(0, OP_LEAVE_REPLY, "{\"error\":400,\"reason\":\"no JSON\"}");
}

static void rooms_of_one_join_are_written_down_together(void **state)
{
	(void)state;
	assert_non_null(strstr(answer_to(0, "{\"id\":\"live://1\"},{\"id\":\"\"},{\"id\":\"live://2\"}"), "live://2"));
	assert_int_equal(stage.logic.joined, 1);
	assert_string_equal(stage.logic.joined_room, "live://2");
	/* One that it is in is there already. */
	assert_non_null(strstr(answer_to(0, "{\"id\":\"live://3\"},{\"id\":\"live://2\"}"), "live://2"));
	assert_int_equal(stage.logic.joined, 2);
	assert_string_equal(stage.logic.joined_room, "live://3");
	assert_non_null(strstr(answer_to(0, "{\"id\":\"live://1\"},{\"id\":\"live://3\"}"), "live://3"));
	assert_int_equal(stage.logic.joined, 2);
}

static void a_join_may_be_refused_for_each_room_by_itself(void **state)
{
	(void)state;
	assert_string_equal(answer_to(0,
				      "{\"id\":\"live://1\"},{\"id\":\"live://1\"},{\"id\":\"\"},{\"id\":\"live://2\"},"
				      "{\"id\":\"live://3\"},{\"id\":\"live://4\"}"),
			    "{\"rooms\":[{\"id\":\"live://1\",\"at\":0,\"gap\":false,\"replay\":0},"
			    "{\"id\":\"live://1\",\"error\":400,\"reason\":\"twice\"},"
			    "{\"id\":\"\",\"error\":400,\"reason\":\"id\"},"
			    "{\"id\":\"live://2\",\"at\":0,\"gap\":false,\"replay\":0},"
			    "{\"id\":\"live://3\",\"at\":0,\"gap\":false,\"replay\":0},"
			    "{\"id\":\"live://4\",\"error\":429,\"reason\":\"rooms\"}]}");
	/* One that is joined does not count again. */
	assert_non_null(strstr(answer_to(0, "{\"id\":\"live://2\"}"), "\"at\":0"));
	assert_int_equal(say(0, OP_JOIN, 3, "{}"), 0);
	assert_last(0, OP_JOIN_REPLY, "{\"error\":400,\"reason\":\"rooms\"}");
	assert_int_equal(say(0, OP_JOIN, 3, "{\"rooms\":[]}"), 0);
	assert_last(0, OP_JOIN_REPLY, "{\"rooms\":[]}");
}

static void a_number_that_may_not_be_made_is_refused_for_now(void **state)
{
	int64_t refused = counters_read_by(COUNT_JOINS, JOIN_REFUSED);

	(void)state;
	stage.server.feeds.new_rate = (struct rate){.per_second = 1};
	stage.server.feeds.spread_ms = 0; /* which is no reason to come again at once */
	assert_non_null(strstr(answer_to(0, "{\"id\":\"chat://1\"},{\"id\":\"chat://2\"}"),
			       "{\"id\":\"chat://2\",\"error\":429,\"reason\":\"rate\",\"retry_ms\":500}"));
	assert_int_equal(counters_read_by(COUNT_JOINS, JOIN_REFUSED), refused + 1);
	assert_int_equal(c[0]->joins->n, 1);
}

static void what_is_not_granted_is_not_joined(void **state)
{
	(void)state;
	stage.cfg.auth_rooms = CONFIG_ROOMS_TOKEN;
	assert_string_equal(answer_to(0, "{\"id\":\"live://1\"}"),
			    "{\"rooms\":[{\"id\":\"live://1\",\"error\":403,\"reason\":\"not_granted\"}]}");
	assert_int_equal(counters_read(COUNT_ROOMS), 0);
}

/* By its second name in one JOIN it may not be entered any more: that is none of the first one's business. */
static void a_pass_that_ends_within_a_join_takes_nobody_out_who_is_let_in(void **state)
{
	static const char thrice[] = "{\"rooms\":[{\"id\":\"chat://1\"},{\"id\":\"chat://1\"},{\"id\":\"chat://1\"}]}";
	unsigned n_in = 0;

	(void)state;
	stage.cfg.auth_rooms = CONFIG_ROOMS_TOKEN;
	for (int64_t left_ms = 1; left_ms < 20; left_ms++) {
		bool is_in;

		seam_clock_tick(CLOCK_MS);
		assert_int_equal(grants_add_pass(&c[0]->grants, "chat://1", left_ms), 0);
		assert_int_equal(say(0, OP_JOIN, 1, thrice), 0);
		seam_clock_tick(0);
		is_in = strstr(last_packet(0)->body, "\"rooms\":[{\"id\":\"chat://1\",\"at\":") != NULL;
		assert_int_equal(joins_have(&stage.server, c[0], "chat://1"), is_in);
		assert_int_equal(c[0]->joins->n, is_in);
		n_in += is_in;
		(void)joins_leave_all(&stage.server, c[0]);
		grants_free(&c[0]->grants);
	}
	assert_in_range(n_in, 3, 18);
}

static void a_token_that_grants_less_ends_memberships_with_a_notice(void **state)
{
	(void)state;
	(void)answer_to(0, "{\"id\":\"live://1\"},{\"id\":\"chat://1\"}");
	free(stage.cfg.auth_rooms_open);
	stage.cfg.auth_rooms_open = strdup("chat://*");
	stage.cfg.auth_rooms = CONFIG_ROOMS_TOKEN;
	assert_int_equal(joins_renewed(&stage.server, c[0]), 0);
	assert_last(0, OP_NOTICE, "{\"room\":\"live://1\",\"left\":\"not_granted\"}");
	assert_int_equal(c[0]->joins->n, 1);
}

static void the_room_of_op_12_may_be_joined_and_stays_joined(void **state)
{
	struct packet change = {.ver = 1, .op = OP_CHANGE_ROOM, .body = (uint8_t *)"chat://1", .body_bytes = 8};
	struct server *s = &stage.server;

	(void)state;
	assert_int_equal(operate(s, c[0], &change), 0);
	packet_drop_body(&change);
	push_to("chat://1", "x");
	until(fake_got(&peers[0]) == 1);
	assert_int_equal(number_of(last_packet(0)), 0);
	assert_memory_equal(last_packet(0)->body + 4,
			    "\x08"
			    "chat://1x",
			    10);
	assert_non_null(strstr(answer_to(0, "{\"id\":\"chat://1\",\"last\":1}"), "\"replay\":1"));
	assert_true(number_of(last_packet(0)) > 0);
	assert_null(atomic_load(&c[0]->place.room));
	assert_int_equal(counters_read(COUNT_ROOMS), 1);
	/* Into it by op 12: nothing changes, and nothing comes twice. */
	change = (struct packet){.ver = 1, .op = OP_CHANGE_ROOM, .body = (uint8_t *)"chat://1", .body_bytes = 8};
	assert_int_equal(operate(s, c[0], &change), 0);
	assert_int_equal(change.op, OP_CHANGE_ROOM_REPLY);
	packet_drop_body(&change);
	push_many("chat://1", 1);
	until(fake_got(&peers[0]) == 4);
	assert_int_equal(say(0, OP_LEAVE, 1, "{\"rooms\":[]}"), 0);
	push_many("chat://1", 1);
	push_key("zero", "behind it");
	until(fake_got(&peers[0]) == 6);
	assert_int_equal(last_packet(0)->body_bytes, 5 + 9);
}

static int change_room(const char *room)
{
	struct packet change = {.ver = 1,
				.op = OP_CHANGE_ROOM,
				.body = (uint8_t *)(uintptr_t)room,
				.body_bytes = (uint32_t)strlen(room)};
	int rc = operate(&stage.server, c[0], &change);

	packet_drop_body(&change);
	return rc;
}

static void op_12_into_a_joined_room_leaves_the_one_of_before(void **state)
{
	(void)state;
	assert_int_equal(change_room("live://1"), 0);
	(void)answer_to(0, "{\"id\":\"chat://1\"}");
	assert_int_equal(change_room("chat://1"), 0);
	assert_null(atomic_load(&c[0]->place.room));
	push_many("live://1", 1);
	push_many("chat://1", 1);
	until(fake_got(&peers[0]) == 2);
	assert_true(number_of(last_packet(0)) > 0);
}

/* Else pushes come for which the pass is over. */
static void a_pass_to_the_next_room_of_op_12_is_none_to_the_room_before(void **state)
{
	struct membership *place = &c[0]->place;
	const struct room *before;

	(void)state;
	assert_int_equal(change_room("live://1"), 0);
	before = atomic_load(&place->room);
	atomic_store(&place->until_ns, clock_now_ns());
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(change_room("live://2"), -ENOMEM);
	assert_false(membership_passes(place, before, 0));
	seam_reset();
	/* Into the same one again nothing is missed meanwhile. */
	assert_int_equal(change_room("live://2"), 0);
	before = atomic_load(&place->room);
	assert_int_equal(change_room("live://2"), 0);
	assert_ptr_equal(atomic_load(&place->room), before);
}

/* ---- a back end leads it in meanwhile ---- */

/* One that leads the connection into a room, and the one who waits at the start with it. */
struct leader {
	struct push_job *job;
	atomic_uint rounds; /* that may begin */
	atomic_uint led;    /* that are over */
};

#define LEADS 3000u

static void *lead_in(void *arg)
{
	struct leader *l = arg;

	for (unsigned i = 1; i <= LEADS; i++) {
		while (atomic_load(&l->rounds) < i)
			(void)sched_yield();
		for (unsigned spin = 0; spin < i % 256; spin++)
			__asm__ volatile("" ::: "memory");
		usher(&stage.server, c[0], l->job);
		atomic_store(&l->led, i);
	}
	return NULL;
}

static void begin_leading(struct leader *l, pthread_t *thread)
{
	struct wire_push to = {.target = WIRE_JOIN, .room = "live://1"};

	assert_int_equal(message_new(0, NULL, 0, &to.message), 0);
	assert_non_null(l->job = push_job_new(&stage.server, &to));
	message_unref(&to.message);
	assert_int_equal(pthread_create(thread, NULL, lead_in, l), 0);
}

/* `leave_it` is what would take it out. Whichever of the two comes first, it is in the room afterwards. */
static void lead_against(void (*be_in)(void), void (*leave_it)(void))
{
	struct leader l = {0};
	unsigned lost = 0;
	pthread_t thread;

	begin_leading(&l, &thread);
	for (unsigned i = 1; i <= LEADS; i++) {
		be_in();
		atomic_store(&l.rounds, i);
		leave_it();
		until(atomic_load(&l.led) == i);
		lost += !joins_are_led(&stage.server, c[0], "live://1");
		(void)joins_leave_named(&stage.server, c[0], "live://1");
		until(is_at_rest(c[0]));
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	push_job_unref(l.job);
	assert_int_equal(lost, 0);
}

static struct joined *be_in_until(int64_t until_ns)
{
	struct joined *j;

	c[0]->joins->asked++;
	assert_int_equal(joins_enter(&stage.server, c[0], "live://1", &j), 1);
	atomic_store(&j->member.until_ns, until_ns);
	j->busy = false;
	return j;
}

static void be_in_with_a_pass_that_is_over(void)
{
	(void)be_in_until(1);
}

static void end_passes(void)
{
	assert_int_equal(joins_end_passes(&stage.server, c[0]), 0);
}

static void a_pass_that_ends_takes_nobody_out_whom_a_back_end_leads_in(void **state)
{
	(void)state;
	lead_against(be_in_with_a_pass_that_is_over, end_passes);
}

static void be_in_without_a_pass(void)
{
	stage.cfg.auth_rooms = CONFIG_ROOMS_TOKEN;
	(void)be_in_until(0);
}

static void renew(void)
{
	assert_int_equal(joins_renewed(&stage.server, c[0]), 0);
}

static void a_new_token_takes_nobody_out_whom_a_back_end_leads_in(void **state)
{
	(void)state;
	lead_against(be_in_without_a_pass, renew);
}

static struct joined *busy;

static void be_in_and_to_leave(void)
{
	busy = be_in_until(0);
	busy->busy = busy->to_leave = true;
}

static void be_done(void)
{
	assert_int_equal(joins_done(&stage.server, c[0], busy), 0);
}

static void who_was_to_go_and_is_led_in_again_stays(void **state)
{
	(void)state;
	lead_against(be_in_and_to_leave, be_done);
}

static void be_refused(void)
{
	static char body[] = "{\"rooms\":[{\"id\":\"live://1\"}]}";
	struct packet p = {.ver = 1, .op = OP_JOIN, .body = (uint8_t *)body, .body_bytes = sizeof(body) - 1};

	assert_int_equal(join(&stage.server, c[0], &p), 0);
}

static void a_join_that_is_not_granted_takes_nobody_out_whom_a_back_end_leads_in(void **state)
{
	(void)state;
	lead_against(be_in_without_a_pass, be_refused);
}

static void resume_three(void *self, struct resume *all, size_t n, int64_t deadline_ns);

/* A cluster whose streams cannot be read now. */
static void resume_never(void *self, struct resume *all, size_t n, int64_t deadline_ns)
{
	(void)self;
	(void)deadline_ns;
	for (size_t i = 0; i < n; i++)
		all[i].rc = -ERR_NO_LOGIC;
}

static void lead_zero(const char *room, uint64_t at)
{
	struct wire_push to = {.target = WIRE_JOIN, .room = room, .keys = (const char *const[]){"zero"}, .n_keys = 1};

	assert_int_equal(message_new(0, NULL, 0, &to.message), 0);
	to.message->number = at;
	assert_int_equal(push_accept(push, &to), 0);
	message_unref(&to.message);
	until(done() == 0 && is_at_rest(c[0]));
}

/* It has no token that lets it in: out of the room it could not come again. */
static void a_join_that_is_put_off_keeps_a_room_that_a_back_end_has_led_it_into(void **state)
{
	static struct logic_client cluster = {.resume = resume_never};
	static const char wish[] = "{\"id\":\"chat://1\",\"since\":5}";
	const char *notice = "{\"room\":\"chat://1\",\"at\":1000,\"by\":\"server\"}";

	(void)state;
	stage.server.feeds.logic = &cluster;
	stage.cfg.auth_rooms = CONFIG_ROOMS_TOKEN;
	lead_zero("chat://1", 1000);
	until(fake_got(&peers[0]) == 1);
	assert_last(0, OP_NOTICE, notice);
	assert_non_null(strstr(answer_to(0, wish), "\"error\":503"));
	assert_non_null(strstr(answer_to(0, wish), "\"error\":503"));
	assert_int_equal(c[0]->joins->n, 1);
	/* Its back end may lead it in once more, and then it hears. */
	lead_zero("chat://1", 1000);
	until(fake_got(&peers[0]) == 4);
	assert_last(0, OP_NOTICE, notice);
	/* Or the client comes when it can be read. */
	assert_non_null(strstr(answer_to(0, wish), "\"error\":503"));
	cluster.resume = resume_three;
	assert_non_null(strstr(answer_to(0, wish), "\"gap\":true"));
	assert_true(joins_leave_named(&stage.server, c[0], "chat://1"));
	cluster.resume = resume_never;
}

/* A cluster's streams, all empty. While a room is looked at again, a push comes to another. */
static void resume_empty(void *self, struct resume *all, size_t n, int64_t deadline_ns)
{
	struct wire_push to = {.target = WIRE_ROOM, .room = "chat://1"};

	(void)self;
	(void)deadline_ns;
	for (size_t i = 0; i < n; i++) {
		all[i].newest = 1000;
		all[i].messages = calloc(1, sizeof(struct message *));
		assert_non_null(all[i].messages);
	}
	if (all[0].since == 0)
		return;
	assert_int_equal(message_new(1000, "x", 1, &to.message), 0);
	to.message->number = 1001;
	assert_int_equal(push_accept(push, &to), 0);
	message_unref(&to.message);
	until(done() == 0);
	push_key("zero", "behind it");
	until(fake_got_op(&peers[0], 1000) > 0 && is_at_rest(c[0]));
}

static void a_push_that_is_to_be_replayed_does_not_come_to_the_room_of_op_12_as_well(void **state)
{
	static struct logic_client cluster = {.resume = resume_empty};
	struct server *s = &stage.server;

	(void)state;
	s->feeds.logic = &cluster;
	assert_int_equal(bucket_change_room(server_bucket(s, "zero"), &c[0]->place, "chat://1"), 0);
	assert_int_equal(say(0, OP_JOIN, 1, "{\"rooms\":[{\"id\":\"chat://1\"},{\"id\":\"chat://2\",\"since\":1005}]}"),
			 0);
	until(fake_got(&peers[0]) >= 3);
	assert_int_equal(fake_packet(&peers[0], 0)->body_bytes, 5 + 9); /* the push to the key */
	assert_int_equal(fake_packet(&peers[0], 1)->op, OP_JOIN_REPLY);
	assert_int_equal(assert_consecutive(0, 2, 1000), 1);
}

/* A cluster's stream: empty, and then with pushes of which only the last has come by the bus. */
static void resume_three(void *self, struct resume *all, size_t n, int64_t deadline_ns)
{
	(void)self;
	(void)deadline_ns;
	assert_int_equal(n, 1);
	all->n = all->since == 0 ? 0 : 3;
	all->newest = 1000 + all->n;
	all->messages = calloc(4, sizeof(struct message *));
	assert_non_null(all->messages);
	for (size_t i = 0; i < all->n; i++) {
		assert_int_equal(message_new(1000, "x", 1, &all->messages[i]), 0);
		all->messages[i]->number = 1001 + i;
	}
}

static void pushes_that_are_missing_come_before_the_one_that_came(void **state)
{
	static struct logic_client cluster = {.resume = resume_three};
	struct wire_push to = {.target = WIRE_ROOM, .room = "chat://1"};
	int64_t filled = counters_read_by(COUNT_STREAM_HOLES, HOLE_FILLED);
	int64_t again = counters_read(COUNT_PUSH_DUPLICATES);

	(void)state;
	stage.server.feeds.logic = &cluster;
	assert_int_equal(at_of(answer_to(0, "{\"id\":\"chat://1\"}")), 1000);
	assert_int_equal(message_new(1000, "x", 1, &to.message), 0);
	to.message->number = 1003;
	for (unsigned times = 0; times < 2; times++) {
		assert_int_equal(push_accept(push, &to), 0);
		until(fake_got(&peers[0]) == 4 && done() == 0);
		assert_int_equal(assert_consecutive(0, 1, 1000), 3);
	}
	message_unref(&to.message);
	assert_int_equal(counters_read_by(COUNT_STREAM_HOLES, HOLE_FILLED), filled + 1);
	assert_int_equal(counters_read(COUNT_PUSH_DUPLICATES), again + 1);
}

static void pushes_to_a_key_have_no_number_and_no_room(void **state)
{
	(void)state;
	push_key("zero", "hi");
	until(fake_got(&peers[0]) == 1);
	assert_int_equal(last_packet(0)->ver, 4);
	assert_int_equal(last_packet(0)->body_bytes, 7);
	assert_memory_equal(last_packet(0)->body, "\0\0\0\0\0hi", 7);
}

/* Whatever allocation fails, the client is told to try again, or is closed; and it is in no room without hearing it. */
static void a_join_without_memory_is_told_or_fails(void **state)
{
	bool failed = true;

	(void)state;
	for (unsigned after = 0; failed; after++) {
		struct packet p = {
			.ver = 1, .op = OP_JOIN, .seq = 1, .body = (uint8_t *)"{\"rooms\":[{\"id\":\"chat://1\"}]}"};
		int rc;

		p.body_bytes = (uint32_t)strlen((const char *)p.body);
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		rc = join(&stage.server, c[0], &p);
		failed = seam_failed(SEAM_ALLOC) > 0;
		seam_reset();
		if (rc == 0 && c[0]->joins->n == 0)
			assert_non_null(
				strstr(last_packet(0)->body, "\"error\":503,\"reason\":\"unavailable\",\"retry_ms\":"));
		else if (rc != 0)
			assert_int_equal(rc, -ENOMEM);
		assert_int_equal(joins_replay(&stage.server, c[0]), 0);
		joins_leave_all(&stage.server, c[0]);
		assert_true(after < 1000);
	}
	assert_int_equal(counters_read(COUNT_ROOMS), 0);
}

/* ---- numbers ---- */

static void what_was_missed_comes_after_the_answer_and_before_what_is_new(void **state)
{
	int64_t replayed = counters_read(COUNT_REPLAYED);
	uint64_t at;
	char wish[80];

	(void)state;
	at = at_of(answer_to(0, "{\"id\":\"chat://1\"}"));
	push_many("chat://1", 15);
	until(fake_got(&peers[0]) == 16);
	assert_int_equal(assert_consecutive(0, 1, at), 15);
	(void)snprintf(wish, sizeof(wish), "{\"id\":\"chat://1\",\"since\":%llu}", (unsigned long long)at + 3);
	assert_int_equal(at_of(answer_to(1, wish)), at + 3);
	push_many("chat://1", 1);
	until(fake_got(&peers[1]) == 14);
	assert_int_equal(assert_consecutive(1, 1, at + 3), 13);
	assert_int_equal(counters_read(COUNT_REPLAYED), replayed + 12);
}

static void a_position_that_is_too_old_is_a_gap_and_may_be_followed_by_the_last(void **state)
{
	uint64_t at = at_of(answer_to(0, "{\"id\":\"chat://1\"}"));
	const char *answer;
	char wish[80];

	(void)state;
	assert_int_equal(say(0, OP_LEAVE, 1, "{\"rooms\":[]}"), 0);
	push_many("chat://1", 30);
	(void)snprintf(wish, sizeof(wish), "{\"id\":\"chat://1\",\"since\":%llu,\"last\":2}",
		       (unsigned long long)at + 3);
	answer = answer_to(0, wish);
	assert_non_null(strstr(answer, "\"gap\":true,\"replay\":2,\"reload_ms\":"));
	assert_int_equal(at_of(answer), at + 28);
	assert_int_equal(assert_consecutive(0, 3, at + 28), 2);
}

/* JOIN of a room that is joined: from the position on that it names, with all that it has had since. */
static void joining_again_goes_on_from_another_position(void **state)
{
	uint64_t at = at_of(answer_to(0, "{\"id\":\"chat://1\"}"));
	char wish[80];

	(void)state;
	push_many("chat://1", 3);
	until(fake_got(&peers[0]) == 4);
	(void)snprintf(wish, sizeof(wish), "{\"id\":\"chat://1\",\"since\":%llu}", (unsigned long long)at + 1);
	(void)answer_to(0, wish);
	push_many("chat://1", 1);
	until(fake_got(&peers[0]) == 8);
	assert_int_equal(assert_consecutive(0, 5, at + 1), 3);
	assert_int_equal(c[0]->joins->n, 1);
	assert_int_equal(counters_read(COUNT_ROOMS), 1);
}

static void a_jump_is_told_to_those_who_have_joined(void **state)
{
	int64_t jumps = counters_read_by(COUNT_STREAM_GAPS, GAP_JUMP);
	uint64_t at;
	char notice[100];

	(void)state;
	(void)answer_to(0, "{\"id\":\"chat://1\"}");
	assert_int_equal(bucket_change_room(server_bucket(&stage.server, "one"), &c[1]->place, "chat://1"), 0);
	at = clear("chat://1");
	push_many("chat://1", 1);
	until(fake_got(&peers[0]) == 3);
	(void)snprintf(notice, sizeof(notice),
		       "{\"room\":\"chat://1\",\"at\":%llu,\"gap\":true,\"reload_ms\":", (unsigned long long)at);
	assert_int_equal(fake_packet(&peers[0], 1)->op, OP_NOTICE);
	assert_memory_equal(fake_packet(&peers[0], 1)->body, notice, strlen(notice));
	assert_int_equal(assert_consecutive(0, 2, at), 1);
	assert_int_equal(counters_read_by(COUNT_STREAM_GAPS, GAP_JUMP), jumps + 1);
	until(fake_got(&peers[1]) == 1); /* the push alone, without its number */
	assert_int_equal(number_of(fake_packet(&peers[1], 0)), 0);
}

/* Held for a time by limits.replay; the history meanwhile goes past what it has. */
static void a_room_that_is_faster_than_the_replay_is_told_as_a_gap(void **state)
{
	uint64_t at = at_of(answer_to(0, "{\"id\":\"chat://1\"}"));
	char body[100];

	(void)state;
	push_many("chat://1", 20);
	(void)snprintf(body, sizeof(body), "{\"rooms\":[{\"id\":\"chat://1\",\"since\":%llu}]}",
		       (unsigned long long)at);
	{
		struct packet p = {.ver = 1, .op = OP_JOIN, .seq = 2, .body = (uint8_t *)body};

		p.body_bytes = (uint32_t)strlen(body);
		assert_int_equal(join(&stage.server, c[0], &p), 0);
	}
	push_many("chat://1", 21);
	assert_int_equal(joins_replay(&stage.server, c[0]), 0);
	until(last_packet(0)->op == OP_NOTICE);
	assert_int_equal(at_of(last_packet(0)->body), at + 41);
	push_many("chat://1", 1);
	until(last_packet(0)->ver == 4);
	assert_int_equal(number_of(last_packet(0)), at + 42);
}

/* The peer takes only the answers, until it is closed. */
static void *replay_until_the_end(void *arg)
{
	assert_int_equal(joins_replay(&stage.server, c[0]), -EPIPE);
	return arg;
}

static void join_all_since(uint64_t at)
{
	char body[100];
	struct packet p = {.ver = 1, .op = OP_JOIN, .seq = 2, .body = (uint8_t *)body};

	p.body_bytes = (uint32_t)snprintf(body, sizeof(body), "{\"rooms\":[{\"id\":\"chat://1\",\"since\":%llu}]}",
					  (unsigned long long)at);
	assert_int_equal(join(&stage.server, c[0], &p), 0);
}

static void what_does_not_fit_is_not_held_against_the_pace_of_replays(void **state)
{
	int64_t replayed = counters_read(COUNT_REPLAYED), begin = clock_now_ns();
	uint64_t at = at_of(answer_to(0, "{\"id\":\"chat://1\"}"));
	pthread_t reader;

	(void)state;
	assert_int_equal(say(0, OP_LEAVE, 1, "{\"rooms\":[]}"), 0);
	push_many("chat://1", 20);
	rate_change(&stage.server.replays, &(struct rate){.per_second = 1, .burst_ns = 1000 * CLOCK_SEC});
	fake_take(&peers[0], 0);
	join_all_since(at);
	assert_int_equal(pthread_create(&reader, NULL, replay_until_the_end, NULL), 0);
	until(!channel_half_is_free(&c[0]->channel));
	(void)connection_shutdown(c[0], CLOSE_KICKED);
	assert_int_equal(pthread_join(reader, NULL), 0);
	replayed = counters_read(COUNT_REPLAYED) - replayed;
	assert_in_range(replayed, 1, 8);
	assert_in_range(c[0]->joins->replays_ns - begin, replayed * CLOCK_SEC, (replayed + 8) * CLOCK_SEC);
}

/* Its reader was held back, or waited for the queue. */
static void replay_ends_with_the_pass_to_the_room(void **state)
{
	uint64_t at = at_of(answer_to(0, "{\"id\":\"chat://1\"}"));

	(void)state;
	push_many("chat://1", 3);
	until(fake_got(&peers[0]) == 4);
	join_all_since(at);
	atomic_store(&c[0]->joins->all->member.until_ns, clock_now_ns());
	assert_int_equal(joins_replay(&stage.server, c[0]), 0);
	until(fake_got(&peers[0]) == 6);
	assert_last(0, OP_NOTICE, "{\"room\":\"chat://1\",\"left\":\"expired\"}");
	assert_int_equal(c[0]->joins->n, 0);
}

/* Beside what waits there is no space for it, though half of the queue is free. */
static void a_long_message_waits_without_work(void **state)
{
	uint64_t at = at_of(answer_to(0, "{\"id\":\"chat://1\"}"));
	struct timespec used;
	pthread_t reader;
	clockid_t clock;

	(void)state;
	assert_int_equal(say(0, OP_LEAVE, 1, "{\"rooms\":[]}"), 0);
	push_to("chat://1", "forty bytes, and no more than half of it");
	push_to("chat://1", "more than sixty bytes, so that both of them have no space in there");
	fake_take(&peers[0], 1);
	join_all_since(at);
	until(fake_got_op(&peers[0], OP_JOIN_REPLY) == 2);
	c[0]->channel.queue.bytes_max = 100;
	assert_int_equal(pthread_create(&reader, NULL, replay_until_the_end, NULL), 0);
	assert_int_equal(pthread_getcpuclockid(reader, &clock), 0);
	(void)usleep(300000);
	assert_int_equal(clock_gettime(clock, &used), 0);
	assert_true(channel_half_is_free(&c[0]->channel));
	(void)connection_shutdown(c[0], CLOSE_KICKED);
	assert_int_equal(pthread_join(reader, NULL), 0);
	assert_in_range(used.tv_sec * CLOCK_SEC + used.tv_nsec, 0, 15 * CLOCK_MS);
}

/* What a slow client misses of a kept room it shall come back for, whatever the policy. */
static void a_numbered_push_is_never_dropped_in_silence(void **state)
{
	(void)state;
	stage.cfg.protocol_slow_consumer = CONFIG_SLOW_DROP;
	(void)answer_to(0, "{\"id\":\"chat://1\"},{\"id\":\"live://1\"}");
	fake_take(&peers[0], 0);
	push_many("live://1", 12);
	assert_false(connection_is_closing(c[0]));
	push_many("chat://1", 1);
	until(connection_is_closing(c[0]));
	assert_int_equal(atomic_load(&c[0]->reason), CLOSE_SLOW_CONSUMER);
}

static void who_has_joined_a_room_that_cannot_be_listed_is_closed(void **state)
{
	struct room *room;

	(void)state;
	(void)answer_to(0, "{\"id\":\"chat://1\"}");
	assert_int_equal(bucket_change_room(server_bucket(&stage.server, "one"), &c[1]->place, "chat://1"), 0);
	for (unsigned i = 0; i < stage.server.n_buckets; i++)
		if ((room = bucket_room(&stage.server.buckets[i], "chat://1")) != NULL) {
			deliver_to_nobody(room);
			room_unref(&room);
		}
	assert_int_equal(atomic_load(&c[0]->reason), CLOSE_NO_MEMORY);
	assert_false(connection_is_closing(c[1])); /* its pushes have no numbers */
}

/* ---- the gate, under threads: clients as they are served ---- */

#define PLAYERS 2
#define ROUNDS  10
#define JOINS   30 /* and as many LEAVEs: what a peer can send */
#define PUSHERS 2

static struct fake_transport players[PLAYERS];
static atomic_bool over;

static void *keep_pushing(void *arg)
{
	while (!atomic_load(&over)) {
		/* On a busy machine a player waits long for its answer: the other half has space for what is on its way. */
		if (fake_got(&players[0]) < FAKE_GOT_MAX / 2 && fake_got(&players[1]) < FAKE_GOT_MAX / 2)
			push_to("chat://1", "x");
		if (rand() % 4 == 0)
			(void)sched_yield();
	}
	return arg;
}

/* What is wrong with what a peer has got: from the `at` of an answer or NOTICE on, numbers go up by one; after LEAVE there is nothing. */
static unsigned count_bad(struct fake_transport *f, uint64_t *position)
{
	unsigned n = fake_got(f), bad = 0;
	bool is_in = false;
	uint64_t at = 0;

	for (unsigned k = 0; k < n; k++) {
		const struct fake_packet *p = fake_packet(f, k);

		if (p->ver == 4) {
			bad += !is_in || number_of(p) != at + 1;
			at = number_of(p);
		} else if (p->op == OP_JOIN_REPLY || p->op == OP_NOTICE) {
			is_in = true;
			at = at_of(p->body);
		} else {
			is_in = false;
		}
	}
	*position = at;
	return bad;
}

static void play(struct fake_transport *f, int32_t seq)
{
	unsigned dice = (unsigned)rand() % 8;
	uint64_t position;
	char body[100];

	(void)count_bad(f, &position);
	if (position > 0 && dice > 0)
		(void)snprintf(body, sizeof(body), "{\"rooms\":[{\"id\":\"chat://1\",\"since\":%llu}]}",
			       (unsigned long long)position);
	else
		(void)snprintf(body, sizeof(body), "{\"rooms\":[{\"id\":\"chat://1\",\"last\":%u}]}", dice * 3);
	if (dice < 3)
		fake_send(f, OP_LEAVE, seq, "{\"rooms\":[]}");
	fake_send(f, OP_JOIN, seq, body);
	until(fake_got_op(f, OP_JOIN_REPLY) == (unsigned)seq);
	for (unsigned k = 0; k < dice * dice; k++)
		(void)sched_yield();
}

static void *keep_joining(void *arg)
{
	struct fake_transport *f = arg;

	for (int32_t seq = 1; seq <= JOINS && fake_got(f) < FAKE_GOT_MAX / 8; seq++)
		play(f, seq);
	fake_send(f, OP_LEAVE, 0, "{\"rooms\":[]}"); /* the others go on for a while */
	return NULL;
}

static void come_in(struct fake_transport *f, const char *key)
{
	fake_init(f);
	(void)snprintf(stage.logic.session.key, sizeof(stage.logic.session.key), "%s", key);
	assert_int_equal(serve_start(&stage.server, stage_guest(&stage, f)), 0);
	fake_send(f, OP_AUTH, 0, "{\"streams\":{}}");
	until(fake_got(f) == 1);
	assert_int_equal(fake_packet(f, 0)->op, OP_AUTH_REPLY);
}

/* All that play, then all out. */
static void play_a_round(void)
{
	static const char *const keys[PLAYERS] = {"first", "second"};
	pthread_t pushers[PUSHERS], joiners[PLAYERS];

	atomic_store(&over, false);
	for (unsigned i = 0; i < PLAYERS; i++)
		come_in(&players[i], keys[i]);
	for (unsigned i = 0; i < PLAYERS; i++)
		assert_int_equal(pthread_create(&joiners[i], NULL, keep_joining, &players[i]), 0);
	for (unsigned i = 0; i < PUSHERS; i++)
		assert_int_equal(pthread_create(&pushers[i], NULL, keep_pushing, NULL), 0);
	for (unsigned i = 0; i < PLAYERS; i++)
		assert_int_equal(pthread_join(joiners[i], NULL), 0);
	atomic_store(&over, true);
	for (unsigned i = 0; i < PUSHERS; i++)
		assert_int_equal(pthread_join(pushers[i], NULL), 0);
	for (unsigned i = 0; i < PLAYERS; i++) {
		fake_end(&players[i], -ERR_EOF);
		until(fake_is_freed(&players[i]));
	}
}

static void no_schedule_of_joins_and_pushes_makes_a_hole_or_a_repetition(void **state)
{
	unsigned bad = 0, packets = 0, joins = 0, gaps = 0;
	uint64_t position;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		play_a_round();
		for (unsigned i = 0; i < PLAYERS; i++) {
			bad += count_bad(&players[i], &position);
			packets += fake_got(&players[i]);
			joins += fake_got_op(&players[i], OP_JOIN_REPLY);
			gaps += fake_got_op(&players[i], OP_NOTICE);
			fake_fini(&players[i]);
		}
	}
	print_message("%u joins, %u packets, %u gaps, %u bad\n", joins, packets, gaps, bad);
	assert_int_equal(bad, 0);
}

static int set_up_wide(void **state)
{
	(void)state;
	return set_up_with("chat:200/10m", 4096, false);
}

static int set_up_parked(void **state)
{
	(void)state;
	return set_up_with("chat:200/10m", 4096, true);
}

#define gate_test(set_up)                                                                                              \
	cmocka_unit_test_setup_teardown(no_schedule_of_joins_and_pushes_makes_a_hole_or_a_repetition, set_up, tear_down)
#define joins_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		joins_test(a_room_without_numbers_is_joined_from_now_on),
		cmocka_unit_test_setup_teardown(
			a_push_to_a_room_without_numbers_is_not_missed_once_the_answer_is_written, set_up_parked,
			tear_down),
		joins_test(a_connection_is_in_many_rooms_and_leaves_those_that_it_names),
		joins_test(rooms_of_one_join_are_written_down_together),
		joins_test(a_join_may_be_refused_for_each_room_by_itself),
		joins_test(a_number_that_may_not_be_made_is_refused_for_now),
		joins_test(what_is_not_granted_is_not_joined),
		joins_test(a_join_that_is_put_off_keeps_a_room_that_a_back_end_has_led_it_into),
		cmocka_unit_test_setup_teardown(a_pass_that_ends_takes_nobody_out_whom_a_back_end_leads_in,
						set_up_parked, tear_down),
		cmocka_unit_test_setup_teardown(a_new_token_takes_nobody_out_whom_a_back_end_leads_in, set_up_parked,
						tear_down),
		cmocka_unit_test_setup_teardown(who_was_to_go_and_is_led_in_again_stays, set_up_parked, tear_down),
		cmocka_unit_test_setup_teardown(a_join_that_is_not_granted_takes_nobody_out_whom_a_back_end_leads_in,
						set_up_parked, tear_down),
		joins_test(a_pass_that_ends_within_a_join_takes_nobody_out_who_is_let_in),
		joins_test(a_token_that_grants_less_ends_memberships_with_a_notice),
		joins_test(the_room_of_op_12_may_be_joined_and_stays_joined),
		joins_test(op_12_into_a_joined_room_leaves_the_one_of_before),
		joins_test(a_pass_to_the_next_room_of_op_12_is_none_to_the_room_before),
		joins_test(a_push_that_is_to_be_replayed_does_not_come_to_the_room_of_op_12_as_well),
		joins_test(pushes_that_are_missing_come_before_the_one_that_came),
		joins_test(pushes_to_a_key_have_no_number_and_no_room),
		joins_test(a_join_without_memory_is_told_or_fails),
		joins_test(what_was_missed_comes_after_the_answer_and_before_what_is_new),
		joins_test(a_position_that_is_too_old_is_a_gap_and_may_be_followed_by_the_last),
		joins_test(joining_again_goes_on_from_another_position),
		joins_test(a_jump_is_told_to_those_who_have_joined),
		joins_test(a_room_that_is_faster_than_the_replay_is_told_as_a_gap),
		joins_test(what_does_not_fit_is_not_held_against_the_pace_of_replays),
		joins_test(replay_ends_with_the_pass_to_the_room),
		joins_test(a_long_message_waits_without_work),
		joins_test(a_numbered_push_is_never_dropped_in_silence),
		joins_test(who_has_joined_a_room_that_cannot_be_listed_is_closed),
		gate_test(set_up_wide),
		gate_test(set_up_parked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
