/* http: see http.h. On libmicrohttpd, a thread for each caller: handlers simply block, a long poll costs a parked thread,
 * and there is no event loop that one slow request could hold up. Tasks that it does badly are done beside it: accepting when a
 * limit of the machine is reached (http_listener), and deadlines for whole requests (http_callers).
 * SPDX-License-Identifier: MIT */
#include "common/http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/config/config.h"
#include "common/http/http_call.h"
#include "common/http/http_callers.h"
#include "common/http/http_guard.h"
#include "common/http/http_listener.h"
#include "common/http/http_tls.h"

#define ADDRESS_BYTES 128
#define LISTENERS_MAX 16
/* Memory of a connection: request line, headers, and the bytes that are read and written at a time. */
#define CALLER_BYTES 32768
#define STACK_BYTES  262144
/* Callers that have left, but whose threads libmicrohttpd has not joined yet. */
#define CALLERS_LEAVING 64

/* libmicrohttpd's daemon of all listeners that speak TLS, or of all that do not. */
struct door {
	struct http *http;
	struct MHD_Daemon *daemon; /* NULL: it has no listeners */
};

struct http {
	unsigned magic;
#define HTTP_MAGIC 0x4777e400
	/* set once */
	struct http_options opt;
	http_handler *handler;
	void *arg;
	struct http_callers *callers;
	struct http_tls *certs; /* NULL: nothing speaks TLS */
	struct door plain, tls;
	unsigned n_listeners;
	struct http_listener *listeners[LISTENERS_MAX];
	struct http_guard guard;
};

/* ---- callers ---- */

static struct http_caller *caller_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info != NULL ? info->socket_context : NULL;
}

static struct http_caller *begin_caller(struct http *h, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info != NULL ? http_callers_begin(h->callers, info->connect_fd) : NULL;
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct http *h = arg;
	const union MHD_ConnectionInfo *tls = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	OBJ_CHECK(h, HTTP_MAGIC);
	if (what != MHD_CONNECTION_NOTIFY_STARTED) {
		http_callers_leave(h->callers, *socket_context);
		return;
	}
	if (tls != NULL)
		http_tls_serve(h->certs, tls->tls_session);
	*socket_context = begin_caller(h, connection);
}

/* A listener has accepted a connection. libmicrohttpd closes the ones that it cannot take. */
static int take_connection(void *arg, int fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
	struct door *door = arg;
	struct http *h = door->http;
	int rc;

	OBJ_CHECK(h, HTTP_MAGIC);
	if ((rc = http_callers_enter(h->callers, fd)) < 0) {
		(void)close(fd);
		return rc == -ESHUTDOWN ? 0 : rc;
	}
	return MHD_add_connection(door->daemon, fd, peer, peer_bytes) == MHD_YES ? 0 : -EAGAIN;
}

/* ---- a request ---- */

/* The request line has come. */
static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
	struct http *h = arg;
	struct http_caller *caller = caller_of(connection);

	OBJ_CHECK(h, HTTP_MAGIC);
	if (caller != NULL)
		http_caller_ask(h->callers, caller);
	return http_call_new(uri);
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct http_call *call, bool close)
{
	return http_call_send(call, connection, close) ? MHD_YES : MHD_NO;
}

/* False: refused. */
static bool read_call(struct http *h, struct MHD_Connection *connection, struct http_call *call, const char *method)
{
	if (http_call_read(call, connection, method) == 0)
		return http_guard_pass_rate(&h->guard, &call->request, &call->reply);
	http_reply_refuse(&call->reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory");
	return false;
}

/* One line for each call, for an audit. */
static void say_called(const struct http_call *call)
{
	const struct http_request *request = &call->request;

	if (call->reply.status == MHD_HTTP_UNAUTHORIZED || call->reply.status == MHD_HTTP_FORBIDDEN)
		return;
	count_by(COUNT_HTTP_CALLS, request->key.label);
	LOG(LOG_DEBUG, log_str("peer", request->peer),
	    log_str("api_key", request->key.name[0] != '\0' ? request->key.name : NULL), log_what(EVENT_HTTP_CALLED),
	    log_str("method", request->method), log_str("path", request->path), log_i64("status", call->reply.status));
}

/* Headers are there, no body yet. */
static enum MHD_Result begin(struct http *h, struct MHD_Connection *connection, struct http_call *call)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	call->begun = true;
	http_guard_identify(&h->guard, http_call_shown_key(connection), &call->request);
	/* A proxy before us may have read the other one, and taken what follows for another request. */
	if (http_call_has_two_lengths(connection)) {
		http_reply_refuse(&call->reply, MHD_HTTP_BAD_REQUEST, "the length of the body is given twice");
		return send_reply(connection, call, true);
	}
	/* Known beforehand. A caller that asks before sending is told at once; all others send first and then look for an answer,
	 * which a reset would take away from them if the body lay there unread. */
	if (length != NULL && strtoull(length, NULL, 10) > h->opt.max_body) {
		call->too_large = true;
		if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT) != NULL) {
			http_guard_refuse_body(&call->reply);
			return send_reply(connection, call, true);
		}
	}
	return MHD_YES;
}

static enum MHD_Result finish(struct http *h, struct MHD_Connection *connection, struct http_call *call,
			      const char *method)
{
	struct http_caller *caller = caller_of(connection);
	enum MHD_Result result;

	if (!http_caller_answer(h->callers, caller))
		return MHD_NO;
	call->answered = true;
	call->reply = (struct http_reply){.status = MHD_HTTP_INTERNAL_SERVER_ERROR, .content_type = "text/plain"};
	if (call->too_large) {
		http_guard_refuse_body(&call->reply);
	} else if (read_call(h, connection, call, method)) {
		h->handler(h->arg, &call->request, &call->reply);
		say_called(call);
	}
	result = send_reply(connection, call, call->too_large);
	http_caller_reply(h->callers, caller);
	return result;
}

/* Called when the headers are there, for each piece of the body, and when the request is whole. */
static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
				 const char *version, const char *upload, size_t *upload_bytes, void **context)
{
	struct http *h = arg;
	struct http_call *call = *context;

	(void)url;
	(void)version;
	OBJ_CHECK(h, HTTP_MAGIC);
	/* No memory for the one, or too late for the other. */
	if (call == NULL || caller_of(connection) == NULL)
		return MHD_NO;
	if (!call->begun)
		return begin(h, connection, call);
	if (*upload_bytes > 0) {
		http_call_add_body(call, upload, *upload_bytes, h->opt.max_body);
		*upload_bytes = 0;
		return MHD_YES;
	}
	return finish(h, connection, call, method);
}

/* The reply was sent, or the caller has gone. */
static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode why)
{
	struct http *h = arg;
	struct http_call *call = *context;

	(void)why;
	http_caller_done(h->callers, caller_of(connection), call != NULL && call->answered);
	if (call != NULL)
		http_call_free(&call);
	*context = NULL;
}

__attribute__((format(printf, 2, 0))) static void on_log(void *arg, const char *format, va_list args)
{
	static struct log_limit limit = LOG_LIMIT(5);
	char text[256];

	(void)arg;
	(void)vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	LOG_LIMITED(LOG_DEBUG, &limit, log_what(EVENT_LIBRARY_SAYS), log_str("library", "libmicrohttpd"),
		    log_str("says", text));
}

/* ---- start and stop ---- */

struct http_options http_options_of(const struct config *cfg, struct http_keys *keys)
{
	/* A probe must not be told to come again later. */
	static const char *const probes[] = {"/healthz", "/readyz", NULL};

	return (struct http_options){
		.bind = cfg->http_bind,
		.tls_bind = cfg->http_tls_bind,
		.cert_files = cfg->tls_cert_file,
		.key_files = cfg->tls_private_file,
		.max_body = (size_t)cfg->http_max_body,
		.callers_max = (unsigned)cfg->http_callers,
		.timeout_ms = cfg->http_timeout,
		.reuse_port = cfg->server_reuse_port,
		.label = "http",
		.tls_label = "http-tls",
		.keys = keys,
		.rate = {.per_second = cfg->http_rate, .burst_ns = cfg->limits_burst * CLOCK_MS},
		.free_paths = probes,
	};
}

int http_try_keys(const struct config *cfg)
{
	struct http_keys *keys;
	int rc;

	if (cfg->http_bind[0] == '\0' && cfg->http_tls_bind[0] == '\0')
		return 0;
	if ((rc = http_keys_new(cfg->http_api_key, cfg->http_keys_file, &keys)) == 0)
		http_keys_free(&keys);
	return rc;
}

static int start_daemon(struct http *h, struct door *door, bool tls)
{
	const unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
			       MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);
	const struct MHD_OptionItem for_tls[] = {
		{MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, http_tls_callback()},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)http_tls_priorities},
		{MHD_OPTION_END, 0, NULL},
	};

	door->http = h;
	/* Callers are counted here before the library sees them, so its own limit is out of reach. */
	door->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_access, h, /* each option with its argument, the end */
					MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_CONNECTION_LIMIT,
					2 * h->opt.callers_max + CALLERS_LEAVING, MHD_OPTION_CONNECTION_TIMEOUT,
					(unsigned)HTTP_CALLER_IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
					(size_t)CALLER_BYTES, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
					MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_NOTIFY_COMPLETED,
					on_completed, h, MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_ARRAY,
					tls ? for_tls : &for_tls[2], MHD_OPTION_END);
	return door->daemon != NULL ? 0 : -EAGAIN;
}

static int listen_on_all(struct http *h, struct door *door, const char *rest, const char *label)
{
	char address[ADDRESS_BYTES];
	int rc = 0;

	while (rc == 0 && config_list_next(&rest, address, sizeof(address))) {
		rc = h->n_listeners < LISTENERS_MAX
			     ? http_listener_start(address, label, h->opt.reuse_port, take_connection, door,
						   &h->listeners[h->n_listeners])
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
	bool has_tls = opt->tls_bind != NULL && opt->tls_bind[0] != '\0';
	int rc;

	if (h == NULL)
		return -ENOMEM;
	h->magic = HTTP_MAGIC;
	h->opt = *opt;
	h->handler = handler;
	h->arg = arg;
	if ((rc = http_guard_init(&h->guard, opt->keys, &opt->rate, opt->free_paths)) < 0 ||
	    (rc = http_callers_start(opt->callers_max, opt->timeout_ms, &h->callers)) < 0 ||
	    (rc = start_daemon(h, &h->plain, false)) < 0 ||
	    (has_tls && ((rc = http_tls_new(opt->cert_files, opt->key_files, &h->certs)) < 0 ||
			 (rc = start_daemon(h, &h->tls, true)) < 0)))
		LOG(LOG_ERROR, log_what(EVENT_START_FAILED), log_str("part", "HTTP"), log_str("error", err_text(rc)));
	else
		rc = listen_on_all(h, &h->plain, opt->bind, opt->label);
	if (rc == 0 && has_tls)
		rc = listen_on_all(h, &h->tls, opt->tls_bind, opt->tls_label);
	if (rc < 0) {
		http_stop(&h);
		return rc;
	}
	*out = h;
	return 0;
}

struct reload_part http_reload_certs(struct http *h)
{
	return http_tls_reload(h != NULL ? h->certs : NULL);
}

void http_stop(struct http **http)
{
	struct http *h = *http;

	OBJ_CHECK(h, HTTP_MAGIC);
	if (h->callers != NULL)
		http_callers_end(h->callers);
	for (unsigned i = 0; i < h->n_listeners; i++)
		http_listener_stop(&h->listeners[i]);
	if (h->plain.daemon != NULL)
		http_callers_wait_answered(h->callers);
	/* Cuts off what is left, and joins the callers' threads. */
	if (h->tls.daemon != NULL)
		MHD_stop_daemon(h->tls.daemon);
	if (h->plain.daemon != NULL)
		MHD_stop_daemon(h->plain.daemon);
	if (h->certs != NULL)
		http_tls_free(&h->certs);
	if (h->callers != NULL)
		http_callers_stop(&h->callers);
	http_guard_fini(&h->guard);
	h->magic = 0;
	free(h);
	*http = NULL;
}
