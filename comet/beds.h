/* beds: the condition variables of one channel. A channel whose connection is parked mostly has none: nobody sleeps there.
 * SPDX-License-Identifier: MIT */
#ifndef COMET_BEDS_H
#define COMET_BEDS_H

#include <pthread.h>

struct beds {
	pthread_cond_t wake;  /* the dispatcher sleeps here ... */
	pthread_cond_t space; /* ... the reader here while the ring is full, and pushers while the queue is */
};

/* 0 also if *beds is there already; -ENOMEM. */
int beds_new(struct beds **beds);
/* Nobody sleeps there; NULL is ignored. */
void beds_free(struct beds **beds);

#endif
