/* log: see log.h. A line is built on the caller's stack and leaves in one call, so lines of many threads never mix and
 * no lock is needed, but where the call would wait. Any thread. SPDX-License-Identifier: MIT */
#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/counters.h"
#include "common/base/lock.h"
#include "common/base/utf8.h"

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static atomic_int current_level = LOG_INFO;
static atomic_int current_format = LOG_TEXT;

/* ---- where lines go ---- */

/* stderr itself, or our own non-blocking door to the same pipe or terminal: the flag on stderr's own description would
 * be seen by every process that shares it. */
static atomic_int output_fd = STDERR_FILENO;
static atomic_bool output_is_socket;
/* It is a pipe or terminal to which no door of our own could be opened, as one that another user made: its writes wait. */
static atomic_bool output_waits;
static struct lock waiting = LOCK_STATIC(LOCK_LOG);

static int open_own_stderr(void)
{
	return open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void choose_output(void)
{
	struct stat st;
	int old = atomic_load(&output_fd);
	bool known = fstat(STDERR_FILENO, &st) == 0;
	bool may_fill = known && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode));
	int own = may_fill ? open_own_stderr() : -1;

	atomic_store(&output_is_socket, known && S_ISSOCK(st.st_mode));
	atomic_store(&output_waits, may_fill && own < 0);
	if (own >= 0 && old != STDERR_FILENO) {
		/* Other threads may be writing to `old`: change what stands behind the number, never the number. */
		(void)dup3(own, old, O_CLOEXEC);
		(void)close(own);
		return;
	}
	if (own >= 0)
		atomic_store(&output_fd, own);
	else if (old != STDERR_FILENO)
		(void)dup3(STDERR_FILENO, old, O_CLOEXEC);
}

void log_setup(enum log_level level, enum log_format format)
{
	choose_output();
	atomic_store(&current_level, (int)level);
	atomic_store(&current_format, (int)format);
}

bool log_is_json(void)
{
	return atomic_load_explicit(&current_format, memory_order_relaxed) == LOG_JSON;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

/* Ask first. One at a time: the space that poll saw is that of one line, which is shorter than PIPE_BUF. */
static ssize_t write_where_room(int fd, const char *text, size_t bytes)
{
	struct pollfd space = {fd, POLLOUT, 0};
	ssize_t sent = -1;

	lock_take(&waiting);
	errno = EAGAIN;
	if (poll(&space, 1, 0) > 0)
		sent = write(fd, text, bytes);
	lock_drop(&waiting);
	return sent;
}

static ssize_t send_own(const char *text, size_t bytes)
{
	int fd = atomic_load_explicit(&output_fd, memory_order_relaxed);

	if (atomic_load_explicit(&output_is_socket, memory_order_relaxed))
		return send(fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (atomic_load_explicit(&output_waits, memory_order_relaxed))
		return write_where_room(fd, text, bytes);
	return write(fd, text, bytes);
}

static void send_line(int fd, const char *text, size_t bytes)
{
	ssize_t sent;

	do {
		sent = fd == LOG_OWN_FD ? send_own(text, bytes) : write(fd, text, bytes);
	} while (sent < 0 && errno == EINTR);
	if (sent != (ssize_t)bytes)
		count(COUNT_LOG_LINES_LOST);
}

/* ---- building a line ---- */

#define LINE_BYTES 1500
static const char cut_text[] = "...\n";
static const char cut_json[] = "\",\"cut\":true}\n"; /* the quote only inside a string */

struct line {
	enum log_format format;
	bool cut;       /* something did not fit: nothing more is added */
	bool in_string; /* a quote is open */
	size_t bytes;
	size_t max; /* leaves space for the end */
	char text[LINE_BYTES];
};

/* All of it or, when it does not fit, nothing: an escape is never cut in two. */
static void put_bytes(struct line *l, const char *bytes, size_t n)
{
	l->cut = l->cut || n > l->max - l->bytes;
	if (l->cut)
		return;
	memcpy(l->text + l->bytes, bytes, n);
	l->bytes += n;
}

static void put(struct line *l, const char *words)
{
	put_bytes(l, words, strlen(words));
}

/* Characters that move the cursor, end a line or turn the writing direction: a reader of the log must not be fooled. */
static bool is_treacherous(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

static void put_escape(struct line *l, uint32_t code)
{
	char escape[16];

	if (l->format == LOG_TEXT && code < 0x100)
		(void)snprintf(escape, sizeof(escape), "\\x%02" PRIx32, code);
	else
		(void)snprintf(escape, sizeof(escape), "\\u%04" PRIx32, code);
	put(l, escape);
}

/* The inside of a quoted string. */
static void put_escaped(struct line *l, const char *s)
{
	const uint8_t *at = (const uint8_t *)s, *end = at + strlen(s);

	while (at < end && !l->cut) {
		unsigned bad, n = utf8_bytes(at, end, &bad);
		uint32_t code = n > 0 ? utf8_code(at, n) : 0;

		if (n == 0) /* JSON has no way to say which byte it was */
			put_escape(l, l->format == LOG_TEXT ? *at : 0xfffd);
		else if (code == '"' || code == '\\')
			put_bytes(l, (char[]){'\\', (char)code}, 2);
		else if (is_treacherous(code))
			put_escape(l, code);
		else
			put_bytes(l, (const char *)at, n);
		at += n > 0 ? n : 1;
	}
}

/* `head` ends in the opening quote, so that a cut never leaves a name without a value. */
static void put_string(struct line *l, const char *head, const char *s)
{
	put(l, head);
	l->in_string = !l->cut;
	put_escaped(l, s);
	put(l, "\"");
	l->in_string = l->in_string && l->cut;
}

/* Words that a reader can tell from their neighbours without quotes. "-" alone stands for NULL. */
static bool is_plain(const char *s)
{
	if (s[0] == '\0' || strcmp(s, "-") == 0)
		return false;
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~' || *s == '"' || *s == '=' || *s == '\\')
			return false;
	return true;
}

static void put_text_field(struct line *l, const struct log_field *f)
{
	char number[24];

	put(l, " ");
	if (f->kind == FIELD_WHAT) {
		put(l, event_sentence((enum event)f->i64));
		put(l, " event=");
		put(l, event_name((enum event)f->i64));
		return;
	}
	put(l, f->name);
	put(l, "=");
	if (f->kind == FIELD_STR) {
		if (f->str == NULL)
			put(l, "-");
		else if (is_plain(f->str))
			put(l, f->str);
		else
			put_string(l, "\"", f->str);
		return;
	}
	(void)snprintf(number, sizeof(number), f->kind == FIELD_ID ? "%" PRIx64 : "%" PRId64, f->i64);
	put(l, number);
}

static void put_json_field(struct line *l, const struct log_field *f)
{
	char head[64];
	char number[24];

	if (f->kind == FIELD_WHAT) {
		put_string(l, ",\"event\":\"", event_name((enum event)f->i64));
		put_string(l, ",\"message\":\"", event_sentence((enum event)f->i64));
		return;
	}
	if (f->kind == FIELD_STR && f->str != NULL) {
		(void)snprintf(head, sizeof(head), ",\"%.40s\":\"", f->name);
		put_string(l, head, f->str);
		return;
	}
	(void)snprintf(number, sizeof(number), f->kind == FIELD_ID ? "\"%" PRIx64 "\"" : "%" PRId64, f->i64);
	(void)snprintf(head, sizeof(head), ",\"%.30s\":%s", f->name, f->kind == FIELD_STR ? "null" : number);
	put(l, head);
}

static void put_head(struct line *l, const char *level)
{
	char stamp[CLOCK_TEXT_BYTES];

	clock_text(clock_wall_ms(), stamp);
	if (l->format == LOG_JSON)
		put(l, "{\"time\":\"");
	put(l, stamp);
	put(l, l->format == LOG_JSON ? "\",\"level\":\"" : " ");
	put(l, level);
	if (l->format == LOG_JSON)
		put(l, "\"");
}

static void put_end(struct line *l)
{
	const char *end = "\n";

	l->max = sizeof(l->text);
	if (l->format == LOG_JSON)
		end = !l->cut ? "}\n" : l->in_string ? cut_json : cut_json + 1;
	else if (l->cut)
		end = cut_text;
	l->cut = false;
	put(l, end);
}

static void build(struct line *l, const char *level, const struct log_field *fields)
{
	l->format = (enum log_format)atomic_load_explicit(&current_format, memory_order_relaxed);
	l->cut = l->in_string = false;
	l->bytes = 0;
	l->max = sizeof(l->text) - sizeof(cut_json);
	put_head(l, level);
	for (; fields->kind != FIELD_END && !l->cut; fields++) {
		if (fields->kind == FIELD_NONE)
			continue;
		if (l->format == LOG_JSON)
			put_json_field(l, fields);
		else
			put_text_field(l, fields);
	}
	put_end(l);
}

void log_write(enum log_level level, const struct log_field *fields)
{
	struct line l;

	build(&l, level_names[level], fields);
	send_line(LOG_OWN_FD, l.text, l.bytes);
}

void log_trace(int fd, const struct log_field *fields)
{
	struct line l;

	build(&l, "trace", fields);
	send_line(fd, l.text, l.bytes);
}

bool log_limit_pass(struct log_limit *limit, uint64_t *left_out)
{
	int64_t second = clock_now_ns() / CLOCK_SEC;
	bool pass;

	lock_take(&limit->lock);
	if (limit->second != second) {
		limit->second = second;
		limit->used = 0;
	}
	pass = limit->used < limit->per_second;
	*left_out = pass ? limit->left_out : 0;
	limit->used += pass;
	limit->left_out = pass ? 0 : limit->left_out + 1;
	lock_drop(&limit->lock);
	return pass;
}
