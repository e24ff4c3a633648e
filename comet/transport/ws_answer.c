/* ws_answer: see ws_answer.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_answer.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>

#include "comet/transport/transport.h"
#include "common/base/counters.h"
#include "common/base/log.h"
#include "common/base/peer.h"

/* RFC 6455, section 1.3. */
static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static const struct {
	int status;
	const char *phrase, *words;
} faults[WS_FAULTS] = {
#define fault(NAME, status, phrase, words) [WS_FAULT_##NAME] = {(status), (phrase), (words)},
#include "comet/transport/ws_fault.def"
#undef fault
};

static const struct {
	int status;
	const char *header;
} statuses[] = {
	{400, ""},
	{403, ""},
	{404, ""},
	{405, "Allow: GET\r\n"},
	{426, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
	{431, ""},
	{503, "Retry-After: 5\r\n"},
};
#define N_STATUSES (sizeof(statuses) / sizeof(statuses[0]))

static const char *const labels[N_STATUSES] = {"400", "403", "404", "405", "426", "431", "503"};
COUNTER_LABELS(WEBSOCKET_REFUSED, labels, N_STATUSES);

/* Counts it, too. */
static const char *header_of(int status)
{
	unsigned i = 0;

	while (i + 1 < N_STATUSES && statuses[i].status != status)
		i++;
	count_by(COUNT_WEBSOCKET_REFUSED, i);
	return statuses[i].header;
}

/* Neither end keeps state from one message to the next. Of the windows only ours is spoken of, and where the client asks: it is then
 * no larger than what it asks for. */
static size_t put_extension(char *out, size_t space, const struct ws_offer *offer)
{
	char window[32] = "";

	if (offer->server_bits > 0)
		(void)snprintf(window, sizeof(window), "; server_max_window_bits=%u", offer->server_bits);
	return (size_t)snprintf(out, space,
				"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
				"client_no_context_takeover%s",
				window);
}

/* Put together without printf, but for an extension, since each connect needs one. */
size_t ws_answer_welcome(char out[WS_ANSWER_BYTES], const char key[WS_KEY_BYTES], const struct ws_offer *offer)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				   "Sec-WebSocket-Accept: ";
	static const char end[] = "\r\n\r\n";
	unsigned char text[WS_KEY_BYTES + sizeof(guid) - 1], hash[20];
	size_t n = sizeof(head) - 1;

	memcpy(text, key, WS_KEY_BYTES);
	memcpy(text + WS_KEY_BYTES, guid, sizeof(guid) - 1);
	(void)lws_SHA1(text, sizeof(text), hash);
	memcpy(out, head, n);
	n += (size_t)lws_b64_encode_string((char *)hash, sizeof(hash), out + n, WS_ANSWER_BYTES - (int)n);
	if (offer->taken)
		n += put_extension(out + n, WS_ANSWER_BYTES - n, offer);
	memcpy(out + n, end, sizeof(end));
	return n + sizeof(end) - 1;
}

size_t ws_answer_refuse(char out[WS_ANSWER_BYTES], enum ws_fault fault, bool head)
{
	return (size_t)snprintf(out, WS_ANSWER_BYTES,
				"HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s"
				"Connection: close\r\n\r\n%s%s",
				faults[fault].status, faults[fault].phrase, strlen(faults[fault].words) + 1,
				header_of(faults[fault].status), head ? "" : faults[fault].words, head ? "" : "\n");
}

void ws_answer_log(const struct ws_request *r, const char *text, enum ws_fault fault, const struct sockaddr *peer)
{
	static struct log_limit limit = LOG_LIMIT(1);
	char from[TRANSPORT_PEER_BYTES], origin[256];

	if (ws_request_is_probe(r))
		return;
	peer_text(peer, true, from, sizeof(from));
	(void)snprintf(origin, sizeof(origin), "%.*s", (int)r->origin_bytes, text + r->origin);
	if (fault == WS_FAULT_ORIGIN)
		LOG_LIMITED(LOG_WARN, &limit, log_str("peer", from), log_what(EVENT_WEBSOCKET_ORIGIN_REFUSED),
			    log_str("origin", origin));
	else
		LOG_LIMITED(LOG_WARN, &limit, log_str("peer", from), log_what(EVENT_WEBSOCKET_REFUSED),
			    log_i64("status", faults[fault].status), log_str("words", faults[fault].words));
}

size_t ws_answer_full(char *out, size_t space, const char *goodbye, size_t goodbye_bytes)
{
	int n = snprintf(out, space,
			 "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
			 "%sConnection: close\r\n\r\n%.*s",
			 goodbye_bytes, header_of(503), (int)goodbye_bytes, goodbye);

	return (size_t)n < space ? (size_t)n : space - 1;
}

const char *ws_answer_words(enum ws_fault fault)
{
	return faults[fault].words;
}

int ws_answer_status(enum ws_fault fault)
{
	return faults[fault].status;
}
