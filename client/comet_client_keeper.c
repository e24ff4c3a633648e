/* comet_client_keeper: a comet_client that is opened again by itself, for other programs, by the names of comet_client.h. It is made of what
 * they could call themselves. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/backoff.h"
#include "client/comet_client.h"
#include "common/base/clock.h"

#define GOOD_NS (10 * CLOCK_SEC) /* a connection that lasted so long was a good one: back-off starts over */
#define SERVED_ON_NS                                                                                                   \
	(60 * CLOCK_SEC) /* that server is still read for at most so long; it closes by itself long before */
#define LOOK_MS 50       /* as long as the new connection is waited for while the old one may have something */

struct comet_client_keeper {
	struct comet_client_options opt;
	char *const *places;
	size_t n_places, turn;
	struct comet_client *client; /* NULL: none now */
	struct comet_client *old;    /* to a server that goes away, or NULL */
	struct comet_client_goodbye goodbye;
	char place[sizeof(((struct comet_client_goodbye *)0)->node)]; /* opt's host and port are in here */
	char words[sizeof(((struct comet_client_goodbye *)0)->reason)];
	unsigned attempt;
	int64_t due_ns; /* of the next one */
	int64_t online_ns, old_until_ns;
	int over; /* why there is none any more; 0: there is */
};

int comet_client_keeper_new(const struct comet_client_options *opt, char *const *places, size_t n,
			    struct comet_client_keeper **out)
{
	struct comet_client_keeper *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return -ENOMEM;
	k->opt = *opt;
	k->places = places;
	k->n_places = n;
	*out = k;
	return 0;
}

void comet_client_keeper_free(struct comet_client_keeper **keeper)
{
	struct comet_client_keeper *k = *keeper;

	if (k == NULL)
		return;
	comet_client_close(&k->old);
	comet_client_close(&k->client);
	free(k);
	*keeper = NULL;
}

struct comet_client *comet_client_keeper_client(const struct comet_client_keeper *k)
{
	return k->client;
}

int comet_client_keeper_fd(const struct comet_client_keeper *k)
{
	return k->client != NULL ? comet_client_fd(k->client) : -1;
}

void comet_client_keeper_last_words(const struct comet_client_keeper *k, struct comet_client_goodbye *out)
{
	*out = k->goodbye;
}

static int ms_until(int64_t ns)
{
	const int64_t left_ns = ns - clock_now_ns();

	return left_ns > 0 ? (int)((left_ns + CLOCK_MS - 1) / CLOCK_MS) : 0;
}

static int event(struct comet_client_keeper *k, int what, const char *words, int wait_ms,
		 struct comet_client_message *out)
{
	(void)snprintf(k->words, sizeof(k->words), "%s", words);
	*out = (struct comet_client_message){
		.body = k->words, .body_bytes = strlen(k->words), .event = what, .room = "", .wait_ms = wait_ms};
	return 0;
}

/* ---- a connection's life: aim, open, lost; then wait and open again ---- */

/* At the server that the last one named, or at the next place: "host:port", which is cut in two. */
static void aim(struct comet_client_keeper *k)
{
	char *at = k->place, *colon;

	if (k->goodbye.node[0] != '\0')
		(void)snprintf(at, sizeof(k->place), "%s", k->goodbye.node);
	else
		(void)snprintf(at, sizeof(k->place), "%s",
			       k->n_places > 0 ? k->places[k->turn++ % k->n_places] : ":3101");
	colon = strrchr(at, ':');
	k->opt.port = colon != NULL ? colon + 1 : at;
	k->opt.host = colon == NULL || colon == at ? NULL : at + (at[0] == '['); /* IPv6 */
	if (colon != NULL)
		colon[colon > at && at[0] == '[' ? -1 : 0] = '\0';
}

/* It will be opened again, unless that is of no use. */
static int lost(struct comet_client_keeper *k, int rc, struct comet_client_message *out)
{
	const bool is_sent = k->goodbye.node[0] != '\0';
	int wait_ms;

	if (rc == -EINVAL || !comet_client_may_return(&k->goodbye)) {
		k->over = rc;
		return rc;
	}
	if (k->online_ns > 0 && clock_now_ns() - k->online_ns >= GOOD_NS)
		k->attempt = 0;
	k->online_ns = 0;
	wait_ms = comet_client_delay_ms(++k->attempt);
	if (is_sent)
		wait_ms = (int)backoff_sent_ms(wait_ms);
	k->due_ns = clock_now_ns() + wait_ms * CLOCK_MS;
	return event(k, COMET_CLIENT_LOST, k->goodbye.reason[0] != '\0' ? k->goodbye.reason : strerror(-rc), wait_ms,
		     out);
}

/* What a server that goes away still sends; the next one brings it otherwise, or without a key all the same. */
static int hear_old(struct comet_client_keeper *k, int wait_ms, struct comet_client_message *out)
{
	const bool moves = k->opt.key != NULL || k->opt.token != NULL;
	int rc = comet_client_next(k->old, wait_ms, out);

	if (rc != 0 && (rc != -ETIMEDOUT || (k->client != NULL && !moves) || clock_now_ns() >= k->old_until_ns))
		comet_client_close(&k->old);
	return rc == 0 ? 0 : -ETIMEDOUT;
}

static int come_back(struct comet_client_keeper *k, int64_t deadline_ns, struct comet_client_message *out)
{
	const int64_t until_ns = k->due_ns < deadline_ns ? k->due_ns : deadline_ns;
	int rc;

	if (clock_now_ns() < k->due_ns) {
		if (k->old == NULL)
			(void)poll(NULL, 0, ms_until(until_ns));
		else if (hear_old(k, ms_until(until_ns), out) == 0)
			return 0;
		return clock_now_ns() >= deadline_ns ? -ETIMEDOUT : -EAGAIN;
	}
	aim(k);
	if ((rc = comet_client_open(&k->opt, &k->client, &k->goodbye)) < 0)
		return lost(k, rc, out);
	k->online_ns = clock_now_ns();
	return event(k, COMET_CLIENT_ONLINE, "", 0, out);
}

static int listen_on(struct comet_client_keeper *k, int64_t deadline_ns, struct comet_client_message *out)
{
	int rest_ms = ms_until(deadline_ns), rc;

	if (k->old != NULL && hear_old(k, 0, out) == 0)
		return 0;
	if (k->old != NULL && rest_ms > LOOK_MS)
		rest_ms = LOOK_MS;
	if ((rc = comet_client_next(k->client, rest_ms, out)) == 0)
		return 0;
	if (rc == -ETIMEDOUT)
		return clock_now_ns() >= deadline_ns ? -ETIMEDOUT : -EAGAIN;
	comet_client_last_words(k->client, &k->goodbye);
	if (k->goodbye.code == COMET_CLIENT_DRAINING) {
		comet_client_close(&k->old);
		k->old = k->client;
		k->old_until_ns = clock_now_ns() + SERVED_ON_NS;
		k->client = NULL;
	}
	comet_client_close(&k->client);
	return lost(k, rc, out);
}

int comet_client_keeper_next(struct comet_client_keeper *k, int wait_ms, struct comet_client_message *out)
{
	const int64_t deadline_ns = clock_now_ns() + (wait_ms > 0 ? wait_ms : 0) * CLOCK_MS;
	int rc;

	if (k->over != 0)
		return k->over;
	do
		rc = k->client != NULL ? listen_on(k, deadline_ns, out) : come_back(k, deadline_ns, out);
	while (rc == -EAGAIN);
	return rc;
}
