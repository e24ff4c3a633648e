/* main: options, configuration, which logic to wire in, start in order, sigwait, stop in reverse order.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "comet/alone.h"
#include "comet/cluster.h"
#include "comet/door/accept.h"
#include "comet/door/tcp_door.h"
#include "comet/goodbye.h"
#include "comet/online.h"
#include "comet/push.h"
#include "comet/serve.h"
#include "comet/server.h"
#include "comet/transport/tls.h"
#include "comet/transport/tls_certs.h"
#include "comet/wiring.h"
#include "common/base/address.h"
#include "common/base/clock.h"
#include "common/base/cores.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/reload.h"
#include "common/base/signals.h"
#include "common/base/stack.h"
#include "common/base/standard_files.h"
#include "common/base/thread.h"
#include "common/base/version.h"
#include "common/config/config.h"
#include "common/http/http.h"

/* Everything that is started, in the order of start; stop goes the other way and skips what is NULL. */
struct house {
	struct config cfg;
	char server_id[128];
	struct server server;
	struct push *push;
	struct wiring wiring;
	struct online *online;
	struct tls_certs *certs;
	struct tls_server *tls;
	struct http_keys *http_keys;
	struct http *http;
	struct tcp_door tcp, tcp_tls, websocket, websocket_tls;
	struct accept_door doors[ACCEPT_KINDS];
	struct accept *accept;
};

static int start(struct house *h);
static void say_what_to_try(const struct house *h, const char *program);
static void reload(void *arg);
static bool stop(struct house *h);

/* ---- before the first thread ---- */

/* glibc reserves some 1.5 KiB of thread-local storage in each thread for libraries that may be loaded later, which we do not
 * do. Without it the stack of an idle connection's thread is one page and not two: 8 KiB less for each connection. And each
 * thread keeps what it freed in a cache of its own: a reader that has authenticated never needs it again, 1 KiB. Only the
 * loader can leave the first out, and it reads its tunables when the program starts: so start once more. If that fails, or
 * the operator has tunables of his own, we go on as we are. */
#define THREAD_TUNABLES "glibc.rtld.nns=1:glibc.rtld.optional_static_tls=0:glibc.malloc.tcache_count=0"

static void slim_thread_storage(char **argv)
{
#if STACK_SCALE == 1 /* sanitizers have much to say about loading and nothing about memory */
	char path[4096];
	ssize_t n;

	if (getenv("GLIBC_TUNABLES") != NULL)
		return;
	/* By its path and not as /proc/self/exe, or the process would be called exe. */
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n <= 0 || setenv("GLIBC_TUNABLES", THREAD_TUNABLES, 1) < 0)
		return;
	path[n] = '\0';
	(void)execv(path, argv);
#else
	(void)argv;
#endif
}

/* As many as we may have without asking anybody. */
static void raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		LOG(LOG_WARN, log_what("cannot raise the soft limit of open files"), log_str("error", err_text(errno)));
}

/* Since Linux 6.16 a process has a futex table of its own, sized by cores. With thousands of sleeping threads each wake
 * would walk a long chain. It can be set only now: growing it under load is not safe. Older kernels say EINVAL, and have
 * one large table for all. The numbers are PR_FUTEX_HASH and PR_FUTEX_HASH_SET_SLOTS of linux/prctl.h. */
static void enlarge_futex_table(int64_t connections)
{
	const int pr_futex_hash = 78, set_slots = 1;
	unsigned long slots = 256;

	while (slots < 65536 && (int64_t)slots < connections * 2)
		slots *= 2;
	(void)prctl(pr_futex_hash, set_slots, slots, 0, 0);
}

/* A comet's name in the registry: given, or made from the host's and the process's. */
static void name_server(struct house *h)
{
	char host[64] = "comet";

	if (h->cfg.server_id[0] != '\0') {
		(void)snprintf(h->server_id, sizeof(h->server_id), "%s", h->cfg.server_id);
		return;
	}
	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(h->server_id, sizeof(h->server_id), "%s-%d", host, (int)getpid());
}

static const struct config_program comet_program = {
	.name = "comet",
	.summary = "holds the connections of very many clients and pushes to them",
	.tries = {http_try_keys, alone_try_auth},
};

int main(int argc, char **argv)
{
	static struct house house;
	struct house *h = &house;
	bool clean = false;
	int rc;

	if (standard_files_open() < 0)
		return EXIT_FAILURE; /* without a file for words */
	slim_thread_storage(argv);
	if (config_init(&h->cfg) < 0) {
		(void)fputs("comet: not started: no memory for the settings\n", stderr);
		return 2;
	}
	rc = config_start(&h->cfg, argc, argv, &comet_program);
	if (rc != 0) {
		config_fini(&h->cfg);
		return rc > 0 ? EXIT_SUCCESS : 2;
	}
	signals_block();
	log_setup((enum log_level)h->cfg.log_level, (enum log_format)h->cfg.log_format);
	raise_file_limit();
	name_server(h);
	if ((rc = start(h)) == 0)
		say_what_to_try(h, argv[0]);
	if (rc == -ECANCELED)
		rc = 0; /* asked to stop while it waited for its name: the signal is there already */
	if (rc == 0)
		signals_wait(reload, h);
	if ((clean = stop(h)))
		config_fini(&h->cfg); /* else there are threads that still read it */
	if (rc == -ERR_SCHEMA)
		return 2; /* as for a wrong setting: to be started again does not help */
	return rc == 0 && clean ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- start ---- */

static int fail(const char *what, int rc)
{
	LOG(LOG_ERROR, log_what(what), log_str("error", err_text(rc)));
	return rc;
}

static int load_certs(struct house *h)
{
	const struct config *cfg = &h->cfg;
	int rc;

	if (cfg->tcp_tls_bind[0] == '\0' && cfg->websocket_tls_bind[0] == '\0')
		return 0;
	if ((rc = tls_certs_new(cfg->tls_cert_file, cfg->tls_private_file, &h->certs)) == 0)
		rc = tls_server_new(h->certs, &h->tls);
	return rc < 0 ? fail("cannot set up TLS", rc) : 0;
}

static int open_doors(struct house *h)
{
	const struct config *cfg = &h->cfg;
	int rc;

	if ((rc = load_certs(h)) < 0)
		return rc;
	if (cfg->websocket_deflate)
		LOG(LOG_ERROR,
		    log_what("websocket.deflate = yes has no effect: messages are not compressed; take it out"));
	h->tcp = (struct tcp_door){.server = &h->server};
	h->tcp_tls = (struct tcp_door){.server = &h->server, .tls = h->tls};
	h->websocket = (struct tcp_door){.server = &h->server, .websocket = true};
	h->websocket_tls = (struct tcp_door){.server = &h->server, .tls = h->tls, .websocket = true};
	h->doors[ACCEPT_TCP] =
		(struct accept_door){ACCEPT_TCP,      "tcp.bind",         cfg->tcp_bind, cfg->tcp_proxy_protocol,
				     tcp_door_let_in, tcp_door_turn_away, &h->tcp};
	h->doors[ACCEPT_TCP_TLS] = (struct accept_door){
		ACCEPT_TCP_TLS,  "tcp.tls_bind",         cfg->tcp_tls_bind, cfg->tcp_proxy_protocol,
		tcp_door_let_in, tcp_door_turn_away_tls, &h->tcp_tls};
	h->doors[ACCEPT_WEBSOCKET] = (struct accept_door){ACCEPT_WEBSOCKET,    "websocket.bind",
							  cfg->websocket_bind, cfg->websocket_proxy_protocol,
							  tcp_door_let_in,     tcp_door_turn_away_websocket,
							  &h->websocket};
	h->doors[ACCEPT_WEBSOCKET_TLS] = (struct accept_door){
		ACCEPT_WEBSOCKET_TLS, "websocket.tls_bind",   cfg->websocket_tls_bind, cfg->websocket_proxy_protocol,
		tcp_door_let_in,      tcp_door_turn_away_tls, &h->websocket_tls};
	return accept_start(&h->server, h->doors, ACCEPT_KINDS, cores(), &h->accept);
}

static void tell_ports(struct house *h)
{
	h->wiring.opened(h->wiring.self, (struct client_ports){
						 .tcp = accept_port(h->accept, ACCEPT_TCP),
						 .websocket = accept_port(h->accept, ACCEPT_WEBSOCKET),
						 .websocket_tls = accept_port(h->accept, ACCEPT_WEBSOCKET_TLS),
					 });
}

static int start_logic(struct house *h)
{
	wiring_maker *wire = h->cfg.logic_mode == CONFIG_LOGIC_REDIS ? cluster_wire : alone_wire;
	int rc = wire(&h->server, h->server_id, push_accept, h->push, &h->wiring);

	h->server.logic = h->wiring.logic;
	return rc;
}

static int start_http(struct house *h)
{
	struct http_options http;
	int rc;

	if (h->cfg.http_bind[0] == '\0' && h->cfg.http_tls_bind[0] == '\0')
		return 0;
	if ((rc = http_keys_new(h->cfg.http_api_key, h->cfg.http_keys_file, &h->http_keys)) < 0)
		return fail("cannot set up the keys of the HTTP API", rc);
	http = http_options_of(&h->cfg, h->http_keys);
	return http_start(&http, h->wiring.handle, h->wiring.self, &h->http);
}

static int start(struct house *h)
{
	const struct config *cfg = &h->cfg;
	int rc;

	if ((rc = server_init(&h->server, cfg, cores())) < 0)
		return rc;
	enlarge_futex_table(h->server.admission.opt.connections_max);
	if ((rc = push_start(&h->server, cores(), (unsigned)cfg->push_queue, &h->push)) < 0)
		return fail("cannot start the push threads", rc);
	if ((rc = start_logic(h)) < 0)
		return rc == -ECANCELED ? rc : fail("cannot start logic", rc);
	/* Alone, nobody else's counts can change. */
	if ((rc = online_start(&h->server, cfg->logic_renew_online, h->wiring.alone, &h->online)) < 0)
		return fail("cannot start the online thread", rc);
	if ((rc = open_doors(h)) < 0)
		return rc;
	tell_ports(h);
	/* Last, so that who finds /healthz answering finds everything else there. */
	return start_http(h);
}

static void say_what_to_try(const struct house *h, const char *program)
{
	const char *slash = strrchr(program, '/');
	int dir = slash != NULL ? (int)(slash - program) + 1 : 0;
	char http[128], tcp[128];
	struct address http_at, tcp_at;
	const char *http_list = h->cfg.http_bind, *tcp_list = h->cfg.tcp_bind;

	if (!h->wiring.alone)
		return;
	/* With ports picked by the kernel the lines above tell where to look. */
	if (!config_list_next(&http_list, http, sizeof(http)) || !config_list_next(&tcp_list, tcp, sizeof(tcp)) ||
	    address_parse(http, &http_at) < 0 || http_at.number <= 0 || address_parse(tcp, &tcp_at) < 0 ||
	    tcp_at.number <= 0)
		return;
	(void)printf("comet %s runs alone; Ctrl-C stops it. Try, in two other terminals:\n"
		     "  %.*scomet-cli sub --port %s --mid 123\n"
		     "  curl -d 'hello' 'http://%s/goim/push/mids?operation=1000&mids=123'\n"
		     "Or in a browser: http://%s/\n",
		     version_text, dir, program, tcp_at.port, http, http);
	(void)fflush(stdout);
}

/* ---- run and stop ---- */

/* What can change while connections are there: certificates and keys. */
static void reload(void *arg)
{
	struct house *h = arg;
	const struct reload_part parts[] = {tls_certs_reload(h->certs), tls_server_reload(h->tls),
					    http_reload_certs(h->http), http_keys_reload(h->http_keys),
					    h->wiring.reload};

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

/* Clients that are sent away are told which other comets there are. */
static void say_where_to_go(struct house *h)
{
	const struct logic_client *logic = &h->server.logic;
	struct logic_node others[GOODBYE_NODES];

	goodbye_set_nodes(&h->server.goodbye, others, logic_client_go_away(logic, others, GOODBYE_NODES));
}

/* In reverse order. A drain that does not end leaves everything as it is: the process goes anyway. */
static bool stop(struct house *h)
{
	signals_arm_second();
	if (h->server.cfg == NULL)
		return true;
	if (h->wiring.self != NULL)
		h->wiring.draining(h->wiring.self);
	if (h->accept != NULL)
		accept_stop(&h->accept);
	say_where_to_go(h);
	if (!server_drain(&h->server, h->cfg.server_drain_timeout, h->cfg.server_drain_grace))
		return false;
	if (h->wiring.self != NULL)
		h->wiring.stop_waiting(h->wiring.self);
	if (h->http != NULL)
		http_stop(&h->http);
	if (h->http_keys != NULL)
		http_keys_free(&h->http_keys);
	if (h->online != NULL)
		online_stop(&h->online);
	/* Its threads call push_accept. */
	if (h->wiring.self != NULL)
		h->wiring.free(h->wiring.self);
	if (h->push != NULL)
		push_stop(&h->push);
	if (!reap_threads())
		return false;
	if (h->tls != NULL)
		tls_server_free(&h->tls);
	if (h->certs != NULL)
		tls_certs_free(&h->certs);
	server_fini(&h->server);
	LOG(LOG_INFO, log_what("stopped"));
	return true;
}
