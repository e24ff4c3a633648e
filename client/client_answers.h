/* client_answers: what a server says to a client_rooms beside pushes: the answers to JOIN and LEAVE, and NOTICE. Only its own files look in here.
 * SPDX-License-Identifier: MIT */
#ifndef CLIENT_CLIENT_ANSWERS_H
#define CLIENT_CLIENT_ANSWERS_H

struct client_rooms;
struct packet;

/* 0, -ENOMEM, or -EPROTO: it is none that a server which is right gives, and s->wrong has words. */
int client_answers_take(struct client_rooms *s, const struct packet *p);

#endif
