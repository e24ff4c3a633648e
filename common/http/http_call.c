/* http_call: see http_call.h. SPDX-License-Identifier: MIT */
#include "common/http/http_call.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/counters.h"
#include "common/base/network.h"
#include "common/http/http_query.h"

static const char *const statuses[] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};

COUNTER_LABELS(HTTP_REQUESTS, statuses, sizeof(statuses) / sizeof(statuses[0]));

/* ---- from start to end ---- */

struct http_call *http_call_new(const char *uri)
{
	struct http_call *call = calloc(1, sizeof(*call));
	size_t path_bytes = strcspn(uri, "?");

	if (call == NULL)
		return NULL;
	call->path = strndup(uri, path_bytes);
	call->query = strdup(uri[path_bytes] == '?' ? uri + path_bytes + 1 : "");
	call->no_memory = call->path == NULL || call->query == NULL;
	return call;
}

void http_call_free(struct http_call **reference)
{
	struct http_call *call = *reference;

	http_params_free(call->params, call->request.n_params);
	free(call->query);
	free(call->path);
	free(call->body);
	free(call->reply.body);
	free(call);
	*reference = NULL;
}

/* ---- reading ---- */

const char *http_call_shown_key(struct MHD_Connection *connection)
{
	static const char bearer[] = "Bearer ";
	const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Api-Key");

	if (value != NULL)
		return value;
	value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
	if (value != NULL && strncasecmp(value, bearer, sizeof(bearer) - 1) == 0)
		return value + sizeof(bearer) - 1;
	return NULL;
}

static enum MHD_Result count_length(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	unsigned *lengths = arg;

	(void)kind;
	(void)value;
	if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0 ||
	    strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0)
		(*lengths)++;
	return MHD_YES;
}

bool http_call_has_two_lengths(struct MHD_Connection *connection)
{
	unsigned lengths = 0;

	(void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_length, &lengths);
	return lengths > 1;
}

void http_call_add_body(struct http_call *call, const char *bytes, size_t n, size_t max_body)
{
	uint8_t *body;

	/* A path without a key needs no body either: a caller without a key fills no memory. */
	if (call->request.key.scopes == 0)
		return;
	call->too_large |= call->request.body_bytes + n > max_body;
	if (call->too_large || call->no_memory)
		return; /* read and forgotten; the reply will say so */
	if (call->request.body_bytes + n + 1 > call->body_capacity) {
		size_t capacity = (call->request.body_bytes + n + 1) * 2;

		if ((body = realloc(call->body, capacity)) == NULL) {
			call->no_memory = true;
			return;
		}
		call->body = body;
		call->body_capacity = capacity;
	}
	memcpy(call->body + call->request.body_bytes, bytes, n);
	call->request.body_bytes += n;
	call->body[call->request.body_bytes] = '\0';
}

static void say_peer(struct MHD_Connection *connection, struct http_call *call)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	if (info == NULL || getnameinfo(info->client_addr, sizeof(struct sockaddr_in6), call->peer, sizeof(call->peer),
					NULL, 0, NI_NUMERICHOST) != 0)
		call->peer[0] = '\0';
	call->request.peer = call->peer;
}

static bool accepts_html(struct MHD_Connection *connection)
{
	const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);

	return accept != NULL && strstr(accept, "text/html") != NULL;
}

/* A request of a page has the Origin of the page; a program that is no browser sends none. */
static bool comes_from_elsewhere(struct MHD_Connection *connection)
{
	const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ORIGIN);
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
	const char *site = origin != NULL ? strstr(origin, "://") : NULL;

	return origin != NULL && (site == NULL || host == NULL || strcasecmp(site + 3, host) != 0);
}

static bool is_renamed(struct MHD_Connection *connection)
{
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);

	return host != NULL && !network_is_literal(host);
}

int http_call_read(struct http_call *call, struct MHD_Connection *connection, const char *method)
{
	struct http_request *request = &call->request;
	int rc = call->no_memory ? -ENOMEM : http_path_decode(call->path);

	if (rc == 0)
		rc = http_params_decode(call->query, &call->params, &request->n_params);
	request->params = call->params;
	if (rc == -ENOMEM)
		return rc;
	request->bad_params = rc < 0;
	request->method = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ? MHD_HTTP_METHOD_GET : method;
	request->path = call->path;
	request->body = call->body != NULL ? call->body : (const uint8_t *)"";
	request->wants_html = accepts_html(connection);
	request->is_elsewheres = comes_from_elsewhere(connection);
	request->is_renamed = is_renamed(connection);
	say_peer(connection, call);
	return 0;
}

/* ---- answering ---- */

bool http_call_send(struct http_call *call, struct MHD_Connection *connection, bool close)
{
	struct http_reply *reply = &call->reply;
	struct MHD_Response *response;
	enum MHD_Result result;

	response = MHD_create_response_from_buffer(reply->body_bytes, reply->body, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		return false;
	reply->body = NULL; /* the response's now */
	/* Without memory for a header the reply goes out without it. */
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	(void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (reply->extra_header != NULL)
		(void)MHD_add_response_header(response, reply->extra_header, reply->extra_value);
	if (close)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	result = MHD_queue_response(connection, (unsigned)reply->status, response);
	MHD_destroy_response(response);
	count_by(COUNT_HTTP_REQUESTS, (unsigned)reply->status / 100);
	return result == MHD_YES;
}
