/* ws_answer: the answers to the request of a WebSocket. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_ANSWER_H
#define COMET_TRANSPORT_WS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "comet/transport/ws_request.h"

struct sockaddr;

/* Space for each of these, and for the goodbye that the last one holds. */
#define WS_ANSWER_BYTES  512
#define WS_GOODBYE_BYTES 1024

/* 101, for this Sec-WebSocket-Key, and for this offer if it was taken. How many bytes. */
size_t ws_answer_welcome(char out[WS_ANSWER_BYTES], const char key[WS_KEY_BYTES], const struct ws_offer *offer);

/* The fault's status, with its words as a line of text, which are left out of the answer to a HEAD. Counts it. How many bytes. */
size_t ws_answer_refuse(char out[WS_ANSWER_BYTES], enum ws_fault fault, bool head);

/* Have the log say so of the request in `text`, which came from peer; a probe (ws_request_is_probe) is not worth a line. */
void ws_answer_log(const struct ws_request *r, const char *text, enum ws_fault fault, const struct sockaddr *peer);

/* 503 with a goodbye in JSON (goodbye.h), to a client for which there is no place. Counts it. Returns how many bytes. */
size_t ws_answer_full(char *out, size_t space, const char *goodbye, size_t goodbye_bytes);

const char *ws_answer_words(enum ws_fault fault);
int ws_answer_status(enum ws_fault fault);

#endif
