/* main: comet-logic, the logic service of a cluster. Several run side by side over one Redis, with no leader: each answers
 * comets, serves the HTTP API and looks after dead comets. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/arrive.h"
#include "cluster/bans_redis.h"
#include "cluster/schema.h"
#include "common/base/clock.h"
#include "common/base/core_dumps.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/node_name.h"
#include "common/base/notify.h"
#include "common/base/reload.h"
#include "common/base/signals.h"
#include "common/base/standard_files.h"
#include "common/base/thread.h"
#include "common/config/config.h"
#include "common/config/config_reload.h"
#include "common/config/event_kinds.h"
#include "common/config/started.h"
#include "common/http/http.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_login.h"
#include "common/redis/redis_pipe.h"
#include "common/redis/redis_watch.h"
#include "common/tls/tls.h"
#include "common/tls/tls_certs.h"
#include "logic/answer.h"
#include "logic/api.h"
#include "logic/auth.h"
#include "logic/cluster_figures.h"
#include "logic/logic.h"
#include "logic/namesake.h"
#include "logic/reap.h"

/* Everything that is started, in the order of start; stop goes the other way and skips NULLs. */
struct program {
	struct config cfg;
	struct config_reload reload;
	char instance[NODE_NAME_BYTES]; /* in the registry */
	char cluster[SCHEMA_CLUSTER_BYTES];
	char writer[160]; /* the same, and its start: the name under which pushes are numbered, see bus_redis.c */
	struct redis_watch *watch;
	struct redis_pipe *calls;
	struct redis_pipe *pushes; /* of its own, so that a large push delays no answer to a comet */
	struct logic logic;
	struct bans_redis *bans;
	struct cluster_figures *figures;
	struct reap *reap;
	struct answer *answer;
	struct tls_certs *certs;
	struct tls_server *tls;
	struct http_keys *http_keys;
	struct http *http;
};

/* Calls that are being answered are, and Redis may have to be waited for. */
#define STOPS_MS 30000

static int start(struct program *p);
static void stop(struct program *p);

static void name_instance(struct program *p)
{
	node_name(p->cfg.logic_id, p->instance);
	(void)snprintf(p->writer, sizeof(p->writer), "%s-%llx", p->instance, (unsigned long long)clock_wall_ms());
}

static int prepare(void *arg, const struct config *next)
{
	(void)arg, (void)next;
	return 0;
}

static void settle(void *arg, bool use)
{
	struct program *p = arg;

	if (!use)
		return;
	log_setup((enum log_level)p->cfg.log_level, (enum log_format)p->cfg.log_format);
	if (p->http != NULL)
		http_change(p->http, &p->cfg);
}

static void reload(void *arg)
{
	struct program *p = arg;
	const struct reload_part parts[] = {config_reload_part(&p->reload),
					    tls_certs_reload(p->certs),
					    tls_server_reload(p->tls),
					    tls_server_reload_client_ca(p->tls),
					    http_keys_reload(p->http_keys),
					    http_keys_reload_api_key(p->http_keys),
					    auth_reload(p->logic.auth),
					    auth_reload_rooms(p->logic.auth),
					    redis_login_reload(REDIS_LOGIN_SERVER),
					    redis_login_reload(REDIS_LOGIN_SENTINEL)};

	(void)reload_all(parts, sizeof(parts) / sizeof(parts[0]));
}

static int try_certs(const struct config *cfg)
{
	return cfg->http_tls_bind[0] != '\0' ? tls_certs_try(cfg->tls_cert_file, cfg->tls_private_file) : 0;
}

static const struct config_program logic_program = {
	.name = "comet-logic",
	.summary = "the logic service of a cluster: authenticates, knows who is where, takes pushes",
	.is_logic = true,
	.tries = {try_certs, http_try_keys, auth_try, redis_login_start},
};

int main(int argc, char **argv)
{
	static struct program program;
	struct program *p = &program;
	int rc;

	if (standard_files_open() < 0)
		return EXIT_FAILURE; /* without a file for words */
	if (config_init(&p->cfg) < 0) {
		(void)fputs("comet-logic: not started: no memory for the settings\n", stderr);
		return 2;
	}
	rc = config_start(&p->cfg, argc, argv, &logic_program);
	if (rc != 0) {
		config_fini(&p->cfg);
		return rc > 0 ? EXIT_SUCCESS : 2;
	}
	if (!p->cfg.server_core_dumps)
		core_dumps_forbid();
	signals_block();
	log_setup((enum log_level)p->cfg.log_level, (enum log_format)p->cfg.log_format);
	p->reload = (struct config_reload){
		.cfg = &p->cfg, .is_logic = true, .prepare = prepare, .settle = settle, .arg = p};
	name_instance(p);
	notify_start();
	notify_status("starting");
	if ((rc = start(p)) == 0) {
		started_say(&p->cfg, "comet-logic", "logic");
		notify_ready("running");
	}
	if (rc == -ECANCELED)
		rc = 0; /* asked to stop while it waited: the signal is still pending */
	if (rc == 0)
		signals_wait(reload, p);
	signals_arm_second();
	notify_stopping("stopping", STOPS_MS);
	stop(p);
	config_reload_fini(&p->reload);
	config_fini(&p->cfg);
	notify_stop();
	if (rc == -ERR_SCHEMA || rc == -ERR_CONFIG)
		return 2; /* another start does not help */
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- start and stop ---- */

static int fail(const char *part, int rc)
{
	LOG(LOG_ERROR, log_what(EVENT_START_FAILED), log_str("part", part), log_str("error", err_text(rc)));
	return rc;
}

static int start_logic(struct program *p)
{
	const struct redis_options calls = arrive_options(&p->cfg, "calls");
	const struct redis_options pushes = arrive_options(&p->cfg, "pushes");
	int rc;

	p->logic.cfg = &p->cfg;
	if ((rc = bans_new(&p->logic.bans)) < 0 || (rc = redis_login_start(&p->cfg)) < 0 ||
	    (rc = auth_new(&p->cfg, &p->logic.auth)) < 0)
		return rc;
	auth_heed(p->logic.auth, p->logic.bans);
	if ((rc = auth_start(p->logic.auth)) < 0 || (rc = redis_watch_start(&p->cfg, &p->watch)) < 0 ||
	    (rc = redis_pipe_start(&calls, &p->calls)) < 0 || (rc = redis_pipe_start(&pushes, &p->pushes)) < 0 ||
	    (rc = registry_redis_new(&p->cfg, p->calls, &p->logic.registry)) < 0 ||
	    (rc = upstream_redis_new(&p->cfg, p->calls, &p->logic.upstream)) < 0 ||
	    (rc = tidings_redis_new(&p->cfg, &p->logic.tidings)) < 0 ||
	    (rc = histories_redis_new(&p->cfg, p->calls, &p->logic.histories)) < 0)
		return rc;
	(void)kept_parse(p->cfg.stream_rooms, p->cfg.stream_users, &p->logic.kept); /* the settings have been checked */
	p->logic.tells_unacked = event_kinds_name(&p->cfg, "unacked");
	return bus_redis_new(&p->cfg, p->pushes, p->writer, &p->logic.bus);
}

static int start_http(struct program *p)
{
	const struct config *cfg = &p->cfg;
	struct http_options http;
	int rc;

	if (cfg->http_bind[0] == '\0' && cfg->http_tls_bind[0] == '\0')
		return 0;
	if (cfg->http_tls_bind[0] != '\0' &&
	    ((rc = tls_certs_new(cfg->tls_cert_file, cfg->tls_private_file, &p->certs)) < 0 ||
	     (rc = tls_server_new(p->certs, &(struct tls_asks){"http.client_ca", cfg->http_client_ca, false},
				  &p->tls)) < 0))
		return fail("TLS", rc);
	if ((rc = http_keys_of(cfg, &p->http_keys)) < 0)
		return fail("HTTP keys", rc);
	http = http_options_of(cfg, p->http_keys, p->tls);
	http.short_paths = api_short_paths;
	return http_start(&http, api_handle, &p->logic, &p->http);
}

/* Comets reach it, and so does it Redis with its pushes. */
static int is_ready(void *arg, char *text, size_t text_bytes)
{
	struct program *p = arg;
	int rc = answer_ready(p->answer, text, text_bytes);

	if (rc == 0)
		rc = reap_ready(p->reap, text, text_bytes);
	if (rc < 0)
		return rc;
	redis_clock_note(text, text_bytes);
	arrive_note(text, text_bytes);
	return 0;
}

static int start(struct program *p)
{
	const struct config *cfg = &p->cfg;
	char generation[SCHEMA_GENERATION_BYTES];
	int rc;

	if ((rc = start_logic(p)) < 0)
		return fail("logic", rc);
	/* Before anything is written. */
	if ((rc = schema_check(cfg, p->calls, p->cluster, generation)) < 0 ||
	    (rc = namesake_check(cfg, p->calls, p->instance, p->cluster)) < 0)
		return rc == -ECANCELED ? rc : fail("cluster", rc);
	p->logic.cluster = p->cluster;
	registry_redis_begin(&p->logic.registry, generation);
	bus_redis_begin(&p->logic.bus, generation);
	if ((rc = bans_redis_start(cfg, p->calls, p->logic.bans, &p->bans)) < 0)
		return fail("bans", rc);
	p->logic.ban_keeper = (struct ban_keeper){bans_redis_put, p->bans};
	if ((rc = cluster_figures_new(&p->logic.registry, &p->figures)) < 0 ||
	    (rc = reap_start(cfg, p->pushes, p->figures, &p->reap)) < 0)
		return fail("reaper", rc);
	if ((rc = answer_start(cfg, p->calls, &p->logic, p->instance, &p->answer)) < 0)
		return fail("answering", rc);
	if ((rc = people_redis_new(cfg, p->calls, answer_clock(p->answer), p->writer, &p->logic.people)) < 0)
		return fail("asking comets", rc);
	p->logic.health = (struct http_health){is_ready, p, cluster_figures_chronicle(p->figures)};
	/* Last, so that everything is up once /healthz answers. */
	return start_http(p);
}

/* Those of the HTTP server have left it, but not quite ended. */
static void reap_threads(void)
{
	int64_t deadline = clock_now_ns() + CLOCK_SEC;
	const struct timespec moment = {.tv_nsec = CLOCK_MS};

	while (thread_reap() > 0 && clock_now_ns() < deadline)
		(void)nanosleep(&moment, NULL);
}

static void stop(struct program *p)
{
	reload_close();
	/* Back ends that wait for packets are answered, so that they hold nothing up. */
	logic_stop_waiting(&p->logic);
	if (p->http != NULL)
		http_stop(&p->http);
	reap_threads();
	if (p->http_keys != NULL)
		http_keys_free(&p->http_keys);
	if (p->tls != NULL)
		tls_server_free(&p->tls);
	if (p->certs != NULL)
		tls_certs_free(&p->certs);
	if (p->logic.people.self != NULL)
		people_redis_free(&p->logic.people);
	if (p->answer != NULL)
		answer_stop(&p->answer);
	if (p->reap != NULL)
		reap_stop(&p->reap);
	if (p->figures != NULL)
		cluster_figures_free(&p->figures);
	if (p->bans != NULL)
		bans_redis_stop(&p->bans);
	if (p->logic.bus.self != NULL)
		bus_redis_free(&p->logic.bus);
	if (p->logic.histories.self != NULL)
		histories_redis_free(&p->logic.histories);
	tidings_redis_free(&p->logic.tidings);
	if (p->logic.upstream.self != NULL)
		upstream_redis_free(&p->logic.upstream);
	if (p->logic.registry.self != NULL)
		registry_redis_free(&p->logic.registry);
	if (p->pushes != NULL)
		redis_pipe_stop(&p->pushes);
	if (p->calls != NULL)
		redis_pipe_stop(&p->calls);
	redis_watch_stop(&p->watch);
	if (p->logic.auth != NULL)
		auth_free(&p->logic.auth);
	if (p->logic.bans != NULL)
		bans_free(&p->logic.bans);
	LOG(LOG_INFO, log_what(EVENT_PROGRAM_STOPPED));
}
