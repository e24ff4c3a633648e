/* tls_memory: did OpenSSL lack memory? SPDX-License-Identifier: MIT */
#ifndef COMMON_TLS_TLS_MEMORY_H
#define COMMON_TLS_TLS_MEMORY_H

#include <stdbool.h>

/* Of a call that failed on this thread, which had no error before: was it for want of memory, OpenSSL's or the system's? */
bool tls_lacked_memory(void);

#endif
