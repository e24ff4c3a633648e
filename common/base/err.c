/* err: see err.h. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/err.h"

#include <string.h>

const char *err_text(int rc)
{
	int code = rc < 0 ? -rc : rc;

	switch (code) {
	case 0:
		return "success";
	case ERR_EOF:
		return "the peer closed the connection";
	case ERR_CUT:
		return "the peer closed the connection inside a packet";
	case ERR_PACKET_LENGTH:
		return "wrong package length";
	case ERR_PACKET_BODY:
		return "packet body too long";
	case ERR_TOKEN:
		return "token too long";
	case ERR_PACKET_HEADER:
		return "wrong header length";
	case ERR_PACKET_OP:
		return "operation not allowed here";
	case ERR_PACKET_JSON:
		return "not a JSON packet";
	case ERR_FRAME:
		return "wrong WebSocket frame";
	case ERR_UPGRADE:
		return "no WebSocket handshake";
	case ERR_ORIGIN:
		return "WebSocket from a page that is not let in";
	case ERR_TLS:
		return "TLS failed";
	case ERR_CERTIFICATE:
		return "no certificate that is believed";
	case ERR_REFUSED:
		return "refused by logic";
	case ERR_NO_LOGIC:
		return "no logic service answered";
	case ERR_NO_REDIS:
		return "Redis cannot be used";
	case ERR_NO_MASTER:
		return "no Sentinel names a master";
	case ERR_NAMESAKE:
		return "another program has this name";
	case ERR_BANNED:
		return "kept out by a ban";
	case ERR_PER_USER:
		return "too many connections of this user";
	case ERR_NAME:
		return "the name does not resolve";
	case ERR_SCHEMA:
		return "the data in Redis have another layout";
	case ERR_CONFIG:
		return "configuration error";
	default: {
		/* strerror_r's GNU form never fails and keeps to the thread's buffer. */
		static __thread char text[32]; /* "Unknown error 4095": known ones are static */
		return strerror_r(code, text, sizeof(text));
	}
	}
}
