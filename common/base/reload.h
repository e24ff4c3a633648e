/* reload: what a program reads again at SIGHUP, or when a call asks for it, all or none: new keys beside old certificates, because one
 * file of the two was wrong, are settings that nobody wanted. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_RELOAD_H
#define COMMON_BASE_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* ---- what came of it ---- */

enum reload_note {
	RELOAD_READ,    /* parts that are in use now, */
	RELOAD_FAILED,  /* and that have a fault; */
	RELOAD_CHANGED, /* settings that have another value now: name=value; */
	RELOAD_RESTART, /* that would have another one after a restart; */
	RELOAD_FAULTS,  /* words about those that are wrong */
	RELOAD_NOTES
};

/* Lists, each of lines that end with a line feed. What finds no space is left out. */
struct reload_told {
	int rc; /* of reload_all */
	char notes[RELOAD_NOTES][4096];
};

/* One more line. For parts, while they read and settle. */
void reload_note(enum reload_note which, const char *line);

/* Have main do it, as if SIGHUP had come, and wait for what comes of it. Any thread. False: that took longer than timeout_ms, or main
 * stops. */
bool reload_ask(int64_t timeout_ms, struct reload_told *told);
/* Main stops: whoever asks, or waits, is told so at once. */
void reload_close(void);

#endif
