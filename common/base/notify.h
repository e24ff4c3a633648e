/* notify: tells systemd how the program is doing, where it was started as a service of Type=notify: a datagram to the socket that
 * NOTIFY_SOCKET names (sd_notify(3)). Elsewhere nothing happens. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_NOTIFY_H
#define COMMON_BASE_NOTIFY_H

#include <stdint.h>

/* From the environment, before other threads. What cannot be reached is as if it were not there. */
void notify_start(void);
void notify_stop(void);

/* Each: any thread; never waits. The words are for `systemctl status`. */
void notify_status(const char *words);
void notify_ready(const char *words);
void notify_reloading(void);
/* The program stops, and may take so long until the next word. */
void notify_stopping(const char *words, int64_t takes_ms);

/* How often systemd wants to hear notify_alive, which is half of WATCHDOG_USEC; 0: never. */
int64_t notify_alive_every_ms(void);
void notify_alive(void);

#endif
