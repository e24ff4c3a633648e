/* close_reason: see close_reason.h. Any thread. SPDX-License-Identifier: MIT */
#include "comet/close_reason.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/wire/goodbye.h"

enum kind { is_normal, is_error };

static const struct {
	const char *name;
	enum goodbye_code code;
	int ws;
	enum kind kind;
	const char *words;
} table[CLOSE_MAX] = {
	[CLOSE_NONE] = {"none", GOODBYE_UNSAID, 1000, is_normal, "open"},
#define reason(NAME, name, code, ws, kind, words) [CLOSE_##NAME] = {name, code, ws, kind, words},
#include "comet/close_reason.def"
#undef reason
};

static const char *const labels[CLOSE_MAX] = {
#define reason(NAME, name, code, ws, kind, words) [CLOSE_##NAME] = (name),
#include "comet/close_reason.def"
#undef reason
};

COUNTER_LABELS(CLOSED, labels, CLOSE_MAX);
COUNTER_LABELS(REFUSED, labels, CLOSE_MAX);

const char *close_reason_name(enum close_reason why)
{
	return table[why].name;
}

int close_reason_code(enum close_reason why)
{
	return table[why].code;
}

int close_reason_ws_code(enum close_reason why)
{
	return table[why].ws;
}

bool close_reason_is_error(enum close_reason why)
{
	return table[why].kind == is_error;
}

bool close_reason_has_words(enum close_reason why)
{
	return why == CLOSE_AUTH_REFUSED || why == CLOSE_NO_LOGIC || why == CLOSE_BANNED || why == CLOSE_PER_USER;
}

enum close_reason close_reason_of_read(int rc)
{
	switch (-rc) {
	case ERR_EOF:
		return CLOSE_CLIENT_LEFT;
	case ERR_CUT:
	case ECONNRESET:
	case EPIPE:     /* over TLS, where a write was the first to meet it */
	case ETIMEDOUT: /* keepalive found the peer gone */
	case EHOSTUNREACH:
	case ENETUNREACH:
		return CLOSE_CLIENT_CUT;
	case ETIME:
		return CLOSE_WRITE_TIMEOUT;
	case ERR_PACKET_LENGTH:
		return CLOSE_PACKET_LENGTH;
	case ERR_PACKET_BODY:
		return CLOSE_PACKET_BODY;
	case ERR_TOKEN:
		return CLOSE_AUTH_REFUSED;
	case ERR_PACKET_HEADER:
		return CLOSE_PACKET_HEADER;
	case ERR_PACKET_OP:
		return CLOSE_PACKET_OP;
	case ERR_PACKET_JSON:
		return CLOSE_PACKET_JSON;
	case ERR_FRAME:
		return CLOSE_WEBSOCKET_FRAME;
	case ERR_UPGRADE:
		return CLOSE_WEBSOCKET_UPGRADE;
	case ERR_ORIGIN:
		return CLOSE_WEBSOCKET_ORIGIN;
	case ERR_TLS:
		return CLOSE_TLS_FAILED;
	case ERR_CERTIFICATE:
		return CLOSE_CERTIFICATE;
	case EBADMSG:
		return CLOSE_BAD_ROOM;
	case ENOMEM:
		return CLOSE_NO_MEMORY;
	default:
		return CLOSE_READ_FAILED;
	}
}

enum close_reason close_reason_of_write(int rc)
{
	switch (-rc) {
	case ETIMEDOUT:
		return CLOSE_WRITE_TIMEOUT;
	case ENOMEM:
	case ENOBUFS:
		return CLOSE_NO_MEMORY;
	default:
		return CLOSE_WRITE_FAILED;
	}
}

enum close_reason close_reason_of_connect(int rc)
{
	switch (-rc) {
	case ERR_REFUSED:
		return CLOSE_AUTH_REFUSED;
	case ERR_BANNED:
		return CLOSE_BANNED;
	case ERR_PER_USER:
		return CLOSE_PER_USER;
	case ENOMEM:
		return CLOSE_NO_MEMORY;
	default:
		return CLOSE_NO_LOGIC;
	}
}

/* Copy as the inside of a JSON string. Words come from our table or from logic, which may send anything. */
static size_t escape(const char *in, char *out, size_t out_bytes)
{
	size_t n = 0, whole = 0;

	for (; *in != '\0'; in++) {
		unsigned char ch = (unsigned char)*in;
		size_t need = ch < 0x20 ? 6 : ch == '"' || ch == '\\' ? 2 : 1;

		/* Where a character begins, all before it is whole: a cut never leaves half a UTF-8 sequence or escape. */
		if ((ch & 0xc0) != 0x80)
			whole = n;
		if (n + need >= out_bytes) {
			n = whole;
			break;
		}
		if (need == 6)
			(void)snprintf(out + n, out_bytes - n, "\\u%04x", ch);
		else if (need == 2) {
			out[n] = '\\';
			out[n + 1] = (char)ch;
		} else
			out[n] = (char)ch;
		n += need;
	}
	out[n] = '\0';
	return n;
}

size_t close_reason_body(enum close_reason why, const char *detail, char *text, size_t text_bytes)
{
	char words[200];
	int n;

	(void)escape(detail != NULL && detail[0] != '\0' ? detail : table[why].words, words, sizeof(words));
	n = snprintf(text, text_bytes, "{\"code\":%d,\"reason\":\"%s\"}", table[why].code, words);
	return n < 0 ? 0 : (size_t)n < text_bytes ? (size_t)n : text_bytes - 1;
}
