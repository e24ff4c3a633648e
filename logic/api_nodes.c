/* api_nodes: /goim/nodes/: the comets of the cluster, for clients and for operators. SPDX-License-Identifier: MIT */
#include <string.h>

#include "common/base/address.h"
#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/listen.h"
#include "logic/api_v2.h"
#include "logic/nodes.h"

/* A client is closed when so many heartbeats did not come, of which it is to send one every *every_s. */
static int heartbeats_within_deadline(const struct config *cfg, json_int_t *every_s)
{
	int64_t half_ms = cfg->logic_heartbeat / 2;
	int64_t every_ms = cfg->logic_heartbeat_told < half_ms ? cfg->logic_heartbeat_told : half_ms;

	*every_s = every_ms / 1000;
	return (int)(cfg->logic_heartbeat / every_ms);
}

void api_nodes_weighted(struct api_call *call)
{
	const struct config *cfg = call->logic->cfg;
	const char *platform = http_param(call->request, "platform");
	const char *region = http_param(call->request, "region");
	struct client_ports ports = logic_client_ports(call->logic);
	struct registry_servers servers;
	json_t *nodes, *domain;
	json_int_t every_s;
	int beats = heartbeats_within_deadline(cfg, &every_s);
	int rc = registry_servers(&call->logic->registry, &servers);

	if (rc < 0) {
		api_v2_reply_result(call, rc);
		return;
	}
	nodes = nodes_list(&servers, region != NULL ? region : "", platform != NULL && strcmp(platform, "web") == 0,
			   &ports);
	registry_servers_fini(&servers);
	domain = json_array_get(nodes, 0);
	api_v2_reply_data(call,
			  json_pack("{s:s,s:I,s:I,s:I,s:I,s:o,s:{s:i,s:i,s:f,s:f},s:i}", "domain",
				    domain != NULL ? json_string_value(domain) : "", "tcp_port", (json_int_t)ports.tcp,
				    "ws_port", (json_int_t)ports.websocket, "wss_port", (json_int_t)ports.websocket_tls,
				    "heartbeat", every_s, "nodes", nodes, "backoff", "max_delay", 300, "base_delay", 3,
				    "factor", 1.8, "jitter", 0.3, "heartbeat_max", beats));
}

/* A comet alone without server.addrs tells its tcp.bind: where the system chose the port of the first address, this one. */
static json_t *addresses_of(const struct registry_server *s, uint16_t port)
{
	const char *rest = s->addrs;
	char first[LISTEN_ADDRESS_BYTES];
	struct address a;

	if (port == 0 || !config_list_next(&rest, first, sizeof(first)) || address_parse(first, &a) < 0 ||
	    a.number != 0)
		return json_string(s->addrs);
	return json_sprintf("%.*s:%u%s", (int)(strrchr(first, ':') - first), first, (unsigned)port, rest);
}

static json_t *describe_server(const struct registry_server *s, struct client_ports ports, int64_t delivered,
			       int64_t dropped)
{
	return json_pack("{s:s,s:s,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:i,s:i,s:b}", "id", s->id, "region", s->region, "addrs",
			 addresses_of(s, ports.tcp), "weight", (json_int_t)s->weight, "conn_count",
			 (json_int_t)s->connections, "ip_count", (json_int_t)s->addresses, "updated_ms",
			 (json_int_t)s->updated_ms, "delivered", (json_int_t)delivered, "dropped", (json_int_t)dropped,
			 "ws_port", (int)ports.websocket, "wss_port", (int)ports.websocket_tls, "leaving", s->leaving);
}

void api_nodes_instances(struct api_call *call)
{
	const bool ours = call->logic->alone; /* the one comet counts in this program */
	struct registry_servers servers;
	json_t *list;
	int rc = registry_servers(&call->logic->registry, &servers);

	if (rc < 0) {
		api_v2_reply_result(call, rc);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < servers.n; i++) {
		struct registry_server *s = &servers.servers[i];

		if (ours) /* it tells only what changes */
			s->updated_ms = clock_wall_ms();
		(void)json_array_append_new(list, describe_server(s, ours ? call->logic->ports : s->ports,
								  ours ? counters_read(COUNT_DELIVERED) : s->delivered,
								  ours ? counters_read(COUNT_DROPPED) : s->dropped));
	}
	registry_servers_fini(&servers);
	api_v2_reply_data(call, list);
}
