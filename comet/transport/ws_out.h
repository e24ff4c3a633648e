/* ws_out: hauls on their way out over a WebSocket, a frame that went in part included. The baton's holder's.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_WS_OUT_H
#define COMET_TRANSPORT_WS_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "comet/transport/haul.h"
#include "comet/transport/stream.h"
#include "comet/transport/transport.h"

/* All zero at first. */
struct ws_out {
	size_t window_bytes; /* as ws_haul has it; set by the reader while it holds the baton */
	bool torn;           /* the last write stopped in a frame, or was not taken in time: only the rest may come */
	unsigned begun;      /* messages in the frame that was begun */
};

/* As the transport's write. -EPIPE: only the rest of a frame may come, and this is none. */
int ws_out_write(struct ws_out *o, struct stream *s, struct haul *h, enum dialect dialect, bool is_text,
		 enum transport_wait wait);

#endif
