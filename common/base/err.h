/* err: our own codes beside errno. Functions return 0 or a negative code, -errno or one of these.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

/* Above every errno of Linux (4095 is the highest the kernel reserves). */
enum err {
	ERR_EOF = 5000,    /* the peer ended the stream at a packet boundary */
	ERR_CUT,           /* the peer ended the stream inside a packet */
	ERR_PACKET_LENGTH, /* package length below 16, negative, or not the message's */
	ERR_PACKET_BODY,   /* body longer than protocol.max_body */
	ERR_TOKEN,         /* body of an AUTH longer than a token may be */
	ERR_PACKET_HEADER, /* header length other than 16 */
	ERR_PACKET_OP,     /* an operation that this dialect closes for */
	ERR_PACKET_JSON,   /* a text message that is no packet of the v1 JSON dialect */
	ERR_FRAME,         /* a frame or message that WebSocket forbids */
	ERR_UPGRADE,       /* no WebSocket handshake */
	ERR_ORIGIN,        /* a WebSocket handshake of a page that is not let in */
	ERR_TLS,           /* the TLS handshake or a TLS record is broken */
	ERR_CERTIFICATE,   /* the peer shows no TLS certificate that is believed */
	ERR_REFUSED,       /* logic said no */
	ERR_NO_LOGIC,      /* no logic instance answered */
	ERR_NO_REDIS,      /* Redis does not answer, or takes nothing from this program; it has been logged */
	ERR_NO_MASTER,     /* no Sentinel names a master of Redis; why not has been logged */
	ERR_NAMESAKE,      /* another program has this name; it has been logged */
	ERR_BANNED,        /* its user, key or network is kept out */
	ERR_PER_USER,      /* its user has as many connections as limits.per_user allows */
	ERR_NAME,          /* a host's name does not resolve */
	ERR_SCHEMA,        /* the data in Redis have a layout of other programs; it has been logged */
	ERR_CONFIG,        /* a setting is wrong; the message has been printed */
};

/* Words for a code, negative or not; a static string, or one in a buffer of this thread's. */
const char *err_text(int rc);

#endif
