/* signals: all wait for main's sigwait, and the second SIGTERM or SIGINT ends the
 * process at once. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_SIGNALS_H
#define COMMON_BASE_SIGNALS_H

#include <stdbool.h>

/* Before the first thread: threads inherit the mask. SIGPIPE is ignored, faults of the program stay as they are. */
void signals_block(void);
/* Until SIGTERM or SIGINT comes, logged; SIGHUP calls reload(arg) meanwhile. */
void signals_wait(void (*reload)(void *arg), void *arg);
/* Has a SIGTERM or SIGINT come that signals_wait has not taken yet? For code that waits before that. Any thread. */
bool signals_ask_to_stop(void);
/* Make signals_wait return, as SIGTERM would; where the process stops already, nothing happens. Any thread. */
void signals_send_stop(void);
/* Make signals_wait reload, as SIGHUP would. The same. */
void signals_send_reload(void);
/* From now on a SIGTERM or SIGINT of somebody else does not wait for anything. */
void signals_arm_second(void);

#endif
