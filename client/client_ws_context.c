/* client_ws_context: see client_ws_context.h. SPDX-License-Identifier: MIT */
#include "client/client_ws_context.h"

#include <pthread.h>
#include <signal.h>

#include "client/sigpipe.h"

/* libwebsockets counts its contexts, and asks OpenSSL for numbers, without a lock of its own. */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

/* As libwebsockets starts, until somebody says otherwise. */
static bool logs_as_ever(void)
{
	return lwsl_visible(LLL_ERR) && lwsl_visible(LLL_WARN) && lwsl_visible(LLL_NOTICE) && !lwsl_visible(LLL_INFO);
}

struct lws_context *client_ws_context_new(struct lws_context_creation_info *info)
{
	struct lws_context *context;
	struct sigaction had;
	bool knows;

	pthread_mutex_lock(&making);
	if (logs_as_ever())
		lws_set_log_level(0, NULL);
	/* It has SIGPIPE ignored from then on. */
	knows = sigaction(SIGPIPE, NULL, &had) == 0;
	context = lws_create_context(info);
	if (knows)
		(void)sigaction(SIGPIPE, &had, NULL);
	pthread_mutex_unlock(&making);
	return context;
}

void client_ws_context_free(struct lws_context **context)
{
	struct sigpipe held;

	sigpipe_hold(&held);
	pthread_mutex_lock(&making);
	lws_context_destroy(*context);
	pthread_mutex_unlock(&making);
	sigpipe_drop(&held);
	*context = NULL;
}
