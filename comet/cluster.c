/* cluster: see cluster.h. SPDX-License-Identifier: MIT */
#include "comet/cluster.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comet/who.h"
#include "common/base/address.h"
#include "common/base/listen.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/signals.h"
#include "common/base/version.h"
#include "common/config/config.h"
#include "common/http/http_guard.h"
#include "common/http/http_health.h"
#include "common/http/http_reload.h"
#include "common/redis/redis_login.h"
#include "logic_client/redis_bans.h"
#include "logic_client/redis_client.h"

struct cluster {
	unsigned magic;
#define CLUSTER_MAGIC 0xc1a57e40
	struct server *server;
	const char *server_id;
	struct redis_client *client;
	struct redis_bans *bans;
	char *addrs; /* told to clients that ask for nodes */
	atomic_bool draining;
};

static struct cluster *cluster_of(void *self)
{
	struct cluster *c = self;

	OBJ_CHECK(c, CLUSTER_MAGIC);
	return c;
}

/* ---- what redis_client asks of a comet ---- */

struct seats {
	redis_client_each *each;
	void *arg;
};

static bool tell_seat(void *arg, struct connection *c)
{
	const struct seats *seats = arg;

	return seats->each(seats->arg, &c->seat);
}

static int each_online(void *self, redis_client_each *each, void *arg)
{
	static struct log_limit limit = LOG_LIMIT(1);
	int rc = server_each(cluster_of(self)->server, tell_seat, &(struct seats){each, arg});

	if (rc < 0)
		LOG_LIMITED(LOG_ERROR, &limit, log_what(EVENT_REGISTRATION_WITHOUT_MEMORY));
	return rc;
}

static int list(void *self, const struct who_query *query, struct who_page *page)
{
	struct cluster *c = cluster_of(self);

	return who_list(c->server, c->server_id, query, page);
}

/* Its name is another's: the clients are sent away as at any SIGTERM, and come back to the other or to a third. */
static void fenced(void *self)
{
	(void)self;
	signals_send_stop();
}

/* ---- HTTP ---- */

#define PATHS                                                                                                          \
	"A comet of a cluster has /healthz, /readyz, /metrics, /metrics/history and POST /goim/reload; comet-logic "   \
	"has the API.\n"

static int ready(void *arg, char *text, size_t text_bytes)
{
	struct cluster *c = cluster_of(arg);

	if (!atomic_load(&c->draining))
		return redis_client_ready(c->client, text, text_bytes);
	(void)snprintf(text, text_bytes, "draining");
	return -ESHUTDOWN;
}

static void front(struct http_reply *reply)
{
	char words[sizeof(PATHS) + 128];

	(void)snprintf(words, sizeof(words), "comet %s\n\n" PATHS, version_text);
	http_reply_text(reply, 200, words);
}

static void handle(void *arg, const struct http_request *request, struct http_reply *reply)
{
	const struct http_health health = {ready, cluster_of(arg), cluster_of(arg)->server->chronicle};
	bool is_front = strcmp(request->path, "/") == 0;

	if (http_health_handle(&health, request, reply) || http_reload_handle(request, reply) ||
	    !http_guard_may(request, is_front ? HTTP_FREE : HTTP_ALL, reply))
		return;
	if (!is_front)
		http_reply_text(reply, 404, PATHS);
	else if (strcmp(request->method, "GET") != 0)
		http_reply_wrong_method(reply, "GET");
	else
		front(reply);
}

static void draining(void *self)
{
	atomic_store(&cluster_of(self)->draining, true);
}

static void opened(void *self, struct client_ports ports)
{
	redis_client_opened(cluster_of(self)->client, ports);
}

/* Nobody waits long for what this API has. */
static void stop_waiting(void *self)
{
	(void)self;
}

/* ---- start and stop ---- */

/* Can a client connect there? "0.0.0.0", "[::]" and port 0 say where to listen. */
static bool leads_somewhere(const char *address)
{
	struct address a;

	/* Other forms than ours are told as they stand. */
	return listen_path(address) == NULL &&
	       (address_parse(address, &a) < 0 || (a.number != 0 && !address_is_wildcard(&a)));
}

/* The addresses that are told: those of server.addrs, or of tcp.bind, as far as they are of use. NULL: no memory. */
static char *addresses_of(const struct config *cfg)
{
	const char *rest = cfg->server_addrs[0] != '\0' ? cfg->server_addrs : cfg->tcp_bind;
	size_t bytes = strlen(rest) + 1, n = 0;
	char *all = calloc(1, bytes);
	char address[LOGIC_NODE_BYTES];

	while (all != NULL && config_list_next(&rest, address, sizeof(address)))
		if (leads_somewhere(address))
			n += (size_t)snprintf(all + n, bytes - n, "%s%s", n > 0 ? "," : "", address);
	if (all != NULL && n == 0)
		LOG(LOG_WARN, log_what(EVENT_CLIENTS_NOT_TOLD), log_str("tcp.bind", cfg->tcp_bind));
	return all;
}

static void free_cluster(struct cluster *c)
{
	c->magic = 0;
	free(c->addrs);
	free(c);
}

static int start_client(struct cluster *c, const char *server_id, push_sink *sink, void *sink_self)
{
	const struct redis_client_options opt = {
		.member = {.cfg = c->server->cfg, .server_id = server_id, .addrs = c->addrs},
		.sink = sink,
		.sink_self = sink_self,
		.each_online = each_online,
		.each_online_self = c,
		.list = list,
		.list_self = c,
		.fenced = fenced,
	};

	int rc = redis_client_start(&opt, &c->client);

	if (rc == 0 && (rc = redis_bans_start(c->server->cfg, c->server->bans, &c->bans)) < 0)
		redis_client_stop(&c->client);
	return rc;
}

static void stop(void *self)
{
	struct cluster *c = cluster_of(self);

	redis_bans_stop(&c->bans);
	redis_client_stop(&c->client);
	free_cluster(c);
}

int cluster_try_login(const struct config *cfg)
{
	return cfg->logic_mode == CONFIG_LOGIC_REDIS ? redis_login_start(cfg) : 0;
}

int cluster_wire(struct server *s, const char *server_id, push_sink *sink, void *sink_self, struct wiring *out)
{
	struct cluster *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	*out = (struct wiring){0};
	if (c == NULL)
		return rc;
	c->magic = CLUSTER_MAGIC;
	c->server = s;
	c->server_id = server_id;
	if ((c->addrs = addresses_of(s->cfg)) != NULL && (rc = redis_login_start(s->cfg)) == 0)
		rc = start_client(c, server_id, sink, sink_self);
	if (rc < 0) {
		free_cluster(c);
		return rc;
	}
	*out = (struct wiring){
		.logic = redis_client_table(c->client),
		.handle = handle,
		.self = c,
		.opened = opened,
		.draining = draining,
		.stop_waiting = stop_waiting,
		.free = stop,
	};
	return 0;
}
