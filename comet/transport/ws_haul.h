/* ws_haul: a haul as the frames of a WebSocket: each answer in one of its own, the messages together, in as few as hold them, but
 * for those that go deflated, each of which has a frame of its own and is shared by all who get it so.
 * Nothing is copied but headers, and answers in JSON. Knows no socket. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_HAUL_H
#define COMET_TRANSPORT_WS_HAUL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "comet/transport/haul.h"
#include "comet/transport/ws_frame.h"

/* A frame of several messages does not grow beyond this. */
#define WS_HAUL_FRAME_BYTES 65536

/* A frame as it is laid out. */
struct ws_laid {
	size_t bytes;
	uint8_t messages; /* in it; 0: it is an answer */
	uint8_t head[WS_HEAD_OUT_BYTES + WS_STORED_HEAD_BYTES + PACKET_HEAD_BYTES + 1];
};

/* The pieces laid out for stream_write. The arrays are the caller's, who knows how many items there are; a stack shall be as
 * small as they allow. */
struct ws_layout {
	struct iovec *iov;      /* WS_LAID_PIECES for each */
	unsigned *ends;         /* one for each, and one more */
	struct ws_laid *frames; /* one for each */
	unsigned n, n_ends, n_frames;
	size_t window_bytes; /* set by the caller: of a client that takes messages deflated; 0: of one that does not */
	uint8_t *text;       /* the answers as JSON */
};
#define WS_LAID_PIECES 4

/* Lay out. begun: how many messages there are in the frame that h->skip_bytes belong to, as ws_haul_account said it. 0, or
 * -ENOMEM; ws_haul_account is due either way. */
int ws_haul_lay(struct ws_layout *l, const struct haul *h, enum dialect dialect, bool is_text, unsigned begun);

/* `written` bytes of it are written, h->skip_bytes included: set the haul's *_done and begun_bytes. A message is done when its
 * frame is, for a client has nothing of a frame that is not whole. Returns how many messages there are in the frame that was
 * begun: that number stands in its header, so it is to be kept until the next haul. Frees what the layout has. */
unsigned ws_haul_account(struct ws_layout *l, struct haul *h, size_t written);

#endif
