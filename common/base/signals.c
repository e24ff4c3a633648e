/* signals: see signals.h. On main. SPDX-License-Identifier: MIT */
#include "common/base/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/notify.h"

void signals_block(void)
{
	sigset_t all;

	/* SIGPIPE would end us where a socket's or the log's other end has gone. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSEGV);
	(void)sigdelset(&all, SIGBUS);
	(void)sigdelset(&all, SIGABRT);
	(void)sigdelset(&all, SIGFPE);
	(void)sigdelset(&all, SIGILL);
	(void)pthread_sigmask(SIG_SETMASK, &all, NULL);
}

/* The next of these signals; a service manager hears meanwhile that main is alive. */
static int next_signal(const sigset_t *wanted)
{
	const int64_t every_ms = notify_alive_every_ms();
	const struct timespec pause = {every_ms / 1000, every_ms % 1000 * CLOCK_MS};
	int got = -1;

	while (got <= 0) {
		got = every_ms > 0 ? sigtimedwait(wanted, NULL, &pause) : sigwaitinfo(wanted, NULL);
		if (every_ms > 0)
			notify_alive();
	}
	return got;
}

void signals_wait(void (*reload)(void *arg), void *arg)
{
	sigset_t wanted;
	int got;

	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigaddset(&wanted, SIGINT);
	(void)sigaddset(&wanted, SIGHUP);
	while ((got = next_signal(&wanted)) == SIGHUP) {
		notify_reloading();
		reload(arg);
		notify_ready("running");
	}
	LOG(LOG_INFO, log_what(EVENT_PROGRAM_STOPPING), log_str("signal", got == SIGTERM ? "SIGTERM" : "SIGINT"));
}

bool signals_ask_to_stop(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

void signals_send_stop(void)
{
	(void)kill(getpid(), SIGTERM);
}

void signals_send_reload(void)
{
	(void)kill(getpid(), SIGHUP);
}

/* Our own signal may have come while the first signal was on its way to main, or come only now: it asks for what
 * is being done already. */
static void end_at_once(int signal_number, siginfo_t *info, void *context)
{
	(void)signal_number;
	(void)context;
	if (info->si_pid != getpid())
		_exit(EXIT_FAILURE);
}

void signals_arm_second(void)
{
	const struct sigaction action = {.sa_sigaction = end_at_once, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigset_t wanted;

	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigaddset(&wanted, SIGINT);
	(void)pthread_sigmask(SIG_UNBLOCK, &wanted, NULL);
}
