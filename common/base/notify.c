/* notify: see notify.h. It needs no library: the protocol is lines in a datagram. SPDX-License-Identifier: MIT */
#include "common/base/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"

/* Set once, by notify_start. */
static int notify_fd = -1;
static int64_t alive_every_ms;

static int64_t number_of(const char *variable)
{
	const char *text = getenv(variable);

	return text != NULL ? strtoll(text, NULL, 10) : 0;
}

/* The watchdog is for the process that systemd started; 0: it does not say which. */
static int64_t watchdog_ms(void)
{
	const int64_t pid = number_of("WATCHDOG_PID"), usec = number_of("WATCHDOG_USEC");

	return usec > 0 && (pid == 0 || pid == getpid()) ? usec / 1000 / 2 : 0;
}

void notify_start(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	const size_t n = path != NULL ? strlen(path) : 0;

	if (n < 2 || n >= sizeof(name.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(name.sun_path, path, n);
	if (path[0] == '@')
		name.sun_path[0] = '\0'; /* Linux's abstract names */
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (notify_fd >= 0 && connect(notify_fd, (const struct sockaddr *)&name,
				      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		notify_stop();
	if (notify_fd >= 0)
		alive_every_ms = watchdog_ms();
}

void notify_stop(void)
{
	if (notify_fd >= 0)
		(void)close(notify_fd);
	notify_fd = -1;
	alive_every_ms = 0;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	char text[512];
	va_list words;
	int n;

	if (notify_fd < 0)
		return;
	va_start(words, format);
	n = vsnprintf(text, sizeof(text), format, words);
	va_end(words);
	if (n > 0) /* what is lost is said anew by the next, or was only a status */
		(void)!send(notify_fd, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1, MSG_NOSIGNAL);
}

void notify_status(const char *words)
{
	say("STATUS=%s", words);
}

void notify_ready(const char *words)
{
	say("READY=1\nSTATUS=%s", words);
}

void notify_reloading(void)
{
	say("RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_now_ns() / 1000);
}

void notify_stopping(const char *words, int64_t takes_ms)
{
	say("STOPPING=1\nSTATUS=%s\nEXTEND_TIMEOUT_USEC=%" PRId64, words, takes_ms * 1000);
}

int64_t notify_alive_every_ms(void)
{
	return alive_every_ms;
}

void notify_alive(void)
{
	say("WATCHDOG=1");
}
