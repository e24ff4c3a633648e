/* until: wait for a condition, with a deadline, in tests. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_UNTIL_H
#define TESTS_UNIT_UNTIL_H

#include <stdbool.h>
#include <time.h>

#define UNTIL_SECONDS 20

/* The seams may have stopped the clock of the house; this one goes on. */
static inline bool until_is_late(const struct timespec *start)
{
	const struct timespec moment = {.tv_nsec = 200000};
	struct timespec now;

	(void)nanosleep(&moment, NULL);
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec > UNTIL_SECONDS;
}

/* Go on as soon as x holds; the test fails if it does not in time. */
#define until(x)                                                                                                       \
	do {                                                                                                           \
		struct timespec until_start_;                                                                          \
		(void)clock_gettime(CLOCK_MONOTONIC, &until_start_);                                                   \
		while (!(x))                                                                                           \
			if (until_is_late(&until_start_))                                                              \
				fail_msg("not within %d s: %s", UNTIL_SECONDS, #x);                                    \
	} while (0)

#endif
