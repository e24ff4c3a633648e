/* main: options, configuration, which logic to wire in, start in order, sigwait, stop in reverse order.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "comet/alone.h"
#include "comet/banner.h"
#include "comet/bouncer.h"
#include "comet/cluster.h"
#include "comet/door/accept.h"
#include "comet/door/tcp_door.h"
#include "comet/fence.h"
#include "comet/goodbye.h"
#include "comet/online.h"
#include "comet/process.h"
#include "comet/push.h"
#include "comet/reader.h"
#include "comet/serve.h"
#include "comet/server.h"
#include "comet/wiring.h"
#include "common/base/clock.h"
#include "common/base/core_dumps.h"
#include "common/base/cores.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/node_name.h"
#include "common/base/notify.h"
#include "common/base/reload.h"
#include "common/base/signals.h"
#include "common/base/stack.h"
#include "common/base/standard_files.h"
#include "common/base/thread.h"
#include "common/config/config.h"
#include "common/config/config_reload.h"
#include "common/config/started.h"
#include "common/http/http.h"
#include "common/redis/redis_login.h"
#include "common/tls/tls.h"
#include "common/tls/tls_certs.h"

/* Everything that is started, in the order of start; stop goes the other way and skips what is NULL. */
struct program {
	struct config cfg;
	struct config_reload reload;
	char server_id[NODE_NAME_BYTES];
	struct server server;
	struct push *push;
	struct bouncer bouncer;
	struct wiring wiring;
	struct online *online;
	struct tls_certs *certs;
	struct tls_server *tls, *http_tls;
	struct http_keys *http_keys;
	struct http *http;
	struct tcp_door tcp_doors[ACCEPT_KINDS];
	struct accept_door doors[ACCEPT_KINDS];
	struct accept *accept;
};

static int start(struct program *p);
static void say_started(const struct program *p, const char *name);
static int prepare(void *arg, const struct config *next);
static void settle(void *arg, bool use);
static void reload(void *arg);
static bool stop(struct program *p);

/* ---- before the first thread ---- */

static int try_certs(const struct config *cfg)
{
	int rc = config_speaks_tls(cfg) ? tls_certs_try(cfg->tls_cert_file, cfg->tls_private_file) : 0;

	return rc == 0 ? tls_authorities_try("tls.client_ca", cfg->tls_client_ca) : rc;
}

static const struct config_program comet_program = {
	.name = "comet",
	.summary = "holds the connections of many clients and pushes to them",
	.tries = {try_certs, http_try_keys, alone_try_auth, cluster_try_login, whitelist_try},
};

int main(int argc, char **argv)
{
	static struct program program;
	struct program *p = &program;
	bool clean = false;
	int rc;

	if (standard_files_open() < 0)
		return EXIT_FAILURE; /* without a file for words */
	process_slim_threads(argv);
	if (config_init(&p->cfg) < 0) {
		(void)fputs("comet: not started: no memory for the settings\n", stderr);
		return 2;
	}
	rc = config_start(&p->cfg, argc, argv, &comet_program);
	if (rc != 0) {
		config_fini(&p->cfg);
		return rc > 0 ? EXIT_SUCCESS : 2;
	}
	if (!p->cfg.server_core_dumps)
		core_dumps_forbid();
	signals_block();
	log_setup((enum log_level)p->cfg.log_level, (enum log_format)p->cfg.log_format);
	process_raise_files();
	p->reload = (struct config_reload){.cfg = &p->cfg, .prepare = prepare, .settle = settle, .arg = p};
	node_name(p->cfg.server_id, p->server_id);
	notify_start();
	notify_status("starting");
	if ((rc = start(p)) == 0)
		say_started(p, argv[0]);
	if (rc == -ECANCELED)
		rc = 0; /* asked to stop while it waited for its name: the signal is there already */
	if (rc == 0)
		signals_wait(reload, p);
	if ((clean = stop(p))) { /* otherwise there are threads that still read it */
		config_reload_fini(&p->reload);
		config_fini(&p->cfg);
	}
	notify_stop();
	if (rc == -ERR_SCHEMA || rc == -ERR_CONFIG)
		return 2; /* to be started again does not help */
	return rc == 0 && clean ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- start ---- */

static int fail(const char *part, int rc)
{
	LOG(LOG_ERROR, log_what(EVENT_START_FAILED), log_str("part", part), log_str("error", err_text(rc)));
	return rc;
}

static int load_certs(struct program *p)
{
	const struct config *cfg = &p->cfg;
	int rc;

	if (!config_speaks_tls(cfg))
		return 0;
	if ((rc = tls_certs_new(cfg->tls_cert_file, cfg->tls_private_file, &p->certs)) == 0)
		rc = tls_server_new(p->certs, &(struct tls_asks){"tls.client_ca", cfg->tls_client_ca, true}, &p->tls);
	if (rc == 0 && cfg->http_tls_bind[0] != '\0')
		rc = tls_server_new(p->certs, &(struct tls_asks){"http.client_ca", cfg->http_client_ca, false},
				    &p->http_tls);
	return rc < 0 ? fail("TLS", rc) : 0;
}

static struct accept_door door_of(struct program *p, enum accept_kind kind, struct tcp_door *door)
{
	const struct config *cfg = &p->cfg;
	const bool websocket = kind == ACCEPT_WEBSOCKET || kind == ACCEPT_WEBSOCKET_TLS;
	const bool tls = kind == ACCEPT_TCP_TLS || kind == ACCEPT_WEBSOCKET_TLS;
	const struct {
		const char *setting, *bind;
		void (*turn_away)(void *arg, int fd, enum close_reason why);
	} of[ACCEPT_KINDS] = {
		[ACCEPT_TCP] = {"tcp.bind", cfg->tcp_bind, tcp_door_turn_away},
		[ACCEPT_TCP_TLS] = {"tcp.tls_bind", cfg->tcp_tls_bind, tcp_door_turn_away_tls},
		[ACCEPT_WEBSOCKET] = {"websocket.bind", cfg->websocket_bind, tcp_door_turn_away_websocket},
		[ACCEPT_WEBSOCKET_TLS] = {"websocket.tls_bind", cfg->websocket_tls_bind, tcp_door_turn_away_tls},
	};

	*door = (struct tcp_door){
		.server = &p->server,
		.tls = tls ? p->tls : NULL,
		.websocket = websocket,
		.origins = origins_of(cfg),
		.ping = {cfg->websocket_ping * CLOCK_MS, cfg->websocket_pong_timeout * CLOCK_MS},
		.proxies = {cfg->websocket_trusted_proxies, (enum forwarded_header)cfg->websocket_proxy_header},
	};
	return (struct accept_door){
		.kind = kind,
		.setting = of[kind].setting,
		.bind = of[kind].bind,
		.proxied = websocket ? cfg->websocket_proxy_protocol : cfg->tcp_proxy_protocol,
		.proxy_from = websocket ? cfg->websocket_proxy_from : cfg->tcp_proxy_from,
		.trusted_proxies = websocket ? cfg->websocket_trusted_proxies : NULL,
		.let_in = tcp_door_let_in,
		.turn_away = of[kind].turn_away,
		.arg = door,
	};
}

static int open_doors(struct program *p)
{
	int rc;

	if ((rc = load_certs(p)) < 0)
		return rc;
	for (enum accept_kind kind = 0; kind < ACCEPT_KINDS; kind++)
		p->doors[kind] = door_of(p, kind, &p->tcp_doors[kind]);
	return accept_start(&p->server, p->doors, ACCEPT_KINDS, cores(), &p->accept);
}

static void tell_ports(struct program *p)
{
	p->wiring.opened(p->wiring.self, (struct client_ports){
						 .tcp = accept_port(p->accept, ACCEPT_TCP),
						 .websocket = accept_port(p->accept, ACCEPT_WEBSOCKET),
						 .websocket_tls = accept_port(p->accept, ACCEPT_WEBSOCKET_TLS),
					 });
}

static int start_logic(struct program *p)
{
	wiring_maker *wire = p->cfg.logic_mode == CONFIG_LOGIC_REDIS ? cluster_wire : alone_wire;
	int rc = wire(&p->server, p->server_id, push_accept, p->push, &p->wiring);

	p->server.logic = p->wiring.logic;
	return rc;
}

static int start_http(struct program *p)
{
	struct http_options http;
	int rc;

	if (p->cfg.http_bind[0] == '\0' && p->cfg.http_tls_bind[0] == '\0')
		return 0;
	if ((rc = http_keys_of(&p->cfg, &p->http_keys)) < 0)
		return fail("HTTP keys", rc);
	http = http_options_of(&p->cfg, p->http_keys, p->http_tls);
	return http_start(&http, p->wiring.handle, p->wiring.self, &p->http);
}

/* Parked connections have no threads; those that serve them are some thousands at most. */
static void make_room_for(const struct config *cfg)
{
	const int64_t connections = server_connections_max(cfg);

	process_enlarge_futex_table(server_parks(cfg) ? 2048 : 2 * connections);
	process_enlarge_file_table(connections);
}

static int start(struct program *p)
{
	const struct config *cfg = &p->cfg;
	int rc;

	fence_warn(cfg);
	make_room_for(cfg);
	if ((rc = server_init(&p->server, cfg, cores())) < 0)
		return rc;
	if ((rc = push_start(&p->server, cores(), (unsigned)cfg->push_queue, &p->push)) < 0)
		return fail("push threads", rc);
	if ((rc = bouncer_start(&p->bouncer, &p->server)) < 0)
		return fail("bouncer thread", rc);
	if ((rc = start_logic(p)) < 0)
		return rc == -ECANCELED ? rc : fail("logic", rc);
	/* Alone, nobody else's counts can change. */
	if ((rc = online_start(&p->server, cfg->logic_renew_online, p->wiring.alone, &p->online)) < 0)
		return fail("online thread", rc);
	if (server_parks(cfg) && (rc = serve_park(&p->server)) < 0)
		return fail("parking", rc);
	if ((rc = open_doors(p)) < 0)
		return rc;
	tell_ports(p);
	/* Last, so that everything is up once /healthz answers. */
	return start_http(p);
}

static void say_started(const struct program *p, const char *name)
{
	started_say(&p->cfg, "comet", p->wiring.alone ? "alone" : "cluster");
	if (p->wiring.alone)
		banner_print(&p->cfg, name);
	notify_ready("running");
}

/* ---- run and stop ---- */

static int prepare(void *arg, const struct config *next)
{
	return server_prepare(&((struct program *)arg)->server, next);
}

/* Whoever keeps more of a live setting than a pointer to cfg gets it here. */
static void settle(void *arg, bool use)
{
	struct program *p = arg;
	const struct config *cfg = &p->cfg;

	if (use)
		log_setup((enum log_level)cfg->log_level, (enum log_format)cfg->log_format);
	server_settle(&p->server, use);
	for (enum accept_kind kind = 0; use && kind < ACCEPT_KINDS; kind++) {
		const bool websocket = p->tcp_doors[kind].websocket;

		p->tcp_doors[kind].origins.list = cfg->websocket_origins;
		p->tcp_doors[kind].proxies.networks = cfg->websocket_trusted_proxies;
		p->doors[kind].proxy_from = websocket ? cfg->websocket_proxy_from : cfg->tcp_proxy_from;
		if (websocket)
			p->doors[kind].trusted_proxies = cfg->websocket_trusted_proxies;
	}
	if (use && p->http != NULL)
		http_change(p->http, cfg);
}

/* The parts that can change while connections are there. */
static void reload(void *arg)
{
	struct program *p = arg;
	const struct reload_part parts[] = {config_reload_part(&p->reload),
					    tls_certs_reload(p->certs),
					    tls_server_reload(p->tls),
					    tls_server_reload_client_ca(p->tls),
					    tls_server_reload(p->http_tls),
					    tls_server_reload_client_ca(p->http_tls),
					    http_keys_reload(p->http_keys),
					    http_keys_reload_api_key(p->http_keys),
					    whitelist_reload(&p->server.whitelist),
					    p->wiring.reload,
					    p->wiring.reload_rooms,
					    redis_login_reload(REDIS_LOGIN_SERVER),
					    redis_login_reload(REDIS_LOGIN_SENTINEL)};

	(void)reload_all(parts, sizeof(parts) / sizeof(parts[0]));
}

/* Readers end on their own once the server is drained; they must have left their stacks before those are given back. */
static bool reap_threads(void)
{
	int64_t deadline = clock_now_ns() + 5 * CLOCK_SEC;

	while (thread_reap() > 0) {
		const struct timespec moment = {.tv_nsec = CLOCK_MS};

		if (clock_now_ns() > deadline)
			return false;
		(void)nanosleep(&moment, NULL);
	}
	thread_fini();
	return true;
}

/* A balancer that has not yet seen /readyz go on sends clients here: they are let in until it has. A second signal ends this, with
 * the program. */
static void let_balancers_see(const struct program *p)
{
	const int64_t ms = p->cfg.server_drain_delay;
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * CLOCK_MS};

	if (ms > 0)
		LOG(LOG_INFO, log_what(EVENT_DRAIN_DELAYED), log_i64("delay_ms", ms));
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* Clients that are sent away are told which other comets there are. */
static void say_where_to_go(struct program *p)
{
	const struct logic_client *logic = &p->server.logic;
	struct logic_node others[GOODBYE_NODES];

	goodbye_set_nodes(&p->server.goodbye, others, logic_client_go_away(logic, others, GOODBYE_NODES));
}

/* For the last writes, and what ends after the drain. */
#define LAST_MS 20000

/* In reverse order. A drain that does not end leaves everything as it is: the process goes anyway. */
static bool stop(struct program *p)
{
	signals_arm_second();
	reload_close();
	notify_stopping("draining: clients are sent away",
			p->cfg.server_drain_delay + p->cfg.server_drain_timeout + p->cfg.server_drain_grace + LAST_MS);
	if (p->server.cfg == NULL)
		return true;
	if (p->wiring.self != NULL)
		p->wiring.draining(p->wiring.self);
	if (p->http != NULL) /* the last that starts */
		let_balancers_see(p);
	if (p->accept != NULL)
		accept_stop(&p->accept);
	say_where_to_go(p);
	if (!server_drain(&p->server, p->cfg.server_drain_timeout, p->cfg.server_drain_grace))
		return false;
	if (p->wiring.self != NULL)
		p->wiring.stop_waiting(p->wiring.self);
	if (p->http != NULL)
		http_stop(&p->http);
	if (p->http_keys != NULL)
		http_keys_free(&p->http_keys);
	if (p->online != NULL)
		online_stop(&p->online);
	/* Its threads call push_accept. */
	if (p->wiring.self != NULL)
		p->wiring.free(p->wiring.self);
	bouncer_stop(&p->bouncer);
	if (p->push != NULL)
		push_stop(&p->push);
	reader_stop_park(&p->server);
	if (!reap_threads())
		return false;
	if (p->tls != NULL)
		tls_server_free(&p->tls);
	if (p->http_tls != NULL)
		tls_server_free(&p->http_tls);
	if (p->certs != NULL)
		tls_certs_free(&p->certs);
	server_fini(&p->server);
	LOG(LOG_INFO, log_what(EVENT_PROGRAM_STOPPED));
	return true;
}
