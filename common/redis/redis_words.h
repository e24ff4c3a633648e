/* redis_words: a command of Redis's, of its words. redisFormatCommandArgv does the same with a printf for each, which is a tenth of what a
 * push costs comet-logic. SPDX-License-Identifier: MIT */
#ifndef COMMON_REDIS_REDIS_WORDS_H
#define COMMON_REDIS_REDIS_WORDS_H

#include <stddef.h>

/* `bytes` of each, or NULL: they are strings. The command's bytes, and the command, with a 0 behind it, which redisFreeCommand frees;
 * or -ENOMEM. */
int redis_words(int n, const char *const *words, const size_t *bytes, char **command);

#endif
