/* main: comet-logic, the logic service of a cluster. Several run side by side over one Redis, with no leader: each answers
 * comets, serves the HTTP API and looks after dead comets. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/schema.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/reload.h"
#include "common/base/signals.h"
#include "common/base/standard_files.h"
#include "common/base/thread.h"
#include "common/config/config.h"
#include "common/http/http.h"
#include "common/redis/redis_pipe.h"
#include "logic/answer.h"
#include "logic/api.h"
#include "logic/auth.h"
#include "logic/logic.h"
#include "logic/reap.h"

/* Everything that is started, in the order of start; stop goes the other way and skips what is NULL. */
struct house {
	struct config cfg;
	char instance[128]; /* in the registry */
	char writer[160];   /* the same, and its start: the name under which pushes are numbered, see bus_redis.c */
	struct redis_pipe *calls;
	struct redis_pipe *pushes; /* of its own, so that a large push delays no answer to a comet */
	struct logic logic;
	struct reap *reap;
	struct answer *answer;
	struct http_keys *http_keys;
	struct http *http;
};

static int start(struct house *h);
static void stop(struct house *h);

static void name_instance(struct house *h)
{
	char host[64] = "logic";

	if (h->cfg.logic_id[0] != '\0') {
		(void)snprintf(h->instance, sizeof(h->instance), "%s", h->cfg.logic_id);
	} else {
		(void)gethostname(host, sizeof(host) - 1);
		(void)snprintf(h->instance, sizeof(h->instance), "%s-%d", host, (int)getpid());
	}
	(void)snprintf(h->writer, sizeof(h->writer), "%s-%llx", h->instance, (unsigned long long)clock_wall_ms());
}

static void reload(void *arg)
{
	struct house *h = arg;
	const struct reload_part parts[] = {http_reload_certs(h->http), http_keys_reload(h->http_keys),
					    auth_reload(h->logic.auth)};

	(void)reload_all(parts, sizeof(parts) / sizeof(parts[0]));
}

static const struct config_program logic_program = {
	.name = "comet-logic",
	.summary = "the logic service of a cluster of comets: authenticates, knows who is where, takes pushes",
	.is_logic = true,
	.tries = {http_try_keys, auth_try},
};

int main(int argc, char **argv)
{
	static struct house house;
	struct house *h = &house;
	int rc;

	if (standard_files_open() < 0)
		return EXIT_FAILURE; /* without a file for words */
	if (config_init(&h->cfg) < 0) {
		(void)fputs("comet-logic: not started: no memory for the settings\n", stderr);
		return 2;
	}
	rc = config_start(&h->cfg, argc, argv, &logic_program);
	if (rc != 0) {
		config_fini(&h->cfg);
		return rc > 0 ? EXIT_SUCCESS : 2;
	}
	signals_block();
	log_setup((enum log_level)h->cfg.log_level, (enum log_format)h->cfg.log_format);
	name_instance(h);
	if ((rc = start(h)) == -ECANCELED)
		rc = 0; /* asked to stop while it waited: the signal is still pending */
	if (rc == 0)
		signals_wait(reload, h);
	signals_arm_second();
	stop(h);
	config_fini(&h->cfg);
	if (rc == -ERR_SCHEMA)
		return 2; /* as for a wrong setting: another start does not help */
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- start and stop ---- */

static int fail(const char *what, int rc)
{
	LOG(LOG_ERROR, log_what(what), log_str("error", err_text(rc)));
	return rc;
}

static int start_logic(struct house *h)
{
	const struct redis_options calls = redis_options_of(&h->cfg, "calls");
	const struct redis_options pushes = redis_options_of(&h->cfg, "pushes");
	int rc;

	h->logic.cfg = &h->cfg;
	if ((rc = auth_new(&h->cfg, &h->logic.auth)) < 0 || (rc = redis_pipe_start(&calls, &h->calls)) < 0 ||
	    (rc = redis_pipe_start(&pushes, &h->pushes)) < 0 ||
	    (rc = registry_redis_new(&h->cfg, h->calls, &h->logic.registry)) < 0 ||
	    (rc = upstream_redis_new(&h->cfg, h->calls, &h->logic.upstream)) < 0)
		return rc;
	return bus_redis_new(&h->cfg, h->pushes, h->writer, &h->logic.bus);
}

static int start(struct house *h)
{
	const struct config *cfg = &h->cfg;
	struct http_options http;
	int rc;

	if ((rc = start_logic(h)) < 0)
		return fail("cannot start logic", rc);
	/* Before anything is written. */
	if ((rc = schema_check(cfg, h->calls)) < 0)
		return rc == -ECANCELED ? rc : fail("cannot join the cluster", rc);
	if ((rc = reap_start(cfg, h->calls, &h->reap)) < 0)
		return fail("cannot look after comets", rc);
	if ((rc = answer_start(cfg, h->calls, &h->logic, h->instance, &h->answer)) < 0)
		return fail("cannot answer comets", rc);
	h->logic.health = (struct http_health){answer_ready, h->answer};
	/* Last, so that everything is up once /healthz answers. */
	if (cfg->http_bind[0] == '\0' && cfg->http_tls_bind[0] == '\0')
		return 0;
	if ((rc = http_keys_new(cfg->http_api_key, cfg->http_keys_file, &h->http_keys)) < 0)
		return fail("cannot set up the keys of the HTTP API", rc);
	http = http_options_of(cfg, h->http_keys);
	return http_start(&http, api_handle, &h->logic, &h->http);
}

static void stop(struct house *h)
{
	/* Back ends that wait for packets are answered, so that they hold nothing up. */
	logic_stop_waiting(&h->logic);
	if (h->http != NULL)
		http_stop(&h->http);
	if (h->http_keys != NULL)
		http_keys_free(&h->http_keys);
	if (h->answer != NULL)
		answer_stop(&h->answer);
	if (h->reap != NULL)
		reap_stop(&h->reap);
	if (h->logic.bus.self != NULL)
		bus_redis_free(&h->logic.bus);
	if (h->logic.upstream.self != NULL)
		upstream_redis_free(&h->logic.upstream);
	if (h->logic.registry.self != NULL)
		registry_redis_free(&h->logic.registry);
	if (h->pushes != NULL)
		redis_pipe_stop(&h->pushes);
	if (h->calls != NULL)
		redis_pipe_stop(&h->calls);
	if (h->logic.auth != NULL)
		auth_free(&h->logic.auth);
	LOG(LOG_INFO, log_what("stopped"));
}
