/* Tests of comet/channel. Most need no thread: whoever holds the baton may call what is its holder's.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comet/channel.h"
#include "common/base/clock.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define RING_SIZE 4
#define QUEUE_MAX 10

static struct channel ch;
static const struct message any = {.body_bytes = 10}; /* to ask for space with */

/* As the dispatcher does it: wait, and take what there is. */
static enum channel_event ready(struct haul *h)
{
	enum channel_event event = channel_ready(&ch);

	*h = (struct haul){0};
	if (event == CHANNEL_READY)
		(void)channel_take(&ch, h);
	return event;
}

static void begin(bool use_baton)
{
	const struct channel_options opt = {.ring_size = RING_SIZE, .queue_max = QUEUE_MAX, .use_baton = use_baton};

	assert_int_equal(channel_init(&ch, &opt), 0);
}

/* From the reader, which holds the baton at first, to nobody: as if the dispatcher had started and gone to sleep. */
static void free_the_baton(void)
{
	struct haul h;

	assert_false(channel_take(&ch, &h));
	channel_done_and_release(&ch, &h, false);
	assert_int_equal(ch.baton, BATON_FREE);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	if (ch.magic == CHANNEL_MAGIC)
		(void)channel_fini(&ch);
	return 0;
}

/* 0: there is no such message. */
static int32_t op_of(const struct haul *h, unsigned i)
{
	return h->messages[i] != NULL ? h->messages[i]->op : 0;
}

/* Push a message of this op whose only reference is then the channel's. */
static int push(int32_t op)
{
	struct message *m;
	int rc;

	assert_int_equal(message_new(op, "0123456789", 10, &m), 0);
	rc = channel_push(&ch, m, false);
	message_unref(&m);
	return rc;
}

static void put(int32_t seq)
{
	struct packet *p;

	assert_int_equal(channel_ring_set(&ch, &p), 0);
	*p = (struct packet){.seq = seq};
	(void)channel_ring_set_adv(&ch);
}

/* As a transport that wrote all of it. */
static void write_all(struct haul *h)
{
	h->answers_done = h->n_answers;
	h->messages_done = h->n_messages;
	h->begun_bytes = 0;
}

static bool lock_and_read(const bool *flag)
{
	bool value;

	lock_take(&ch.lock);
	value = *flag;
	lock_drop(&ch.lock);
	return value;
}

static unsigned lock_and_read_waiting(void)
{
	unsigned value;

	lock_take(&ch.lock);
	value = ch.waiting;
	lock_drop(&ch.lock);
	return value;
}

/* ---- the life of a channel ---- */

static void without_memory_there_is_no_channel(void **state)
{
	const struct channel_options opt = {.ring_size = RING_SIZE, .queue_max = QUEUE_MAX};

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(channel_init(&ch, &opt), -ENOMEM);
}

static void the_end_drops_what_is_queued_and_says_how_much(void **state)
{
	struct message *m;

	(void)state;
	begin(true);
	assert_int_equal(message_new(5, "x", 1, &m), 0);
	for (int i = 0; i < QUEUE_MAX; i++)
		assert_int_equal(channel_push(&ch, m, false), 0);
	put(1);
	assert_int_equal(m->refs, QUEUE_MAX + 1);
	assert_int_equal(channel_fini(&ch), QUEUE_MAX);
	assert_int_equal(m->refs, 1);
	message_unref(&m);
}

/* ---- the baton ---- */

static void before_the_dispatcher_starts_nobody_else_may_write(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	assert_int_equal(push(1), 0);
	assert_int_equal(channel_open(&ch), 0);
	assert_int_equal(push(2), 0);
	/* What waited is the dispatcher's first haul. */
	assert_int_equal(ready(&h), CHANNEL_READY);
	assert_int_equal(h.n_messages, 2);
}

static void a_channel_closed_before_it_opens_gets_no_dispatcher(void **state)
{
	(void)state;
	begin(true);
	channel_close(&ch);
	assert_int_equal(channel_open(&ch), -EPIPE);
}

static void who_pushes_while_nobody_writes_gets_the_baton(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	free_the_baton();
	assert_int_equal(push(1), 1);
	assert_int_equal(push(2), 0);
	put(3);
	assert_false(channel_signal(&ch));
	assert_true(channel_take(&ch, &h));
	assert_int_equal(h.n_messages, 2);
	assert_int_equal(h.n_answers, 1);
	write_all(&h);
	channel_done_and_release(&ch, &h, false);
	assert_int_equal(ch.baton, BATON_FREE);
	assert_int_equal(push(4), 1);
}

static void the_reader_gets_the_baton_for_its_answers(void **state)
{
	(void)state;
	begin(true);
	free_the_baton();
	assert_false(channel_signal(&ch)); /* nothing to write */
	put(1);
	assert_true(channel_signal(&ch));
}

static void in_the_plain_way_each_push_goes_to_the_dispatcher(void **state)
{
	struct haul h;

	(void)state;
	begin(false);
	free_the_baton();
	assert_int_equal(push(1), 0);
	assert_int_equal(ch.baton, BATON_DISPATCHER);
	assert_int_equal(push(2), 0);
	assert_int_equal(ready(&h), CHANNEL_READY);
	assert_int_equal(h.n_messages, 2);
}

static void what_comes_while_another_writes_goes_to_the_dispatcher(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	free_the_baton();
	assert_int_equal(push(1), 1);
	assert_true(channel_take(&ch, &h));
	assert_int_equal(push(2), 0);
	write_all(&h);
	channel_done_and_release(&ch, &h, false);
	assert_int_equal(ch.baton, BATON_DISPATCHER);
	assert_int_equal(ready(&h), CHANNEL_READY);
	assert_int_equal(h.n_messages, 1);
	assert_int_equal(op_of(&h, 0), 2);
}

static void a_socket_that_is_full_hands_the_baton_to_the_dispatcher(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	free_the_baton();
	assert_int_equal(push(1), 1);
	assert_true(channel_take(&ch, &h));
	channel_done_and_release(&ch, &h, true);
	assert_int_equal(ch.baton, BATON_DISPATCHER);
	assert_int_equal(push(2), 0);
	assert_int_equal(ready(&h), CHANNEL_READY);
	assert_int_equal(h.n_messages, 2);
}

static void a_close_while_another_writes_goes_to_the_dispatcher(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	free_the_baton();
	assert_int_equal(push(1), 1);
	assert_true(channel_take(&ch, &h));
	channel_close(&ch);
	assert_int_equal(ch.baton, BATON_TAKEN);
	write_all(&h);
	channel_done_and_release(&ch, &h, false);
	assert_int_equal(ready(&h), CHANNEL_FINISH);
}

/* ---- what is written, and what is not ---- */

static void an_answer_that_was_begun_goes_on_before_all_else(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	put(1);
	put(2);
	assert_int_equal(push(9), 0);
	assert_true(channel_take(&ch, &h));
	assert_int_equal(h.skip_bytes, 0);
	assert_false(h.messages_first);
	h.answers_done = 1;
	h.begun_bytes = 7;
	channel_done(&ch, &h, true);
	assert_true(channel_take(&ch, &h));
	assert_int_equal(h.n_answers, 1);
	assert_int_equal(h.answers[0]->seq, 2);
	assert_int_equal(h.skip_bytes, 7);
	assert_false(h.messages_first);
}

static void a_message_that_was_begun_goes_on_before_a_new_answer(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	put(1);
	assert_int_equal(push(8), 0);
	assert_int_equal(push(9), 0);
	assert_true(channel_take(&ch, &h));
	h.answers_done = 1;
	h.messages_done = 1;
	h.begun_bytes = 5;
	channel_done(&ch, &h, true);
	put(2);
	assert_true(channel_take(&ch, &h));
	assert_true(h.messages_first);
	assert_int_equal(h.skip_bytes, 5);
	assert_int_equal(op_of(&h, 0), 9);
	assert_int_equal(h.answers[0]->seq, 2);
	/* That message is through, and now the answer behind it was begun. */
	h.messages_done = 1;
	h.begun_bytes = 3;
	channel_done(&ch, &h, true);
	assert_int_equal(push(10), 0);
	assert_true(channel_take(&ch, &h));
	assert_false(h.messages_first);
	assert_int_equal(h.skip_bytes, 3);
	/* And at an end that is between two items nothing is owed to either. */
	h.answers_done = 1;
	h.begun_bytes = 0;
	channel_done(&ch, &h, false);
	put(3);
	assert_true(channel_take(&ch, &h));
	assert_false(h.messages_first);
	assert_int_equal(h.skip_bytes, 0);
}

static void a_begun_message_of_which_nothing_more_went_is_still_first(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	assert_int_equal(push(8), 0);
	assert_true(channel_take(&ch, &h));
	h.begun_bytes = 5;
	channel_done(&ch, &h, true);
	put(1);
	assert_true(channel_take(&ch, &h));
	h.begun_bytes = h.skip_bytes;
	channel_done(&ch, &h, true);
	assert_true(channel_take(&ch, &h));
	assert_true(h.messages_first);
	assert_int_equal(h.skip_bytes, 5);
}

static void a_haul_takes_no_more_than_it_can_hold(void **state)
{
	const struct channel_options opt = {.ring_size = 16, .queue_max = 100};
	struct haul h;

	(void)state;
	assert_int_equal(channel_init(&ch, &opt), 0);
	for (int32_t i = 0; i < 12; i++)
		put(i);
	for (int32_t i = 0; i < 40; i++)
		assert_int_equal(push(i), 0);
	assert_true(channel_take(&ch, &h));
	assert_int_equal(h.n_answers, HAUL_ANSWERS);
	assert_int_equal(h.n_messages, HAUL_MESSAGES);
	write_all(&h);
	channel_done(&ch, &h, false);
	assert_true(channel_take(&ch, &h));
	assert_int_equal(h.n_answers, 12 - HAUL_ANSWERS);
	assert_int_equal(h.answers[0]->seq, HAUL_ANSWERS);
	assert_int_equal(h.n_messages, 40 - HAUL_MESSAGES);
	assert_int_equal(op_of(&h, 0), HAUL_MESSAGES);
}

/* ---- the queue ---- */

static void a_full_queue_takes_no_message_and_no_reference(void **state)
{
	struct message *m;

	(void)state;
	begin(true);
	for (int i = 0; i < QUEUE_MAX; i++)
		assert_int_equal(push(i), 0);
	assert_int_equal(message_new(5, "x", 1, &m), 0);
	assert_int_equal(channel_push(&ch, m, false), -ENOBUFS);
	assert_int_equal(m->refs, 1);
	message_unref(&m);
}

static void the_queue_may_grow_while_its_messages_are_being_written(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	for (int i = 0; i < QUEUE_INLINE; i++)
		assert_int_equal(push(i), 0);
	assert_true(channel_take(&ch, &h));
	for (int i = QUEUE_INLINE; i < QUEUE_MAX; i++)
		assert_int_equal(push(i), 0);
	h.messages_done = QUEUE_INLINE - 1;
	channel_done(&ch, &h, false);
	assert_true(channel_take(&ch, &h));
	assert_int_equal(h.n_messages, QUEUE_MAX - QUEUE_INLINE + 1);
	for (unsigned i = 0; i < h.n_messages; i++)
		assert_int_equal(h.messages[i]->op, QUEUE_INLINE - 1 + (int)i);
}

/* ---- the filter ---- */

static int push_filtered(int32_t op)
{
	struct message *m;
	int rc;

	assert_int_equal(message_new(op, NULL, 0, &m), 0);
	rc = channel_push(&ch, m, true);
	message_unref(&m);
	return rc;
}

static void only_operations_that_are_accepted_pass_the_filter(void **state)
{
	static const int32_t ops[] = {1000};

	(void)state;
	begin(true);
	assert_int_equal(push_filtered(1000), -ENOMSG);
	assert_int_equal(channel_watch(&ch, ops, 1, 0), -ENOBUFS);
	assert_int_equal(push_filtered(1000), -ENOMSG);
	assert_int_equal(channel_watch(&ch, ops, 1, 1), 0);
	assert_int_equal(push_filtered(1000), 0);
	assert_int_equal(push_filtered(1001), -ENOMSG);
	assert_int_equal(push(1001), 0); /* to a room, say */
}

static void an_operation_that_is_no_longer_accepted_is_filtered_again(void **state)
{
	static const int32_t ops[] = {1000, 1001};

	(void)state;
	begin(true);
	assert_int_equal(channel_watch(&ch, ops, 2, 2), 0);
	channel_unwatch(&ch, ops, 1);
	assert_int_equal(push_filtered(1000), -ENOMSG);
	assert_int_equal(push_filtered(1001), 0);
}

static void a_v1_connection_accepts_every_operation(void **state)
{
	(void)state;
	begin(true);
	channel_watch_all(&ch);
	assert_int_equal(push_filtered(INT32_MIN), 0);
	assert_int_equal(push_filtered(4711), 0);
}

/* ---- closing ---- */

static void after_the_close_nothing_goes_in_but_what_is_there_goes_out(void **state)
{
	struct packet *p;
	struct haul h;

	(void)state;
	begin(true);
	put(1);
	assert_int_equal(push(2), 0);
	assert_int_equal(channel_open(&ch), 0);
	channel_close(&ch);
	channel_close(&ch);
	assert_int_equal(push(3), -EPIPE);
	assert_int_equal(channel_ring_set(&ch, &p), -EPIPE);
	assert_int_equal(ready(&h), CHANNEL_READY);
	assert_int_equal(h.n_answers, 1);
	assert_int_equal(h.n_messages, 1);
	write_all(&h);
	channel_done(&ch, &h, false);
	assert_int_equal(ready(&h), CHANNEL_FINISH);
	assert_int_equal(ready(&h), CHANNEL_FINISH);
	assert_false(channel_signal(&ch));
}

/* ---- threads that wait ---- */

struct waiter {
	pthread_t thread;
	int rc;
	int64_t deadline_ns;
};

static void *wait_for_slot(void *arg)
{
	struct waiter *w = arg;
	struct packet *p;

	w->rc = channel_ring_set(&ch, &p);
	return NULL;
}

static void *wait_for_space(void *arg)
{
	struct waiter *w = arg;

	w->rc = channel_wait_for_space(&ch, &any, w->deadline_ns);
	return NULL;
}

static void start(struct waiter *w, void *(*fn)(void *))
{
	w->rc = -1000;
	w->deadline_ns = clock_now_ns() + 60 * CLOCK_SEC;
	assert_int_equal(pthread_create(&w->thread, NULL, fn, w), 0);
}

static int result(struct waiter *w)
{
	assert_int_equal(pthread_join(w->thread, NULL), 0);
	return w->rc;
}

static void full_ring_makes_the_reader_wait(void **state)
{
	struct waiter reader;
	struct haul h;

	(void)state;
	begin(true);
	for (int32_t i = 0; i < RING_SIZE; i++)
		put(i);
	start(&reader, wait_for_slot);
	assert_true(channel_take(&ch, &h));
	h.answers_done = 1;
	channel_done(&ch, &h, false);
	assert_int_equal(result(&reader), 0);
}

static void a_full_ring_is_told_to_the_reader_that_fills_it(void **state)
{
	struct packet *p;

	(void)state;
	begin(true);
	for (int32_t i = 0; i < RING_SIZE; i++) {
		assert_int_equal(channel_ring_set(&ch, &p), 0);
		assert_int_equal(channel_ring_set_adv(&ch), i == RING_SIZE - 1);
	}
}

static void a_close_ends_the_readers_wait(void **state)
{
	struct waiter reader;

	(void)state;
	begin(true);
	for (int32_t i = 0; i < RING_SIZE; i++)
		put(i);
	start(&reader, wait_for_slot);
	channel_close(&ch);
	assert_int_equal(result(&reader), -EPIPE);
}

static void fill_the_queue(void)
{
	begin(true);
	free_the_baton();
	assert_int_equal(push(0), 1);
	for (int i = 1; i < QUEUE_MAX; i++)
		assert_int_equal(push(i), 0);
}

static void who_pushes_waits_for_a_dispatcher_that_had_no_turn(void **state)
{
	struct waiter pusher;
	struct haul h;

	(void)state;
	fill_the_queue();
	start(&pusher, wait_for_space);
	until(lock_and_read_waiting() == 1);
	assert_true(channel_take(&ch, &h));
	h.messages_done = 1;
	channel_done(&ch, &h, false);
	assert_true(result(&pusher));
	assert_int_equal(push(1), 0);
}

static void who_pushes_does_not_wait_for_a_full_socket(void **state)
{
	struct waiter pusher;
	struct haul h;

	(void)state;
	fill_the_queue();
	start(&pusher, wait_for_space);
	until(lock_and_read_waiting() == 1);
	assert_true(channel_take(&ch, &h));
	channel_done_and_release(&ch, &h, true);
	assert_false(result(&pusher));
	assert_true(lock_and_read(&ch.stalled));
	assert_false(channel_wait_for_space(&ch, &any, clock_now_ns() + 60 * CLOCK_SEC));
}

static void who_pushes_waits_no_longer_than_its_deadline(void **state)
{
	(void)state;
	fill_the_queue();
	assert_false(channel_wait_for_space(&ch, &any, clock_now_ns() + CLOCK_MS));
	assert_int_equal(lock_and_read_waiting(), 0);
}

static void a_close_ends_the_wait_for_space(void **state)
{
	struct waiter pusher;

	(void)state;
	fill_the_queue();
	start(&pusher, wait_for_space);
	until(lock_and_read_waiting() == 1);
	channel_close(&ch);
	assert_false(result(&pusher));
}

/* ---- the queue by bytes ---- */

/* Space for 25 bytes, and nobody writes. */
static void begin_small(void)
{
	const struct channel_options opt = {.ring_size = RING_SIZE, .queue_max = QUEUE_MAX, .queue_bytes_max = 25};

	assert_int_equal(channel_init(&ch, &opt), 0);
}

static void a_queue_is_full_by_bytes_too(void **state)
{
	struct haul h;

	(void)state;
	begin_small();
	assert_int_equal(push(1), 0);
	assert_int_equal(push(2), 0);
	assert_int_equal(push(3), -ENOBUFS);
	assert_int_equal(ch.queue.bytes, 20);
	assert_true(channel_take(&ch, &h));
	h.messages_done = 1;
	channel_done(&ch, &h, false);
	assert_int_equal(ch.queue.bytes, 10);
	assert_int_equal(push(3), 0);
	assert_int_equal(push(4), -ENOBUFS);
}

static void who_pushes_waits_for_space_by_bytes(void **state)
{
	struct waiter pusher;
	struct haul h;

	(void)state;
	begin_small();
	assert_int_equal(push(1), 0);
	assert_int_equal(push(2), 0);
	start(&pusher, wait_for_space);
	until(lock_and_read_waiting() == 1);
	assert_true(channel_take(&ch, &h));
	h.messages_done = 1;
	channel_done(&ch, &h, false);
	assert_true(result(&pusher));
}

/* ---- the baton for something else ---- */

static void who_seizes_the_baton_has_it_alone_and_gives_it_back(void **state)
{
	const struct haul nothing = {0};

	(void)state;
	begin(false);
	assert_false(channel_seize(&ch)); /* it is the reader's */
	free_the_baton();
	assert_true(channel_seize(&ch));
	assert_false(channel_seize(&ch));
	channel_done_and_release(&ch, &nothing, false);
	assert_int_equal(ch.baton, BATON_FREE);
	assert_true(channel_seize(&ch));
	assert_int_equal(push(1), 0); /* comes meanwhile */
	channel_done_and_release(&ch, &nothing, false);
	assert_int_equal(ch.baton, BATON_DISPATCHER);
	assert_false(channel_seize(&ch));
}

static void nobody_seizes_the_baton_of_a_channel_that_is_closed(void **state)
{
	(void)state;
	begin(true);
	free_the_baton();
	channel_close(&ch);
	assert_false(channel_seize(&ch));
}

/* ---- a pause ---- */

static void *pause_reader(void *arg)
{
	struct waiter *w = arg;

	w->rc = channel_pause(&ch, w->deadline_ns);
	return NULL;
}

static void a_pause_ends_at_its_deadline_or_with_the_channel(void **state)
{
	int64_t before = clock_now_ns();
	struct waiter reader;

	(void)state;
	begin(true);
	assert_int_equal(channel_pause(&ch, before + 10 * CLOCK_MS), 0);
	assert_true(clock_now_ns() >= before + 10 * CLOCK_MS);
	start(&reader, pause_reader);
	channel_close(&ch);
	assert_int_equal(result(&reader), -EPIPE);
	assert_int_equal(channel_pause(&ch, before), -EPIPE);
}

static void *run_dispatcher_once(void *arg)
{
	struct waiter *w = arg;
	struct haul h;

	w->rc = (int)ready(&h);
	return NULL;
}

static bool is_asleep(void)
{
	bool asleep;

	lock_take(&ch.lock);
	asleep = ch.baton == BATON_FREE;
	lock_drop(&ch.lock);
	return asleep;
}

static void a_close_wakes_the_dispatcher(void **state)
{
	struct waiter dispatcher;

	(void)state;
	begin(true);
	assert_int_equal(channel_open(&ch), 0);
	start(&dispatcher, run_dispatcher_once);
	until(is_asleep());
	channel_close(&ch);
	assert_int_equal(result(&dispatcher), CHANNEL_FINISH);
}

static void a_push_wakes_the_dispatcher_in_the_plain_way(void **state)
{
	struct waiter dispatcher;

	(void)state;
	begin(false);
	assert_int_equal(channel_open(&ch), 0);
	start(&dispatcher, run_dispatcher_once);
	until(is_asleep());
	assert_int_equal(push(1), 0);
	assert_int_equal(result(&dispatcher), CHANNEL_READY);
}

static void an_answer_wakes_the_dispatcher_in_the_plain_way(void **state)
{
	struct waiter dispatcher;

	(void)state;
	begin(false);
	assert_int_equal(channel_open(&ch), 0);
	start(&dispatcher, run_dispatcher_once);
	until(is_asleep());
	put(1);
	assert_false(channel_signal(&ch));
	assert_int_equal(result(&dispatcher), CHANNEL_READY);
}

/* ---- all at once ---- */

#define PUSHERS  3
#define MESSAGES 400
#define ANSWERS  400

/* The socket of this test. Only the baton guards it: the sanitizer of threads finds two writers, the test finds what was
 * lost, doubled or overtaken. Every so often it takes no more, or only a part. */
static struct {
	int32_t next[PUSHERS];
	int32_t next_answer;
	unsigned writes;
	unsigned wrong;
	size_t begun;
	bool begun_is_message;
	int32_t begun_op;
} sink;

static bool sink_take_first(const struct haul *h)
{
	/* What was begun must go on, and nothing else may come in between. */
	if (h->skip_bytes != sink.begun)
		return false;
	if (sink.begun == 0)
		return true;
	if (h->messages_first != sink.begun_is_message)
		return false;
	return (sink.begun_is_message ? h->messages[0]->op : h->answers[0]->seq) == sink.begun_op;
}

static void sink_answer(struct haul *h)
{
	sink.wrong += h->answers[h->answers_done++]->seq != sink.next_answer++;
}

static void sink_message(struct haul *h)
{
	int32_t op = h->messages[h->messages_done++]->op;

	sink.wrong += op % MESSAGES != sink.next[op / MESSAGES]++;
}

/* How many items it takes this time. */
static unsigned sink_appetite(unsigned total)
{
	sink.writes++;
	return sink.writes % 7 == 0 ? 0 : sink.writes % 5 == 0 && total > 1 ? total - 1 : total;
}

/* True: all was taken. */
static bool sink_write(struct haul *h)
{
	unsigned total = h->n_answers + h->n_messages, some = sink_appetite(total);

	sink.wrong += !sink_take_first(h);
	for (unsigned i = 0; i < some; i++) {
		bool message = h->messages_first ? i < h->n_messages : i >= h->n_answers;

		if (message)
			sink_message(h);
		else
			sink_answer(h);
	}
	sink.begun = some == total ? 0 : some == 0 ? h->skip_bytes : 3;
	h->begun_bytes = sink.begun;
	if (sink.begun > 0) {
		sink.begun_is_message =
			h->messages_first ? h->messages_done < h->n_messages : h->answers_done == h->n_answers;
		sink.begun_op =
			sink.begun_is_message ? h->messages[h->messages_done]->op : h->answers[h->answers_done]->seq;
	}
	return some == total;
}

static void *dispatch_to_sink(void *arg)
{
	struct haul h;

	(void)arg;
	while (ready(&h) == CHANNEL_READY) {
		bool all = sink_write(&h);
		channel_done(&ch, &h, !all);
	}
	return NULL;
}

static void write_to_sink(void)
{
	struct haul h;
	bool all = !channel_take(&ch, &h) || sink_write(&h);

	channel_done_and_release(&ch, &h, !all);
}

static void *push_many(void *arg)
{
	int32_t first = (int32_t)(intptr_t)arg * MESSAGES;

	for (int32_t i = 0; i < MESSAGES; i++) {
		struct message *m;
		int rc;

		if (message_new(first + i, NULL, 0, &m) < 0)
			abort();
		while ((rc = channel_push(&ch, m, false)) == -ENOBUFS)
			(void)channel_wait_for_space(&ch, &any, clock_now_ns() + CLOCK_MS);
		if (rc == 1)
			write_to_sink();
		message_unref(&m);
	}
	return NULL;
}

static void *answer_many(void *arg)
{
	struct packet *p;

	(void)arg;
	for (int32_t i = 0; i < ANSWERS && channel_ring_set(&ch, &p) == 0; i++) {
		*p = (struct packet){.seq = i};
		/* Bursts of three, as a client sends them. */
		if ((channel_ring_set_adv(&ch) || i % 3 == 2 || i == ANSWERS - 1) && channel_signal(&ch))
			write_to_sink();
	}
	return NULL;
}

static void rush(bool use_baton)
{
	pthread_t dispatcher, reader, pushers[PUSHERS];

	begin(use_baton);
	memset(&sink, 0, sizeof(sink));
	assert_int_equal(channel_open(&ch), 0);
	assert_int_equal(pthread_create(&dispatcher, NULL, dispatch_to_sink, NULL), 0);
	assert_int_equal(pthread_create(&reader, NULL, answer_many, NULL), 0);
	for (intptr_t i = 0; i < PUSHERS; i++)
		assert_int_equal(pthread_create(&pushers[i], NULL, push_many, (void *)i), 0);
	for (unsigned i = 0; i < PUSHERS; i++)
		assert_int_equal(pthread_join(pushers[i], NULL), 0);
	assert_int_equal(pthread_join(reader, NULL), 0);
	/* What is queued is still written, then the dispatcher finishes. */
	channel_close(&ch);
	assert_int_equal(pthread_join(dispatcher, NULL), 0);
	assert_int_equal(sink.wrong, 0);
	assert_int_equal(sink.next_answer, ANSWERS);
	for (unsigned i = 0; i < PUSHERS; i++)
		assert_int_equal(sink.next[i], MESSAGES);
	assert_int_equal(channel_fini(&ch), 0);
}

static void with_the_baton_nothing_is_lost_doubled_or_overtaken(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		rush(true);
}

static void in_the_plain_way_nothing_is_lost_doubled_or_overtaken(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		rush(false);
}

static void *close_it(void *arg)
{
	(void)arg;
	until_is_late(&(struct timespec){0}); /* a moment, so that the others are in the middle of it */
	channel_close(&ch);
	return NULL;
}

/* Whatever a close comes in between of, the dispatcher finishes and no reference is left. */
static void a_close_in_the_middle_ends_every_wait(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		pthread_t dispatcher, reader, pusher, closer;

		begin(i % 2 == 0);
		memset(&sink, 0, sizeof(sink));
		assert_int_equal(channel_open(&ch), 0);
		assert_int_equal(pthread_create(&dispatcher, NULL, dispatch_to_sink, NULL), 0);
		assert_int_equal(pthread_create(&reader, NULL, answer_many, NULL), 0);
		assert_int_equal(pthread_create(&pusher, NULL, push_many, NULL), 0);
		assert_int_equal(pthread_create(&closer, NULL, close_it, NULL), 0);
		assert_int_equal(pthread_join(closer, NULL), 0);
		assert_int_equal(pthread_join(dispatcher, NULL), 0);
		assert_int_equal(pthread_join(reader, NULL), 0);
		assert_int_equal(pthread_join(pusher, NULL), 0);
		assert_int_equal(sink.wrong, 0);
		assert_int_equal(channel_fini(&ch), 0);
	}
}

#define channel_test(name) cmocka_unit_test_teardown(name, tear_down)

/* ---- notices ---- */

static void a_notice_wakes_the_dispatcher_and_is_due_once(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	free_the_baton();
	channel_notice(&ch);
	assert_int_equal(ch.baton, BATON_DISPATCHER);
	assert_int_equal(ready(&h), CHANNEL_READY);
	assert_int_equal(h.n_answers + h.n_messages, 0);
	assert_true(channel_take_notice(&ch));
	assert_false(channel_take_notice(&ch));
}

static void a_notice_that_comes_while_another_writes_goes_to_the_dispatcher(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	channel_notice(&ch);
	assert_int_equal(ch.baton, BATON_TAKEN);
	assert_false(channel_take(&ch, &h));
	channel_done_and_release(&ch, &h, false);
	assert_int_equal(ch.baton, BATON_DISPATCHER);
	assert_true(channel_take_notice(&ch));
}

static void a_notice_does_not_tear_what_was_begun(void **state)
{
	struct message *msg = NULL;
	struct haul h;

	(void)state;
	begin(false);
	free_the_baton();
	assert_int_equal(message_new(1000, "hello", 5, &msg), 0);
	assert_int_equal(channel_push(&ch, msg, false), 0);
	channel_notice(&ch);
	assert_int_equal(ready(&h), CHANNEL_READY);
	h.begun_bytes = 3;
	channel_done(&ch, &h, true);
	assert_false(channel_take_notice(&ch));
	assert_int_equal(ready(&h), CHANNEL_READY);
	assert_int_equal(h.skip_bytes, 3);
	h.messages_done = 1;
	h.begun_bytes = 0;
	channel_done(&ch, &h, false);
	assert_true(channel_take_notice(&ch));
	message_unref(&msg);
}

static void after_the_close_there_is_no_notice(void **state)
{
	struct haul h;

	(void)state;
	begin(true);
	free_the_baton();
	channel_notice(&ch);
	channel_close(&ch);
	channel_notice(&ch);
	assert_int_equal(ready(&h), CHANNEL_FINISH);
	assert_false(channel_take_notice(&ch));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		channel_test(a_queue_is_full_by_bytes_too),
		channel_test(who_pushes_waits_for_space_by_bytes),
		channel_test(who_seizes_the_baton_has_it_alone_and_gives_it_back),
		channel_test(nobody_seizes_the_baton_of_a_channel_that_is_closed),
		channel_test(a_pause_ends_at_its_deadline_or_with_the_channel),
		channel_test(without_memory_there_is_no_channel),
		channel_test(the_end_drops_what_is_queued_and_says_how_much),
		channel_test(before_the_dispatcher_starts_nobody_else_may_write),
		channel_test(a_channel_closed_before_it_opens_gets_no_dispatcher),
		channel_test(who_pushes_while_nobody_writes_gets_the_baton),
		channel_test(the_reader_gets_the_baton_for_its_answers),
		channel_test(in_the_plain_way_each_push_goes_to_the_dispatcher),
		channel_test(what_comes_while_another_writes_goes_to_the_dispatcher),
		channel_test(a_socket_that_is_full_hands_the_baton_to_the_dispatcher),
		channel_test(a_close_while_another_writes_goes_to_the_dispatcher),
		channel_test(an_answer_that_was_begun_goes_on_before_all_else),
		channel_test(a_message_that_was_begun_goes_on_before_a_new_answer),
		channel_test(a_begun_message_of_which_nothing_more_went_is_still_first),
		channel_test(a_haul_takes_no_more_than_it_can_hold),
		channel_test(a_full_queue_takes_no_message_and_no_reference),
		channel_test(the_queue_may_grow_while_its_messages_are_being_written),
		channel_test(only_operations_that_are_accepted_pass_the_filter),
		channel_test(an_operation_that_is_no_longer_accepted_is_filtered_again),
		channel_test(a_v1_connection_accepts_every_operation),
		channel_test(after_the_close_nothing_goes_in_but_what_is_there_goes_out),
		channel_test(full_ring_makes_the_reader_wait),
		channel_test(a_full_ring_is_told_to_the_reader_that_fills_it),
		channel_test(a_close_ends_the_readers_wait),
		channel_test(who_pushes_waits_for_a_dispatcher_that_had_no_turn),
		channel_test(who_pushes_does_not_wait_for_a_full_socket),
		channel_test(who_pushes_waits_no_longer_than_its_deadline),
		channel_test(a_close_ends_the_wait_for_space),
		channel_test(a_close_wakes_the_dispatcher),
		channel_test(a_push_wakes_the_dispatcher_in_the_plain_way),
		channel_test(an_answer_wakes_the_dispatcher_in_the_plain_way),
		channel_test(a_notice_wakes_the_dispatcher_and_is_due_once),
		channel_test(a_notice_that_comes_while_another_writes_goes_to_the_dispatcher),
		channel_test(a_notice_does_not_tear_what_was_begun),
		channel_test(after_the_close_there_is_no_notice),
		channel_test(with_the_baton_nothing_is_lost_doubled_or_overtaken),
		channel_test(in_the_plain_way_nothing_is_lost_doubled_or_overtaken),
		channel_test(a_close_in_the_middle_ends_every_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
