/* secret: a password or key that stands in a file, which SIGHUP reads again. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_SECRET_H
#define COMMON_BASE_SECRET_H

#include <stdbool.h>

#include "common/base/lock.h"
#include "common/base/reload.h"

#define SECRET_BYTES 513 /* of the longest with its zero byte */

struct secret {
	/* set once */
	const char *setting; /* that names the file */
	const char *file;    /* "": there is none */
	/* the reloading thread's */
	char next[SECRET_BYTES];
	/* under lock */
	struct lock lock;
	char text[SECRET_BYTES];
};

/* Without a file until secret_start. */
#define SECRET_STATIC(name)                                                                                            \
	{                                                                                                              \
		.setting = (name), .file = "", .lock = LOCK_STATIC(LOCK_POOL)                                          \
	}

/* Read the file, the secret's first and only line; it outlives the secret. Before other threads know of the secret.
 * 0; -errno, -ERR_CONFIG: logged, and the secret is as it was */
int secret_start(struct secret *s, const char *file);
/* False: it has no file. Any thread. */
bool secret_copy(struct secret *s, char text[SECRET_BYTES]) WITHOUT(s->lock);
/* To read the file again. */
struct reload_part secret_reload(struct secret *s);

#endif
