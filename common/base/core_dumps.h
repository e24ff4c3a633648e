/* core_dumps: what a crash leaves. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_CORE_DUMPS_H
#define COMMON_BASE_CORE_DUMPS_H

/* From now on a crash of this process leaves no core file, which would hold tokens, keys and messages. A program that the kernel
 * hands cores to sees the limit, and systemd-coredump goes by it. */
void core_dumps_forbid(void);

#endif
