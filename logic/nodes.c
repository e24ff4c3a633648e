/* nodes: see nodes.h. SPDX-License-Identifier: MIT */
#include "logic/nodes.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/load.h"
#include "common/base/address.h"
#include "common/base/listen.h"
#include "common/config/config.h"

/* A client tries them one after another, and asks again when none is left. */
#define NODES_MAX 5

static struct load load_of(const struct registry_server *s, const char *region)
{
	return (struct load){.leaving = s->leaving,
			     .near = region[0] != '\0' && strcmp(s->region, region) == 0,
			     .connections = s->connections,
			     .weight = s->weight,
			     .name = s->id};
}

static int by_load(const void *a, const void *b, void *region)
{
	const struct load x = load_of(a, region), y = load_of(b, region);

	return load_compare(&x, &y);
}

/* The ports of this address of the server, as far as it tells them. */
static void take_ports(struct client_ports *ports, const struct registry_server *server, const struct address *a)
{
	if (a->number > 0)
		ports->tcp = (uint16_t)a->number;
	if (server->ports.websocket == 0 && server->ports.websocket_tls == 0)
		return;
	ports->websocket = server->ports.websocket;
	ports->websocket_tls = server->ports.websocket_tls;
}

/* The hosts of one server: its names where `names`, otherwise its addresses. */
static void add_hosts(json_t *nodes, const struct registry_server *server, bool names, bool any,
		      struct client_ports *ports)
{
	const char *rest = server->addrs;
	char address[128];
	struct address a;

	while (json_array_size(nodes) < NODES_MAX && config_list_next(&rest, address, sizeof(address))) {
		if (listen_path(address) != NULL || address_parse(address, &a) < 0 ||
		    (!any && address_is_literal(&a) == names))
			continue;
		if (json_array_size(nodes) == 0)
			take_ports(ports, server, &a);
		(void)json_array_append_new(nodes, json_string(a.host));
	}
}

json_t *nodes_list(struct registry_servers *servers, const char *region, bool names, struct client_ports *ports)
{
	json_t *nodes = json_array();

	qsort_r(servers->servers, servers->n, sizeof(*servers->servers), by_load, (void *)(uintptr_t)region);
	for (size_t i = 0; i < servers->n && !servers->servers[i].leaving; i++)
		add_hosts(nodes, &servers->servers[i], names, false, ports);
	if (json_array_size(nodes) > 0)
		return nodes;
	for (size_t i = 0; i < servers->n && !servers->servers[i].leaving; i++)
		add_hosts(nodes, &servers->servers[i], names, true, ports);
	return nodes;
}
