/* ws_ping: see ws_ping.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_ping.h"

#include <errno.h>
#include <poll.h>

#include "comet/transport/ws_frame.h"
#include "common/base/clock.h"
#include "common/base/counters.h"

void ws_ping_heard(struct ws_ping *p)
{
	if (p->times->every_ns > 0)
		atomic_store(&p->heard_ns, clock_now_ns());
}

/* Up to a fifth earlier, or those that came at one time, after a restart say, would be pinged at one time for ever. The
 * nanosecond that somebody was heard at is as random as this needs it. */
static int64_t spread_ns(int64_t heard_ns, int64_t every_ns)
{
	uint64_t mixed = (uint64_t)heard_ns * UINT64_C(0x9e3779b97f4a7c15) >> 54;

	return every_ns / 5 * (int64_t)mixed / 1024;
}

int64_t ws_ping_due_ns(const struct ws_ping *p)
{
	int64_t heard = atomic_load(&p->heard_ns), pinged = atomic_load(&p->pinged_ns);

	if (heard == 0)
		return INT64_MAX;
	if (pinged > heard) /* once it has answered, the next ping may be due before the answer would have been */
		return pinged + (p->times->pong_ns < p->times->every_ns ? p->times->pong_ns : p->times->every_ns);
	return heard + p->times->every_ns - spread_ns(heard, p->times->every_ns);
}

/* With space in the socket so few bytes go at once. A reader that is busy, or made to wait, leaves what has come in the socket. */
int ws_ping_send(struct ws_ping *p, struct stream *s)
{
	const unsigned end = 1;
	uint8_t frame[WS_HEAD_OUT_BYTES];
	struct iovec iov = {frame, ws_head_put(frame, WS_PING, 0)};
	int64_t now = clock_now_ns(), pinged = atomic_load(&p->pinged_ns);
	size_t written = 0;

	if (stream_poll(s, POLLIN | POLLOUT) != POLLOUT)
		return -EAGAIN;
	if (pinged > atomic_load(&p->heard_ns))
		return now < pinged + p->times->pong_ns ? -EAGAIN : -ETIMEDOUT;
	if (stream_write(s, &iov, &end, 1, TRANSPORT_NOW, &written) < 0)
		return -EPIPE;
	atomic_store(&p->pinged_ns, now);
	count(COUNT_WEBSOCKET_PINGS);
	return 0;
}
