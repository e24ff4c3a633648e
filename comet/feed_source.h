/* feed_source: feeds whose streams are Redis's: read there when the first client joins, held up to date by the pushes that come, and
 * read again where one is missing or a client knows more. For comet/feed*.c only. SPDX-License-Identifier: MIT */
#ifndef COMET_FEED_SOURCE_H
#define COMET_FEED_SOURCE_H

#include "comet/feed_table.h"

static inline bool feed_source_is(const struct feeds *s)
{
	return s->logic != NULL && s->logic->resume != NULL;
}

/* As feed_hold, whose `feed` are NULL. */
void feed_source_hold(struct feeds *s, struct feed_asked *asked, size_t n, int64_t deadline_ns) WITHOUT(s->lock);
/* As feed_lead. */
int feed_source_lead(struct feeds *s, const char *room, uint64_t at, struct feed **out) WITHOUT(s->lock);
/* One who held it is gone: the last one frees it. */
void feed_source_release(struct feeds *s, struct feed *f) NEEDS(s->lock);
/* It was a gap by what is here. 1: it was read again, decide once more; 0: that would not help; -ERR_NO_LOGIC, -ENOMEM. */
int feed_source_look_again(struct feeds *s, struct feed *f, uint64_t since, enum feed_gap cause, int64_t deadline_ns)
	WITHOUT(s->lock);
/* Read what is above its number. 0; -ERR_NO_LOGIC, -ENOMEM. */
int feed_source_catch_up(struct feeds *s, struct feed *f, int64_t deadline_ns) WITHOUT(s->lock);
/* As feed_append. */
int feed_source_pass(struct feeds *s, const char *name, struct message *m, const struct feed_reach *reach)
	WITHOUT(s->lock);
/* After -ESTALE of feed_append, one thread, without a lock: hand out (`each`, in order) what is missing before the push to a room with
 * this number, or a notice; none of them where nothing is by now. 0; -EAGAIN: it cannot be read now, try again; the errors of `each`. */
int feed_source_fill(struct feeds *s, const char *room, uint64_t number, int (*each)(void *arg, struct message *m),
		     void *arg);
/* The stream goes on after this number. As feed_jump. */
int feed_source_jump(struct feeds *s, const char *name, uint64_t at, const struct feed_reach *reach) WITHOUT(s->lock);
/* In a cluster, for a thread that may wait: the numbers of feeds that are held live on in Redis. */
void feed_source_stay(struct feeds *s);
/* The feed has acks that Redis does not know. */
void feed_source_note_acks(struct feeds *s, struct feed *f) NEEDS(s->lock);
/* Tell Redis of all those, or of those of a feed that is held, for a thread that may wait. What cannot be told now is told the next time, and so
 * is a feed's where many wait for that already. */
void feed_source_tell(struct feeds *s) WITHOUT(s->lock);
void feed_source_tell_of(struct feeds *s, struct feed *f, int64_t deadline_ns) WITHOUT(s->lock);
/* At the end: nobody is told any more, and what is held for that is released. */
void feed_source_forget_acks(struct feeds *s) NEEDS(s->lock);

#endif
