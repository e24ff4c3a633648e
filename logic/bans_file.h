/* bans_file: bans of a comet alone, in a file. It is written as a whole at each change, beside the old one, and takes its name when it
 * is on the disk: there is always a whole one. SPDX-License-Identifier: MIT */
#ifndef LOGIC_BANS_FILE_H
#define LOGIC_BANS_FILE_H

#include "common/config/config.h"
#include "common/wire/bans.h"
#include "logic/ban_keeper.h"

struct bans_file;

/* Read the file of auth.bans_file, or bans in $STATE_DIRECTORY, into `bans`, which outlives it; without either they are in memory
 * alone, which is logged at the first. A file that is not there is an empty one. One that cannot be written is logged.
 * 0; -ERR_CONFIG: it is damaged, or cannot be read (logged, with the line); -ENOMEM. */
int bans_file_new(const struct config *cfg, struct bans *bans, struct bans_file **out);
/* For -t: would it read the file? Nothing is written. Its errors. */
int bans_file_try(const struct config *cfg);
void bans_file_free(struct bans_file **f);

struct ban_keeper bans_file_keeper(struct bans_file *f);

#endif
