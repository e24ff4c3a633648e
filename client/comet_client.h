/* comet_client: a client of Comet over TCP for programs in C and C++, in libcometclient: pkg-config comet-client, --static for the
 * archive; in a clone PKG_CONFIG_PATH=build.
 *
 *	struct comet_client_options opt = {.mid = 123, .room = "live://1000"};
 *	struct comet_client_goodbye goodbye;
 *	struct comet_client_message m;
 *	struct comet_client *c;
 *	int rc = comet_client_open(&opt, &c, &goodbye);
 *
 *	while (rc == 0 && (rc = comet_client_next(c, 60000, &m)) != -ECONNABORTED)
 *		...
 *
 * It speaks version 2 of docs/protocol.md, sends heartbeats by itself, and notices a server that answers none. Every call
 * blocks, but no longer than it is told, and returns 0 or a negative errno; only the system's resolver, which comet_client_open asks
 * where host is a name, takes its own time. A client belongs to one thread at a time.
 * A lost connection is not opened again by itself, but by a comet_client_keeper; comet_client_may_return() and comet_client_delay_ms() tell
 * others whether and when to.
 * With comet_client_rooms it may be in several rooms, and gets what was pushed to them while it had no connection.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_CLIENT_H
#define COMET_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct comet_client;
struct comet_client_rooms;

/* Each field that is 0 or NULL means the default, which its comment names. */
struct comet_client_options {
	const char *host, *port; /* of comet's TCP listener: 127.0.0.1, 3101 */
	int64_t mid;             /* the user: nobody */
	const char *key;         /* names this connection: the server makes one */
	const char *room;        /* type://id: none */
	const int32_t *accepts;  /* operations of pushes that are wanted: 1000 */
	size_t n_accepts;
	const char *token; /* sent as it is, in place of one made of the fields above */
	int timeout_ms;    /* for the connection to come up, and for each answer: 10000 */
	int heartbeat_ms;  /* between heartbeats: 30000 */
	struct comet_client_rooms
		*rooms; /* ask for streams, and join these: none. A token has to ask itself, by "streams":{} */
};

/* The reasons of a server that closes: docs/protocol.md says what to do then. Newer servers may have others. */
/* table: from common/wire/goodbye.def by `make docs` */
enum comet_client_code {
	COMET_CLIENT_UNSAID = 0,
	COMET_CLIENT_KICKED = 1,
	COMET_CLIENT_REPLACED = 2,
	COMET_CLIENT_SLOW_CONSUMER = 3,
	COMET_CLIENT_DRAINING = 4,
	COMET_CLIENT_AUTH_REFUSED = 5,
	COMET_CLIENT_NO_LOGIC = 6,
	COMET_CLIENT_CONNECTIONS = 7,
	COMET_CLIENT_PER_IP = 8,
	COMET_CLIENT_HEARTBEAT_TIMEOUT = 9,
	COMET_CLIENT_BAD_ROOM = 10,
	COMET_CLIENT_NO_THREAD = 11,
	COMET_CLIENT_NO_MEMORY = 12,
	COMET_CLIENT_AUTH_EXPIRED = 13,
	COMET_CLIENT_HANDSHAKES = 20,
	COMET_CLIENT_CONNECTS = 21,
	COMET_CLIENT_CONNECTS_PER_IP = 22,
	COMET_CLIENT_ACCEPTS = 23,
	COMET_CLIENT_BANNED = 24,
	COMET_CLIENT_PER_USER = 25,
	COMET_CLIENT_REVOKED = 26,
};
/* end of table */

/* The server's reason for closing; code 0 and no words if it gave none. */
struct comet_client_goodbye {
	int code;
	char reason[160];
	char node[128]; /* host:port of another server to go to, if this one goes away and knows one; otherwise empty */
};

/* What a message is: without rooms always a push. */
enum comet_client_event {
	COMET_CLIENT_PUSH = 0,
	COMET_CLIENT_JOINED =
		1, /* the pushes of the room go on after number; of those that were missed, `replay` follow */
	COMET_CLIENT_GAP =
		2, /* something is missing, and pushes go on after number: ask the back end, in wait_ms. Where it tells the
			       * position that its data have, join again since that; with `state` that is done */
	COMET_CLIENT_LEFT = 3, /* not joined any more, and not again by itself; the body says why */
	/* of a keeper */
	COMET_CLIENT_ONLINE = 4, /* a connection is up */
	COMET_CLIENT_LOST =
		5, /* it is gone, or did not come about; the body says why, the next attempt is in wait_ms */
};

struct comet_client_message {
	int32_t op;
	int16_t ver;
	int32_t seq;
	const void *body; /* valid until the next call on this client */
	size_t body_bytes;
	/* with rooms */
	int event;        /* an enum comet_client_event */
	const char *room; /* where the push went to, "" for a user, a key or all; valid as the body is */
	int64_t number;   /* of the push in its room; 0: it has none */
	int replay, wait_ms;
};

/* Connect and authenticate. -ECONNABORTED: the server refused us, *goodbye has its words; -ETIMEDOUT; -ENOENT: the name does
 * not resolve; -EINVAL: a string is not UTF-8; another errno of the socket. *out is to be closed after 0 only. */
int comet_client_open(const struct comet_client_options *opt, struct comet_client **out,
		      struct comet_client_goodbye *goodbye);
/* Close and free. *c becomes NULL; it may be NULL already. What is done of the user's stream is confirmed before, where the socket takes it
 * soon. */
void comet_client_close(struct comet_client **c);

/* The next push. -ETIMEDOUT: none came in wait_ms; the client may be used on.
 * After any other error it is only to be closed: -ECONNABORTED: the server said goodbye, or closed; -ETIME: a heartbeat was not
 * answered, and nothing else came in timeout_ms, or the server takes nothing any more; -EPROTO: the server sent what no good server sends; another errno of the socket.
 * The exception is a goodbye with code 4: that server serves on for a while. Open a client to goodbye.node first, then take
 * the rest from this one: with a key until the server closes, -ECONNABORTED; without one until -ETIMEDOUT. */
int comet_client_next(struct comet_client *c, int wait_ms, struct comet_client_message *out);
/* For poll() among other descriptors. Once it is readable, call comet_client_next with wait_ms 0 until -ETIMEDOUT; call it also
 * every heartbeat_ms, since it sends the heartbeats. */
int comet_client_fd(const struct comet_client *c);
/* The server's goodbye, after a call that returned -ECONNABORTED; after -EPROTO its reason is what was wrong. With c NULL *out stays as it is. */
void comet_client_last_words(const struct comet_client *c, struct comet_client_goodbye *out);

/* These return once the server has it; pushes that come meanwhile are kept for comet_client_next, at most 4096 and 64 MiB: -ENOBUFS, and
 * after that the client is only to be closed. Other errors as there; -ETIME: not answered in timeout_ms. */
int comet_client_change_room(struct comet_client *c, const char *room); /* NULL or empty: none */
int comet_client_subscribe(struct comet_client *c, const int32_t *ops, size_t n);
int comet_client_unsubscribe(struct comet_client *c, const int32_t *ops, size_t n);
int comet_client_send(struct comet_client *c, int32_t op, const void *body, size_t body_bytes); /* for the back end */
/* Send a new token before the old one expires. -EAGAIN: it was not taken, and the old one still counts. */
int comet_client_renew(struct comet_client *c, const char *token);
int comet_client_heartbeat(struct comet_client *c, int *people_in_room);

/* Several rooms, and what was pushed to them meanwhile: docs/streams.md. The rooms that an application wants to be in, and its position in
 * each: they outlive connections, and belong to one thread at a time with all clients that were opened with them, in
 * comet_client_options. comet_client_next asks the server for all that are wanted, in as few packets as they fit into, from their
 * positions. A push or event counts as done when comet_client_next is called again: if the client is closed before, the next one
 * gets it once more. */
typedef void (*comet_client_store)(void *arg, const char *room, int64_t position);
typedef int64_t (*comet_client_state)(void *arg, const char *room);
/* Both functions call nothing of this header. */
struct comet_client_rooms_options {
	comet_client_store store; /* keeps a position for the program's next start: NULL */
	void *arg;
	/* Loads what the application shows of a room, and returns the position that its back end read before it read that
	 * (GET /goim/stream/position); 0: from now on; below 0: not now, again in 3 s. comet_client_next calls it before a room is joined for
	 * the first time, and after a gap, in wait_ms: NULL */
	comet_client_state state;
	/* 1: without a position in the user's stream ask for what this key has not confirmed yet, "unacked" of docs/protocol.md: 0.
	 * It wants a `key` in comet_client_options */
	int unacked;
};
struct comet_client_join {
	const char *room;
	int64_t since; /* a position: that which is known; without any from now on */
	int last;      /* without a position, and where that is a gap, as many of the newest pushes */
	const char *ticket;
};
/* opt may be NULL. 0 or -ENOMEM; *out is to be freed, after the clients that have it are closed. */
int comet_client_rooms_new(const struct comet_client_rooms_options *opt, struct comet_client_rooms **out);
void comet_client_rooms_free(struct comet_client_rooms **rooms); /* as comet_client_close */
/* Want a room, with a connection or without; JOINED or LEFT comes of it. Of one that is joined: again, from the position. 0, -EINVAL,
 * -ENOMEM. The room "" is the user's stream, where the server keeps what is pushed to users: every connection is in it, `since` is the
 * position for the next one, and what is done is confirmed to the server. */
int comet_client_rooms_join(struct comet_client_rooms *rooms, const struct comet_client_join *wish);
/* Its position is forgotten, and no event comes of it. 0, -ENOENT. */
int comet_client_rooms_leave(struct comet_client_rooms *rooms, const char *room);
int64_t comet_client_rooms_position(const struct comet_client_rooms *rooms, const char *room); /* 0: none */

/* A client that is opened again by itself, over all that happens: it waits longer each time, goes where a server that goes away sends it
 * and takes the rest from that one, and goes round the places, each "[host]:port" or a port; none: 127.0.0.1:3101. `opt` is copied, host
 * and port in it are not read; what it points to, and the places, stay until the keeper is freed. 0 or -ENOMEM. */
struct comet_client_keeper;
int comet_client_keeper_new(const struct comet_client_options *opt, char *const *places, size_t n_places,
			    struct comet_client_keeper **out);
void comet_client_keeper_free(struct comet_client_keeper **keeper); /* as comet_client_close */
/* The next push or event, as comet_client_next, and two events more. A call that opens a connection takes up to timeout_ms longer. -ETIMEDOUT:
 * none came in wait_ms; -ECONNABORTED: the server refused us for good, comet_client_keeper_last_words has why; -EINVAL: a string is not UTF-8.
 * The last two come again with each call. */
int comet_client_keeper_next(struct comet_client_keeper *keeper, int wait_ms, struct comet_client_message *out);
/* For poll(), which skips -1: there is no connection. Once it is readable, and each second, call comet_client_keeper_next with wait_ms 0 until
 * -ETIMEDOUT. The descriptor is another one after each of these calls. */
int comet_client_keeper_fd(const struct comet_client_keeper *keeper);
/* The connection of now, to send on; NULL: there is none. It is the keeper's, until comet_client_keeper_next. */
struct comet_client *comet_client_keeper_client(const struct comet_client_keeper *keeper);
void comet_client_keeper_last_words(const struct comet_client_keeper *keeper, struct comet_client_goodbye *out);

/* May the same client come back after this goodbye? Not if it was kicked, replaced or refused, or wants a new token. */
int comet_client_may_return(const struct comet_client_goodbye *goodbye);
/* How long to wait before attempt n, from 1: a random time of at most 3 s for the first, 1.8 times as much for each further one, and 5 min. */
int comet_client_delay_ms(unsigned attempt);

#ifdef __cplusplus
}
#endif

#endif
