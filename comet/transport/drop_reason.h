/* drop_reason: why a message did not reach a connection. SPDX-License-Identifier: MIT */
#ifndef COMET_TRANSPORT_DROP_REASON_H
#define COMET_TRANSPORT_DROP_REASON_H

/* Labels of comet_dropped_total; connection.c names them. */
enum drop_reason { DROP_QUEUE_FULL, DROP_CLOSED, DROP_GONE, DROP_NO_MEMORY, DROP_MAX };

#endif
