/* networks: see networks.h. The list is read anew each time: it is asked about once a connection, and mostly short.
 * SPDX-License-Identifier: MIT */
#include "common/config/networks.h"

#include <netinet/in.h>
#include <stdint.h>

#include "common/base/cidr.h"
#include "common/config/config.h"

const char *networks_fault(const char *entry)
{
	struct cidr n;

	return cidr_read(entry, &n);
}

/* The bytes of an address; NULL: of another family. */
static const uint8_t *address_bytes(const struct sockaddr *address, int *family)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

	*family = address->sa_family;
	if (address->sa_family == AF_INET)
		return (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
	if (address->sa_family != AF_INET6)
		return NULL;
	if (!IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return v6->sin6_addr.s6_addr;
	*family = AF_INET;
	return &v6->sin6_addr.s6_addr[12];
}

bool networks_hold(const char *list, const struct sockaddr *address)
{
	int family;
	const uint8_t *bytes = address_bytes(address, &family);
	char entry[CIDR_BYTES];
	struct cidr n;

	while (bytes != NULL && config_list_next(&list, entry, sizeof(entry)))
		if (cidr_read(entry, &n) == NULL && cidr_holds(&n, family, bytes))
			return true;
	return false;
}
