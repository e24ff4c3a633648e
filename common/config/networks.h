/* networks: a list of networks, as a setting has it: 10.0.0.0/8, 192.0.2.1, 2001:db8::/32, with commas. Pure; any thread.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_NETWORKS_H
#define COMMON_CONFIG_NETWORKS_H

#include <stdbool.h>

struct sockaddr;

/* Does one of them hold this address? An IPv4 address mapped into IPv6 is the IPv4 address. Entries with a fault hold nobody. */
bool networks_hold(const char *list, const struct sockaddr *address);

/* NULL: a network can be written so. Otherwise its fault, in words that go on after it. */
const char *networks_fault(const char *entry);

#endif
