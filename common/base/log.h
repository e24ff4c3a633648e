/* log: one event a line for the person on call, as text or JSON, on stderr.
 *
 *   log_write(LOG_WARN, (struct log_field[]){log_id("conn", id), log_what(EVENT_CONNECTION_CLOSED),
 *                                            log_str("reason", why), LOG_END});
 *   2026-01-09T10:22:31.480Z warn conn=81f2 the connection is closed event=connection_closed reason=slow_consumer
 *
 * The LOG() macro writes the braces. Values from outside are quoted and escaped where they need it, so that no peer can
 * forge a line. Bodies and tokens never appear. Never call it while holding a lock other than none: it writes to a file
 * descriptor. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/events.h"
#include "common/base/lock.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_field {
	enum { FIELD_END, FIELD_NONE, FIELD_WHAT, FIELD_STR, FIELD_I64, FIELD_ID } kind;
	const char *name;
	const char *str;
	int64_t i64;
};

#define LOG_END  ((struct log_field){FIELD_END, 0, 0, 0})
#define LOG_NONE ((struct log_field){FIELD_NONE, 0, 0, 0})

/* The event: its sentence, then event=name; keys "event" and "message" in JSON. */
static inline struct log_field log_what(enum event event)
{
	return (struct log_field){FIELD_WHAT, 0, 0, event};
}
/* A string from anywhere; NULL is written as "-". */
static inline struct log_field log_str(const char *name, const char *value)
{
	return (struct log_field){FIELD_STR, name, value, 0};
}
/* Nothing at all where the value is NULL. */
static inline struct log_field log_str_if(const char *name, const char *value)
{
	return (struct log_field){value != NULL ? FIELD_STR : FIELD_NONE, name, value, 0};
}
static inline struct log_field log_i64(const char *name, int64_t value)
{
	return (struct log_field){FIELD_I64, name, 0, value};
}
/* An identifier, written in hex. */
static inline struct log_field log_id(const char *name, uint64_t value)
{
	return (struct log_field){FIELD_ID, name, 0, (int64_t)value};
}

/* Before threads start; later calls (reload) are safe too. It looks at the kind of file behind stderr: call it again after a
 * redirection. */
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
/* Are its lines JSON? Then all that the program prints is. */
bool log_is_json(void);

/* Write one line with a single write(2). A line longer than 1,500 bytes is cut and ends in "..."; in JSON it stays whole
 * JSON and ends in "cut":true. A full or closed descriptor loses the line and counts it (LOG_LINES_LOST); a pipe, socket
 * or terminal that nobody empties never blocks the program's work. SIGPIPE is the program's to ignore. */
void log_write(enum log_level level, const struct log_field *fields);

/* The same with the word trace for a level, whatever the level is. `fd`: LOG_OWN_FD, where the log goes; or a descriptor
 * opened with O_NONBLOCK that is no socket. */
#define LOG_OWN_FD (-1)
void log_trace(int fd, const struct log_field *fields);

#define LOG(level, ...)                                                                                                \
	do {                                                                                                           \
		if (log_enabled(level))                                                                                \
			log_write(level, (const struct log_field[]){__VA_ARGS__, LOG_END});                            \
	} while (0)

/* At most `per_second` lines a second from one place; the next line that gets through says how many were left out
 * (`left_out=812`). Static storage: `static struct log_limit limit = LOG_LIMIT(5);` */
struct log_limit {
	struct lock lock;
	unsigned per_second;
	unsigned used;
	uint64_t left_out;
	int64_t second;
};
#define LOG_LIMIT(n)                                                                                                   \
	{                                                                                                              \
		LOCK_STATIC(LOCK_LOG), (n), 0, 0, 0                                                                    \
	}

/* May a line be written now? *left_out gets how many were not since the last. Takes limit->lock. */
bool log_limit_pass(struct log_limit *limit, uint64_t *left_out);

#define LOG_LIMITED(level, limit, ...)                                                                                 \
	do {                                                                                                           \
		uint64_t left_out_;                                                                                    \
		if (log_enabled(level) && log_limit_pass(limit, &left_out_)) {                                         \
			if (left_out_ > 0)                                                                             \
				log_write(level, (const struct log_field[]){__VA_ARGS__,                               \
									    log_i64("left_out", (int64_t)left_out_),   \
									    LOG_END});                                 \
			else                                                                                           \
				log_write(level, (const struct log_field[]){__VA_ARGS__, LOG_END});                    \
		}                                                                                                      \
	} while (0)

#endif
