/* networks: see networks.h. The list is read anew each time: it is asked about once a connection, and mostly short.
 * SPDX-License-Identifier: MIT */
#include "common/config/networks.h"

#include "common/base/cidr.h"
#include "common/base/peer.h"
#include "common/config/config.h"

const char *networks_fault(const char *entry)
{
	struct cidr n;

	return cidr_read(entry, &n);
}

bool networks_hold(const char *list, const struct sockaddr *address)
{
	struct cidr n, one;
	const bool has_address = peer_cidr(address, &one);
	char entry[CIDR_BYTES];

	while (has_address && config_list_next(&list, entry, sizeof(entry)))
		if (cidr_read(entry, &n) == NULL && cidr_holds(&n, one.family, one.bytes))
			return true;
	return false;
}
