/* ws_deflate: the two halves of permessage-deflate (RFC 7692), by zlib. Messages share no state: each is deflated once for all
 * who take it, and no connection has a stream of zlib's. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_DEFLATE_H
#define COMET_TRANSPORT_WS_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/lock.h"
#include "common/wire/message.h"

/* A message whose body is shorter goes as it is: what deflating saves there is less than the headers of TCP around it. */
#define WS_DEFLATE_MIN_BYTES 256

/* All is deflated with a window of 4 KiB. One of 32 KiB saved nothing on JSON of 1 KB to 1 MB, and to make a stream with it costs
 * 50 us, where 1 KB itself costs 8; with this one it costs less than one, so that none has to be kept. */
#define WS_DEFLATE_BITS 12

/* Inflate the message in[0..n), whole, to at most `most` bytes; there is space for one more.
 *   0                     *bytes is set
 *   WS_CODE_BAD_DATA      it is not deflated, or not to its end
 *   WS_CODE_TOO_BIG       there would be more than `most`
 *   -ENOMEM */
int ws_inflate(const uint8_t *in, size_t n, uint8_t *out, uint32_t most, uint32_t *bytes);

/* The pushed message as the payload of one frame, made once a dialect and kept in it: what such a client would get with it as the
 * only message of a frame, deflated. NULL: it goes as it is, since it is short, or not shorter deflated, or longer than the
 * client's window, which is narrower than ours; all that as long as one stored block holds it; or for want of memory; then that is so whenever it is asked for again. Any thread; takes m->lock, and holds it
 * while it deflates. */
const struct message_form *ws_deflated(struct message *m, enum dialect dialect, size_t window_bytes) WITHOUT(m->lock);

#endif
