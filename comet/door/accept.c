/* accept: see accept.h. A limit of the machine slows accepting down and never ends it: the thread says so once, waits, and
 * tries again. Where connections are parked, a listening socket is parked among them, and only that wait has a thread of its own.
 * SPDX-License-Identifier: MIT */
#include "comet/door/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comet/door/porter.h"
#include "comet/door/socket_options.h"
#include "comet/transport/transport.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/listen.h"
#include "common/base/lock.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "common/base/peer.h"
#include "common/base/worker.h"
#include "common/config/networks.h"

/* As many as the kernel lets wait (it cuts to net.core.somaxconn). */
#define BACKLOG 65535

/* Sockets of balancers that may wait for their PROXY header. */
#define PORTER_MOST 4096

struct listener {
	int fd;
	uint16_t port; /* that it got */
	struct accept *accept;
	const struct accept_door *door;
	unsigned n_acceptors;
	struct acceptor *acceptors;
	struct park *park; /* NULL: the acceptors block */
	struct park_guest guest;
	bool found_nobody; /* who is resumed: the last time, although it was found ready */
	atomic_bool stopping;
	/* under lock */
	struct lock lock;
	pthread_cond_t left;
	unsigned holders; /* the park, or who is resumed by it, until the last that he does with it */
};

/* One thread of a listener's. */
struct acceptor {
	struct listener *listener;
	struct worker worker;
	/* the worker's; where there is a park, of whoever has the listener */
	int64_t pause_ns; /* how long it paused last, 0: accepting goes well */
	int rc;           /* why it is to pause, where there is a park */
};

struct accept {
	unsigned magic;
#define ACCEPT_MAGIC 0xacce97ed
	/* set once */
	struct server *server;
	unsigned n_listeners;
	struct listener *listeners;
	struct porter *porter; /* NULL: no door is proxied */
	/* any thread */
	atomic_bool paused; /* some thread pauses: said once */
};

static const char *const names[ACCEPT_KINDS] = {
	[ACCEPT_TCP] = "tcp",
	[ACCEPT_TCP_TLS] = "tcp-tls",
	[ACCEPT_WEBSOCKET] = "websocket",
	[ACCEPT_WEBSOCKET_TLS] = "websocket-tls",
};

COUNTER_LABELS(ACCEPTED, names, ACCEPT_KINDS);

/* ---- one connection ---- */

/* Does it bring others' connections? Nobody but a proxy of this machine comes by a path. */
static bool is_proxy(const struct accept_door *door, const struct sockaddr *peer)
{
	const char *trusted = door->trusted_proxies;

	return trusted != NULL && (peer->sa_family == AF_UNIX || networks_hold(trusted, peer));
}

static int receive(struct listener *l, int fd, const struct sockaddr *peer)
{
	struct server *s = l->accept->server;
	bool for_other = is_proxy(l->door, peer);
	enum close_reason why;
	enum ticket ticket;
	int rc;

	if ((why = admission_enter(&s->admission, peer, for_other, &ticket)) != CLOSE_NONE) {
		l->door->turn_away(l->door->arg, fd, why);
		return 0;
	}
	rc = l->door->let_in(l->door->arg, fd, peer, for_other, &ticket);
	admission_leave(&s->admission, peer, &ticket);
	return rc;
}

/* The porter has read its PROXY header. A limit of the machine is met again by the next accept. */
static void receive_announced(void *arg, int fd, const struct sockaddr *peer)
{
	(void)receive(arg, fd, peer);
}

/* May it announce clients? */
static bool is_balancer(const struct accept_door *door, const struct sockaddr *peer)
{
	const char *from = door->proxy_from;

	return from == NULL || from[0] == '\0' || peer->sa_family == AF_UNIX || networks_hold(from, peer);
}

/* Whatever header it sends, anybody might be meant. */
static void turn_stranger_away(int fd, const struct sockaddr *peer)
{
	static struct log_limit limit = LOG_LIMIT(1);
	char text[TRANSPORT_PEER_BYTES];

	count_by(COUNT_REFUSED, CLOSE_PROXY_FROM);
	peer_text(peer, true, text, sizeof(text));
	LOG_LIMITED(LOG_WARN, &limit, log_str("peer", text), log_what(EVENT_CONNECTION_REFUSED),
		    log_str("reason", close_reason_name(CLOSE_PROXY_FROM)),
		    log_str("raise", "tcp.proxy_from or websocket.proxy_from, if it is your balancer"));
	(void)close(fd);
}

/* ---- the threads ---- */

/* Wait a little longer each time, and log it the first time; false: stop. */
static bool pause_accepting(struct acceptor *at, int rc)
{
	struct accept *a = at->listener->accept;
	/* Without it a limit that is met again whenever a client has gone would fill the log. */
	static struct log_limit log_limit = LOG_LIMIT(1);
	const int64_t first_ns = 20 * CLOCK_MS, longest_ns = CLOCK_SEC;

	at->pause_ns = at->pause_ns == 0 ? first_ns : at->pause_ns * 2 < longest_ns ? at->pause_ns * 2 : longest_ns;
	count(COUNT_ACCEPT_PAUSED);
	if (!atomic_exchange(&a->paused, true)) {
		char limit[64];
		int64_t allowed = admission_machine_max(a->server->cfg->http_callers, server_parks(a->server->cfg),
							limit, sizeof(limit));

		LOG_LIMITED(LOG_ERROR, &log_limit, log_what(EVENT_ACCEPT_PAUSED), log_str("error", err_text(rc)),
			    log_str("limit", limit), log_i64("allows", allowed));
	}
	return worker_nap(&at->worker, clock_now_ns() + at->pause_ns);
}

static void went_well(struct acceptor *at)
{
	static struct log_limit log_limit = LOG_LIMIT(1);

	if (at->pause_ns == 0)
		return;
	at->pause_ns = 0;
	atomic_store(&at->listener->accept->paused, false);
	LOG_LIMITED(LOG_INFO, &log_limit, log_what(EVENT_ACCEPT_RESUMED));
}

/* Of accept_one: nobody waits, and the socket does not block. */
#define NOBODY 1

/* 0, NOBODY, or -errno: of accept4, or a limit of the machine that the door has met. */
static int accept_one(struct listener *l)
{
	struct sockaddr_storage peer = {0};
	socklen_t peer_bytes = sizeof(peer);
	int fd = accept4(l->fd, (struct sockaddr *)&peer, &peer_bytes, SOCK_CLOEXEC);

	if (fd < 0)
		return errno == EAGAIN ? NOBODY : -errno;
	count_by(COUNT_ACCEPTED, l->door->kind);
	if (!l->door->proxied)
		return receive(l, fd, (struct sockaddr *)&peer);
	if (is_balancer(l->door, (struct sockaddr *)&peer))
		porter_take(l->accept->porter, fd, &peer, l);
	else
		turn_stranger_away(fd, (struct sockaddr *)&peer);
	return 0;
}

/* Without a park: each waits by itself. */
static void accept_all(void *arg)
{
	struct acceptor *at = arg;

	OBJ_CHECK(at->listener->accept, ACCEPT_MAGIC);
	for (;;) {
		int rc = accept_one(at->listener);

		if (rc != 0 && worker_is_stopping(&at->worker))
			return;
		if (listen_error_is_passing(rc))
			continue;
		if (rc == 0)
			went_well(at);
		else if (rc < 0 && !pause_accepting(at, rc))
			return;
	}
}

/* ---- in the park ---- */

static void hold(struct listener *l)
{
	lock_take(&l->lock);
	l->holders++;
	lock_drop(&l->lock);
}

static void let_go(struct listener *l)
{
	lock_take(&l->lock);
	if (--l->holders == 0)
		(void)pthread_cond_broadcast(&l->left);
	lock_drop(&l->lock);
}

static void wait_until_left(struct listener *l)
{
	lock_take(&l->lock);
	while (l->holders > 0)
		lock_wait(&l->left, &l->lock);
	lock_drop(&l->lock);
}

/* For the first time, or after a pause: somebody may be there. After 0 the listener is another's. */
static int park(struct listener *l)
{
	int rc;

	hold(l);
	if ((rc = park_on_stream(l->park, &l->guest.parked, l->fd, false)) < 0)
		let_go(l);
	return rc;
}

/* So many come in before others have their turn. */
#define TURN 32

/* The thread that finds somebody at the door also reads what those say whom it lets in: many of them for one wake-up. */
static void accept_some(struct park_guest *guest)
{
	struct listener *l = OBJ_OF(guest, struct listener, guest);
	struct acceptor *at = &l->acceptors[0];
	unsigned n = 0;
	int rc = 0;

	OBJ_CHECK(l->accept, ACCEPT_MAGIC);
	for (; n < TURN && rc == 0; n++)
		if ((rc = accept_one(l)) == 0)
			went_well(at);
		else if (listen_error_is_passing(rc))
			rc = 0;
	/* As in a stream, that nobody is there is believed the second time. */
	l->found_nobody = rc == NOBODY && n == 1 && !l->found_nobody;
	if (!atomic_load(&l->stopping)) {
		bool drained = rc == NOBODY && !l->found_nobody;

		if (rc >= 0 && (rc = park_on_stream(l->park, &guest->parked, l->fd, drained)) == 0)
			return;
		at->rc = rc;
		worker_wake(&at->worker);
	}
	let_go(l);
}

/* A thread of the park must not wait for the machine: this one does. */
static void pause_and_park(void *arg)
{
	struct acceptor *at = arg;

	OBJ_CHECK(at->listener->accept, ACCEPT_MAGIC);
	while (worker_wait(&at->worker, WORKER_IDLE)) {
		int rc = at->rc;

		do
			if (!pause_accepting(at, rc))
				return;
		while ((rc = park(at->listener)) < 0);
	}
}

/* Those whom the kernel has taken for us already. Closed with the socket they would be reset, although they did nothing but
 * come early: another process that listens beside us had no chance to take them. More may come meanwhile, hence the deadline. */
static void take_what_waits(struct listener *l)
{
	int64_t deadline = clock_now_ns() + CLOCK_SEC;
	int flags = fcntl(l->fd, F_GETFL);

	if (flags < 0 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return;
	while (clock_now_ns() < deadline && accept_one(l) == 0)
		;
}

/* ---- start and stop ---- */

static int start_acceptors(struct listener *l, unsigned threads)
{
	int rc;

	/* One of them is in the park, where nobody may block. */
	if (l->park != NULL && fcntl(l->fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	if ((l->acceptors = calloc(threads, sizeof(*l->acceptors))) == NULL)
		return -ENOMEM;
	for (; l->n_acceptors < threads; l->n_acceptors++) {
		struct acceptor *at = &l->acceptors[l->n_acceptors];

		at->listener = l;
		if ((rc = worker_start(&at->worker, "accept", l->park != NULL ? pause_and_park : accept_all, at)) < 0)
			return rc;
	}
	return 0;
}

static int listener_start(struct accept *a, const struct accept_door *door, const char *address, unsigned threads)
{
	const struct config *cfg = a->server->cfg;
	const struct listen_options opt = {BACKLOG, cfg->server_reuse_port, config_unix_mode(cfg), door->bind};
	struct listener *l = &a->listeners[a->n_listeners];
	int rc;

	l->accept = a;
	l->door = door;
	l->park = a->server->connection.park;
	l->guest = (struct park_guest){.parked = {.is_guest = true}, .resume = accept_some};
	if ((rc = listen_open(address, &opt, &l->fd)) < 0)
		return rc;
	lock_init(&l->lock, LOCK_POOL);
	lock_cond_init(&l->left);
	a->n_listeners++; /* from here on accept_stop undoes it */
	if ((rc = socket_options_set(cfg, l->fd, listen_path(address) != NULL)) < 0)
		return rc;
	if ((rc = start_acceptors(l, l->park != NULL ? 1 : threads)) < 0 || (l->park != NULL && (rc = park(l)) < 0))
		return rc;
	return listen_announce(l->fd, names[door->kind], &l->port);
}

static int open_doors(struct accept *a, const struct accept_door *doors, unsigned n_doors, unsigned threads)
{
	unsigned n = 0;
	int rc;

	for (unsigned i = 0; i < n_doors; i++)
		n += config_list_count(doors[i].bind);
	if ((a->listeners = calloc(n + 1, sizeof(*a->listeners))) == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n_doors; i++) {
		const char *bind = doors[i].bind;
		char address[LISTEN_ADDRESS_BYTES];

		if (doors[i].proxied && a->porter == NULL &&
		    (rc = porter_start(a->server->cfg->protocol_handshake_timeout * CLOCK_MS, PORTER_MOST,
				       receive_announced, &a->porter)) < 0)
			return rc;
		while (config_list_next(&bind, address, sizeof(address)))
			if ((rc = listener_start(a, &doors[i], address, threads)) < 0) {
				LOG(LOG_ERROR, log_what(EVENT_LISTEN_FAILED), log_str("setting", doors[i].setting),
				    log_str("address", address), log_str("error", err_text(rc)));
				return rc;
			}
	}
	return 0;
}

int accept_start(struct server *s, const struct accept_door *doors, unsigned n_doors, unsigned threads,
		 struct accept **out)
{
	struct accept *a = calloc(1, sizeof(*a));
	int rc;

	BUG_UNLESS(threads > 0);
	if (a == NULL)
		return -ENOMEM;
	a->magic = ACCEPT_MAGIC;
	a->server = s;
	if ((rc = open_doors(a, doors, n_doors, threads)) < 0) {
		accept_stop(&a);
		return rc;
	}
	*out = a;
	return 0;
}

uint16_t accept_port(const struct accept *a, enum accept_kind kind)
{
	OBJ_CHECK(a, ACCEPT_MAGIC);
	for (unsigned i = 0; i < a->n_listeners; i++)
		if (a->listeners[i].door->kind == kind && a->listeners[i].port != 0)
			return a->listeners[i].port;
	return 0;
}

static void listener_stop(struct listener *l)
{
	atomic_store(&l->stopping, true);
	for (unsigned i = 0; i < l->n_acceptors; i++)
		worker_ask_to_stop(&l->acceptors[i].worker);
	take_what_waits(l);
	listen_stop(l->fd);
	wait_until_left(l);
	for (unsigned i = 0; i < l->n_acceptors; i++)
		worker_stop(&l->acceptors[i].worker);
	wait_until_left(l); /* an acceptor may have parked it again before it saw that it should not */
	if (l->park != NULL)
		park_forget(l->park, &l->guest.parked);
	(void)close(l->fd);
	(void)pthread_cond_destroy(&l->left);
	lock_fini(&l->lock);
	free(l->acceptors);
}

void accept_stop(struct accept **accept)
{
	struct accept *a = *accept;

	OBJ_CHECK(a, ACCEPT_MAGIC);
	for (unsigned i = 0; i < a->n_listeners; i++)
		listener_stop(&a->listeners[i]);
	if (a->porter != NULL)
		porter_stop(&a->porter);
	free(a->listeners);
	a->magic = 0;
	free(a);
	*accept = NULL;
}
