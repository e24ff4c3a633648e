/* listen: see listen.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/address.h"
#include "common/base/err.h"
#include "common/base/log.h"

#define UNIX "unix:"

/* A socket's own address, of whatever family. */
union name {
	struct sockaddr_storage longest;
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un path;
};

/* ---- on which address ---- */

const char *listen_path(const char *address)
{
	return strncmp(address, UNIX, strlen(UNIX)) == 0 ? address + strlen(UNIX) : NULL;
}

static int name_path(const char *path, union name *name, socklen_t *bytes)
{
	if (path[0] != '/' || strlen(path) >= sizeof(name->path.sun_path))
		return -EINVAL;
	name->path.sun_family = AF_UNIX;
	memcpy(name->path.sun_path, path, strlen(path) + 1);
	*bytes = sizeof(name->path);
	return 0;
}

static int resolve(const struct address *a, union name *name, socklen_t *bytes)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	/* An IPv6 socket takes IPv4 as well. */
	const char *host = a->host[0] != '\0' ? a->host : "::";
	struct addrinfo *found;

	if (a->port[0] == '\0')
		return -EINVAL;
	if (getaddrinfo(host, a->port, &hints, &found) != 0)
		return -ERR_NAME;
	memcpy(name, found->ai_addr, found->ai_addrlen);
	*bytes = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

/* Has the list an IPv4 address with this port? A name may have one. */
static bool lists_ipv4(const char *list, const struct address *beside)
{
	char text[LISTEN_ADDRESS_BYTES];
	struct address a;

	list += strspn(list, ", \t");
	while (*list != '\0') {
		size_t n = strcspn(list, ", \t");

		(void)snprintf(text, sizeof(text), "%.*s", (int)n, list);
		list += n + strspn(list + n, ", \t");
		if (address_parse(text, &a) == 0 && a.number == beside->number && a.host[0] != '\0' &&
		    strchr(a.host, ':') == NULL)
			return true;
	}
	return false;
}

/* ---- a path ---- */

/* Take a socket away that a process left which has ended without a word. Only one that listens takes a connection, so nobody loses
 * anything by the question. */
static int remove_stale(const union name *name)
{
	int fd, rc;
	struct stat found;

	if (lstat(name->path.sun_path, &found) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(found.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, &name->any, sizeof(name->path)) == 0 || errno != ECONNREFUSED)
		rc = -EADDRINUSE;
	else
		rc = unlink(name->path.sun_path) < 0 && errno != ENOENT ? -errno : 0;
	(void)close(fd);
	return rc;
}

/* Until it listens, nobody gets in whom the mode would keep out. */
static int listen_on_path(int fd, const union name *name, const struct listen_options *opt)
{
	int rc;

	if ((rc = remove_stale(name)) < 0)
		return rc;
	if (bind(fd, &name->any, sizeof(name->path)) < 0)
		return -errno;
	if (chmod(name->path.sun_path, opt->unix_mode) < 0 || listen(fd, opt->backlog) < 0) {
		rc = -errno;
		(void)unlink(name->path.sun_path);
	}
	return rc;
}

/* ---- open, stop ---- */

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int listen_on_port(int fd, const union name *name, socklen_t bytes, const struct address *a,
			  const struct listen_options *opt)
{
	bool both = a->host[0] == '\0', beside_ipv4 = opt->list != NULL && lists_ipv4(opt->list, a);
	int rc = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (rc == 0 && opt->reuse_port)
		rc = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	/* Elsewhere it is the system's choice, net.ipv6.bindv6only. */
	if (rc == 0 && name->any.sa_family == AF_INET6 && (both || beside_ipv4))
		rc = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !both || beside_ipv4);
	if (rc == 0 && (bind(fd, &name->any, bytes) < 0 || listen(fd, opt->backlog) < 0))
		rc = -errno;
	return rc;
}

int listen_open(const char *address, const struct listen_options *opt, int *out)
{
	const char *path = listen_path(address);
	struct address a = {.number = -1};
	union name name = {0};
	socklen_t bytes;
	int fd, rc;

	if (path == NULL && address_parse(address, &a) < 0)
		return -EINVAL;
	if ((rc = path != NULL ? name_path(path, &name, &bytes) : resolve(&a, &name, &bytes)) < 0)
		return rc;
	fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno == EAFNOSUPPORT && path == NULL && a.host[0] == '\0') {
		/* A machine without IPv6. */
		name.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = name.v6.sin6_port};
		bytes = sizeof(name.v4);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (fd < 0)
		return -errno;
	rc = path != NULL ? listen_on_path(fd, &name, opt) : listen_on_port(fd, &name, bytes, &a, opt);
	if (rc < 0)
		(void)close(fd);
	else
		*out = fd;
	return rc;
}

void listen_stop(int fd)
{
	union name name = {0};
	socklen_t bytes = sizeof(name);

	/* First, as long as nobody else can have it: who starts now would find out that we listen. */
	if (getsockname(fd, &name.any, &bytes) == 0 && name.any.sa_family == AF_UNIX)
		(void)unlink(name.path.sun_path);
	(void)shutdown(fd, SHUT_RDWR);
}

/* Whatever log.level is: who picks port 0 has to know. */
static void announce(const char *label, const char *address)
{
	if (log_is_json()) {
		log_write(LOG_INFO, (const struct log_field[]){log_what(EVENT_LISTENING), log_str("listener", label),
							       log_str("address", address), LOG_END});
		return;
	}
	(void)printf("listening %s %s\n", label, address);
	(void)fflush(stdout);
}

int listen_announce(int fd, const char *label, uint16_t *port)
{
	char address[sizeof(union name) + sizeof(UNIX)], host[64] = "?";
	union name bound = {0};
	socklen_t bytes = sizeof(bound);
	bool is_v6;

	if (getsockname(fd, &bound.any, &bytes) < 0)
		return -errno;
	*port = 0;
	if (bound.any.sa_family == AF_UNIX) {
		(void)snprintf(address, sizeof(address), UNIX "%s", bound.path.sun_path);
	} else {
		is_v6 = bound.any.sa_family == AF_INET6;
		*port = ntohs(is_v6 ? bound.v6.sin6_port : bound.v4.sin_port);
		(void)getnameinfo(&bound.any, bytes, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
		(void)snprintf(address, sizeof(address), is_v6 ? "[%s]:%u" : "%s:%u", host, *port);
	}
	announce(label, address);
	return 0;
}

bool listen_error_is_passing(int rc)
{
	return rc == -EINTR || rc == -ECONNABORTED || rc == -EPROTO || rc == -EPERM || rc == -ENOPROTOOPT ||
	       rc == -ENONET || rc == -ENETDOWN || rc == -ENETUNREACH || rc == -EHOSTDOWN || rc == -EHOSTUNREACH;
}
