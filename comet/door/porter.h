/* porter: stands between accept and admission where a balancer announces its clients with a PROXY header. One thread reads
 * the headers of all that wait, so that a balancer that is slow to send one holds up no other connection.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_DOOR_PORTER_H
#define COMET_DOOR_PORTER_H

#include <stdint.h>
#include <sys/socket.h>

struct porter;

/* The header was read and taken off the socket; `peer` is the client's address. Takes over fd. On the porter's thread. */
typedef void porter_announce(void *arg, int fd, const struct sockaddr *peer);

/* Start the thread. A connection without a header after timeout_ns is closed, and so is one that comes when `most` wait.
 * 0, -errno. */
int porter_start(int64_t timeout_ns, unsigned most, porter_announce *announce, struct porter **out);
/* Nobody calls porter_take any more. A connection that has come already may still be announced, for a moment; closes those that
 * are not and counts them as refused because of the drain, joins the thread. */
void porter_stop(struct porter **p);

/* Take over fd, just accepted from `peer`; announced with this arg once its header has come. */
void porter_take(struct porter *p, int fd, const struct sockaddr_storage *peer, void *arg);

#endif
