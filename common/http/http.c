/* http: see http.h. SPDX-License-Identifier: MIT */
#include "common/http/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/cores.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/park.h"
#include "common/config/config.h"
#include "common/http/http_callers.h"
#include "common/http/http_connection.h"
#include "common/http/http_guard.h"
#include "common/http/http_listener.h"
#include "common/tls/tls_authorities.h"

#define ADDRESS_BYTES  128
#define LISTENERS_MAX  16
#define LISTEN_BACKLOG 511
/* All listeners that speak TLS, or all that do not. */
struct door {
	struct http *http;
	struct tls_server *tls;
};

struct http {
	unsigned magic;
#define HTTP_MAGIC 0x4777e400
	/* set once */
	struct http_options opt;
	struct http_service service;
	struct door plain, tls;
	unsigned n_listeners;
	struct http_listener *listeners[LISTENERS_MAX];
};

static int take_connection(void *arg, int fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
	struct door *door = arg;

	(void)peer_bytes;
	OBJ_CHECK(door->http, HTTP_MAGIC);
	return http_connection_start(&door->http->service, fd, peer, door->tls);
}

/* ---- start and stop ---- */

static struct rate rate_of(const struct config *cfg)
{
	return (struct rate){.per_second = cfg->http_rate, .burst_ns = cfg->limits_burst * CLOCK_MS};
}

struct http_options http_options_of(const struct config *cfg, struct http_keys *keys, struct tls_server *tls)
{
	/* A probe must not be told to come again later. */
	static const char *const probes[] = {"/healthz", "/readyz", NULL};

	return (struct http_options){
		.bind = cfg->http_bind,
		.tls_bind = cfg->http_tls_bind,
		.tls = tls,
		.max_body = (size_t)cfg->http_max_body,
		.callers_max = (unsigned)cfg->http_callers,
		.timeout_ms = cfg->http_timeout,
		.idle_ms = cfg->http_idle_timeout,
		.reuse_port = cfg->server_reuse_port,
		.unix_mode = config_unix_mode(cfg),
		.trusted_proxies = cfg->http_trusted_proxies,
		.proxy_header = (enum forwarded_header)cfg->http_proxy_header,
		.label = "http",
		.tls_label = "http-tls",
		.keys = keys,
		.rate = rate_of(cfg),
		.free_paths = probes,
	};
}

int http_try_keys(const struct config *cfg)
{
	struct http_keys *keys;
	int rc;

	if (cfg->http_bind[0] == '\0' && cfg->http_tls_bind[0] == '\0')
		return 0;
	if ((rc = http_keys_of(cfg, &keys)) < 0)
		return rc;
	http_keys_free(&keys);
	return tls_authorities_try("http.client_ca", cfg->http_client_ca);
}

/* Each takes two buffers and what its handler needs of a service thread's stack, 1 MiB. */
#define NESTED_MAX 16

static int start_service(struct http_service *s, const struct http_options *opt)
{
	const struct http_callers_options callers = {
		.max = opt->callers_max, .timeout_ms = opt->timeout_ms, .idle_ms = opt->idle_ms};
	const struct park_options park = {
		.name = "http",
		.kind = THREAD_SERVICE,
		.waiters = cores() > 1 ? cores() : 2, /* one may sign a handshake */
		.blocked_max = opt->callers_max + HTTP_CALLERS_SPARE,
		.resume = http_connection_resume,
		.nested_max = NESTED_MAX,
	};
	int rc;

	s->max_body = opt->max_body;
	s->trusted_proxies = opt->trusted_proxies != NULL ? opt->trusted_proxies : "";
	s->proxy_header = opt->proxy_header;
	s->short_paths = opt->short_paths;
	s->idle_seconds = (unsigned)((opt->idle_ms + 999) / 1000);
	if ((rc = http_guard_init(&s->guard, opt->keys, &opt->rate, opt->free_paths)) < 0 ||
	    (rc = http_callers_start(&callers, &s->callers)) < 0)
		return rc;
	return park_start(&park, &s->park);
}

static int listen_on_all(struct http *h, struct door *door, const char *rest, const char *label)
{
	const struct listen_options listen = {LISTEN_BACKLOG, h->opt.reuse_port, h->opt.unix_mode, rest};
	char address[ADDRESS_BYTES];
	int rc = 0;

	while (rc == 0 && config_list_next(&rest, address, sizeof(address))) {
		rc = h->n_listeners < LISTENERS_MAX ? http_listener_start(address, label, &listen, take_connection,
									  door, &h->listeners[h->n_listeners])
						    : -E2BIG;
		if (rc == 0)
			h->n_listeners++;
		else
			LOG(LOG_ERROR, log_what(EVENT_LISTEN_FAILED),
			    log_str("setting", door == &h->tls ? "http.tls_bind" : "http.bind"),
			    log_str("address", address), log_str("error", err_text(rc)));
	}
	return rc;
}

int http_start(const struct http_options *opt, http_handler *handler, void *arg, struct http **out)
{
	struct http *h = calloc(1, sizeof(*h));
	int rc;

	if (h == NULL)
		return -ENOMEM;
	h->magic = HTTP_MAGIC;
	h->opt = *opt;
	h->service.handler = handler;
	h->service.arg = arg;
	h->plain = (struct door){.http = h};
	h->tls = (struct door){.http = h, .tls = opt->tls};
	if ((rc = start_service(&h->service, opt)) < 0)
		LOG(LOG_ERROR, log_what(EVENT_START_FAILED), log_str("part", "HTTP"), log_str("error", err_text(rc)));
	else
		rc = listen_on_all(h, &h->plain, opt->bind, opt->label);
	if (rc == 0 && opt->tls != NULL)
		rc = listen_on_all(h, &h->tls, opt->tls_bind, opt->tls_label);
	if (rc < 0) {
		http_stop(&h);
		return rc;
	}
	*out = h;
	return 0;
}

void http_change(struct http *h, const struct config *cfg)
{
	const struct rate rate = rate_of(cfg);

	OBJ_CHECK(h, HTTP_MAGIC);
	rate_change(&h->service.guard.rate, &rate);
	h->service.trusted_proxies = cfg->http_trusted_proxies;
}

void http_stop(struct http **http)
{
	struct http *h = *http;
	struct http_service *s = &h->service;

	OBJ_CHECK(h, HTTP_MAGIC);
	if (s->callers != NULL)
		http_callers_end(s->callers);
	for (unsigned i = 0; i < h->n_listeners; i++)
		http_listener_stop(&h->listeners[i]);
	if (s->park != NULL) {
		http_callers_wait_left(s->callers);
		park_stop(&s->park);
	}
	if (s->callers != NULL)
		http_callers_stop(&s->callers);
	http_guard_fini(&s->guard);
	h->magic = 0;
	free(h);
	*http = NULL;
}
