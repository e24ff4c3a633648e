/* accept: see accept.h. A limit of the machine slows accepting down and never ends it: the thread says so once, waits, and
 * tries again. SPDX-License-Identifier: MIT */
#include "comet/accept.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comet/serve.h"
#include "comet/transport/tcp.h"
#include "common/clock.h"
#include "common/counters.h"
#include "common/err.h"
#include "common/obj.h"
#include "common/thread.h"

/* As many as the kernel lets wait (it cuts to net.core.somaxconn). */
#define BACKLOG 65535

#define ADDRESS_BYTES 128

struct listener {
	int fd;
	struct accept *accept;
	unsigned n_threads;
	struct thread **threads;
};

struct accept {
	unsigned magic;
#define ACCEPT_MAGIC 0xacce97ed
	/* set once */
	struct server *server;
	unsigned n_listeners;
	struct listener *listeners;
	/* any accept thread */
	atomic_uint accepted; /* the round's turn */
	/* under lock */
	struct lock lock;
	pthread_cond_t wake;
	bool stop;
	bool paused; /* some thread pauses: said once */
};

enum { LISTENER_TCP };

void accept_label_counters(void)
{
	static const char *const names[] = {[LISTENER_TCP] = "tcp"};

	counters_label(COUNT_ACCEPTED, names, 1);
}

/* ---- one connection ---- */

static void set_options(const struct server *s, int fd)
{
	const struct config *cfg = s->cfg;
	struct timeval write_timeout = {.tv_sec = cfg->protocol_write_timeout / 1000,
					.tv_usec = cfg->protocol_write_timeout % 1000 * 1000};
	int on = 1, sndbuf = (int)cfg->tcp_sndbuf, rcvbuf = (int)cfg->tcp_rcvbuf, bad = 0;

	bad |= setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	bad |= setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &write_timeout, sizeof(write_timeout));
	if (cfg->tcp_keepalive)
		bad |= setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (sndbuf > 0)
		bad |= setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	if (rcvbuf > 0)
		bad |= setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	/* The peer may be gone already, which its reader will find out. The Go original ends accepting here. */
	if (bad != 0)
		LOG(LOG_DEBUG, log_what("cannot set a socket option"), log_str("error", err_text(errno)));
}

/* Tell a client that may not come in why not, as far as its socket takes it at once, and close. */
static void turn_away(int fd, enum close_reason why)
{
	uint8_t packet[PACKET_HEAD_BYTES + 256];
	size_t body =
		close_reason_body(why, NULL, (char *)packet + PACKET_HEAD_BYTES, sizeof(packet) - PACKET_HEAD_BYTES);

	packet_encode(packet, 1, OP_DISCONNECT, 0, (uint32_t)body);
	if (send(fd, packet, PACKET_HEAD_BYTES + body, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
		(void)shutdown(fd, SHUT_WR);
		/* Bytes left unread would make the close a reset, and that may overtake what was just said. */
		(void)recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
	}
	(void)close(fd);
}

/* Admission has counted it in. 0, or why the next one should wait a little: -EAGAIN, -ENOMEM. */
static int let_in(struct accept *a, int fd, const struct sockaddr *peer, const char *address)
{
	struct server *s = a->server;
	struct tcp_options opt = {.max_body = (uint32_t)s->cfg->protocol_max_body,
				  .write_timeout_ns = s->cfg->protocol_write_timeout * CLOCK_MS};
	unsigned turn = atomic_fetch_add(&a->accepted, 1);
	struct transport *t;
	struct connection *c;
	int rc;

	if ((rc = tcp_new(fd, peer, round_buffers(&s->round, turn), &opt, &t)) < 0) {
		(void)close(fd);
		goto leave;
	}
	if ((rc = connection_new(t, &s->channel, opt.write_timeout_ns, &c)) < 0) {
		t->ops->free(&t);
		goto leave;
	}
	c->share = turn;
	return serve_start(s, c);

leave:
	admission_leave(&s->admission, address);
	return rc;
}

static int receive(struct accept *a, int fd, const struct sockaddr *peer)
{
	char address[TRANSPORT_PEER_BYTES];
	enum close_reason why;

	count_by(COUNT_ACCEPTED, LISTENER_TCP);
	tcp_address_text(peer, false, address, sizeof(address));
	if ((why = admission_enter(&a->server->admission, address)) != CLOSE_NONE) {
		turn_away(fd, why);
		return 0;
	}
	set_options(a->server, fd);
	return let_in(a, fd, peer, address);
}

/* ---- the threads ---- */

/* Wait a little longer each time, and say so the first time; false: stop. */
static bool pause_accepting(struct accept *a, int rc, int64_t *pause_ns)
{
	const int64_t first_ns = 20 * CLOCK_MS, longest_ns = CLOCK_SEC;
	bool first, stop;
	int64_t deadline;

	*pause_ns = *pause_ns == 0 ? first_ns : *pause_ns * 2 < longest_ns ? *pause_ns * 2 : longest_ns;
	lock_take(&a->lock);
	first = !a->paused;
	a->paused = true;
	lock_drop(&a->lock);
	count(COUNT_ACCEPT_PAUSED);
	if (first) {
		char limit[64];
		int64_t allowed = admission_machine_max(limit, sizeof(limit));

		LOG(LOG_ERROR,
		    log_what("accept paused: a limit of the machine is reached; raise it or lower limits.connections"),
		    log_str("error", err_text(rc)), log_str("limit", limit), log_i64("allows", allowed));
	}
	deadline = clock_now_ns() + *pause_ns;
	lock_take(&a->lock);
	while (!a->stop && lock_wait_until(&a->wake, &a->lock, deadline))
		;
	stop = a->stop;
	lock_drop(&a->lock);
	return !stop;
}

static void went_well(struct accept *a, int64_t *pause_ns)
{
	if (*pause_ns == 0)
		return;
	*pause_ns = 0;
	lock_take(&a->lock);
	a->paused = false;
	lock_drop(&a->lock);
	LOG(LOG_INFO, log_what("accepting again"));
}

/* Errors that concern the one connection, not us: accept(2) says to treat them like a retry. */
static bool is_passing(int err)
{
	return err == EINTR || err == ECONNABORTED || err == EPROTO || err == ENETDOWN || err == ENOPROTOOPT ||
	       err == EHOSTDOWN || err == ENONET || err == EHOSTUNREACH || err == ENETUNREACH || err == EPERM;
}

static bool is_stopping(struct accept *a)
{
	bool stop;

	lock_take(&a->lock);
	stop = a->stop;
	lock_drop(&a->lock);
	return stop;
}

static void *accept_tcp(void *arg)
{
	struct listener *l = arg;
	struct accept *a = l->accept;
	int64_t pause_ns = 0;

	OBJ_CHECK(a, ACCEPT_MAGIC);
	for (;;) {
		struct sockaddr_storage peer = {0};
		socklen_t peer_bytes = sizeof(peer);
		int fd = accept4(l->fd, (struct sockaddr *)&peer, &peer_bytes, SOCK_CLOEXEC);
		int rc = fd < 0 ? -errno : 0;

		if (is_stopping(a)) {
			if (fd >= 0)
				(void)close(fd);
			return NULL;
		}
		if (fd < 0 && is_passing(-rc))
			continue;
		if (fd >= 0)
			rc = receive(a, fd, (struct sockaddr *)&peer);
		if (rc == 0)
			went_well(a, &pause_ns);
		else if (!pause_accepting(a, rc, &pause_ns))
			return NULL;
	}
}

/* ---- start and stop ---- */

static int resolve(const char *address, struct addrinfo **found)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	char host[ADDRESS_BYTES];
	char *port, *name = host;
	size_t len;

	(void)snprintf(host, sizeof(host), "%s", address);
	if ((port = strrchr(host, ':')) == NULL)
		return -EINVAL;
	*port++ = '\0';
	len = strlen(host);
	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		name++;
	}
	return getaddrinfo(name[0] != '\0' ? name : NULL, port, &hints, found) == 0 ? 0 : -EADDRNOTAVAIL;
}

static int listen_on(const struct addrinfo *address, int *out)
{
	int on = 1, fd, rc;

	fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		rc = -errno;
		(void)close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

static int announce(int fd)
{
	struct sockaddr_storage bound = {0};
	socklen_t bytes = sizeof(bound);
	char text[TRANSPORT_PEER_BYTES];

	if (getsockname(fd, (struct sockaddr *)&bound, &bytes) < 0)
		return -errno;
	tcp_address_text((struct sockaddr *)&bound, true, text, sizeof(text));
	(void)printf("listening tcp %s\n", text);
	(void)fflush(stdout);
	return 0;
}

static int listener_start(struct accept *a, const char *address, unsigned threads)
{
	struct listener *l = &a->listeners[a->n_listeners];
	struct addrinfo *found;
	int rc;

	l->accept = a;
	if ((rc = resolve(address, &found)) < 0)
		return rc;
	rc = listen_on(found, &l->fd);
	freeaddrinfo(found);
	if (rc < 0)
		return rc;
	a->n_listeners++; /* from here on accept_stop undoes it */
	if ((l->threads = calloc(threads, sizeof(*l->threads))) == NULL)
		return -ENOMEM;
	for (; l->n_threads < threads; l->n_threads++)
		if ((rc = thread_spawn(THREAD_SERVICE, "accept", accept_tcp, l, &l->threads[l->n_threads])) < 0)
			return rc;
	return announce(l->fd);
}

static unsigned count_addresses(const char *bind)
{
	char address[ADDRESS_BYTES];
	unsigned n = 0;

	while (config_list_next(&bind, address, sizeof(address)))
		n++;
	return n;
}

int accept_start(struct server *s, const char *bind, unsigned threads, struct accept **out)
{
	struct accept *a = calloc(1, sizeof(*a));
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	char address[ADDRESS_BYTES];
	int rc = 0;

	if (a == NULL)
		return -ENOMEM;
	a->magic = ACCEPT_MAGIC;
	a->server = s;
	lock_init(&a->lock, LOCK_SERVICE);
	lock_cond_init(&a->wake);
	if (threads == 0)
		threads = cores > 0 ? (unsigned)cores : 1;
	a->listeners = calloc(count_addresses(bind) + 1, sizeof(*a->listeners));
	if (a->listeners == NULL)
		rc = -ENOMEM;
	while (rc == 0 && config_list_next(&bind, address, sizeof(address)))
		if ((rc = listener_start(a, address, threads)) < 0)
			LOG(LOG_ERROR, log_what("cannot listen; change tcp.bind, or free the address"),
			    log_str("address", address), log_str("error", err_text(rc)));
	if (rc < 0) {
		accept_stop(&a);
		return rc;
	}
	*out = a;
	return 0;
}

void accept_stop(struct accept **accept)
{
	struct accept *a = *accept;

	OBJ_CHECK(a, ACCEPT_MAGIC);
	lock_take(&a->lock);
	a->stop = true;
	lock_drop(&a->lock);
	(void)pthread_cond_broadcast(&a->wake);
	for (unsigned i = 0; i < a->n_listeners; i++) {
		struct listener *l = &a->listeners[i];

		/* This makes every accept4 on it return. */
		(void)shutdown(l->fd, SHUT_RDWR);
		for (unsigned k = 0; k < l->n_threads; k++)
			thread_join(&l->threads[k]);
		(void)close(l->fd);
		free(l->threads);
	}
	free(a->listeners);
	(void)pthread_cond_destroy(&a->wake);
	lock_fini(&a->lock);
	a->magic = 0;
	free(a);
	*accept = NULL;
}
