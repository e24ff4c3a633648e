/* interrupt: SIGINT and SIGTERM as a descriptor, so that every wait can end by them. SPDX-License-Identifier: MIT */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

/* Before the first thread. *fd is the caller's to close. 0 or -errno. */
int interrupt_open(int *fd);

#endif
