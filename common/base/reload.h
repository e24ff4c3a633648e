/* reload: the files that a program reads again at SIGHUP, all or none: new keys beside old certificates, because one file
 * of the two was wrong, are settings that nobody wanted. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_RELOAD_H
#define COMMON_BASE_RELOAD_H

#include <stdbool.h>
#include <stddef.h>

/* One thing that can be read again. Its owner makes the part. */
struct reload_part {
	const char *what;        /* in the log */
	int (*read)(void *self); /* keep what is read beside what is in use. 0; negative: logged, nothing kept */
	void (*settle)(void *self, bool use); /* after a read that went well: use that from now on, or forget it */
	void *self;                           /* NULL: there is nothing of this kind */
};

/* Read all of them, also after one that failed, so that every fault is told; then use them, if none has failed. One thread at a
 * time. Logs what came of it, and counts a failure. How many parts there were, or the error of the first that failed. */
int reload_all(const struct reload_part *parts, size_t n);

#endif
