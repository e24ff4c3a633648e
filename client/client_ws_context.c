/* client_ws_context: see client_ws_context.h. SPDX-License-Identifier: MIT */
#include "client/client_ws_context.h"

#include <pthread.h>
#include <signal.h>

#include "client/sigpipe.h"

/* libwebsockets counts its contexts without a lock of its own. */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static bool knows_openssl;

/* Every context with this option takes a new number from OpenSSL by which all connections, those of other contexts as well, find
 * their own data from then on: the first one only, then. */
static void share_openssl(struct lws_context_creation_info *info)
{
	if (knows_openssl)
		info->options &= ~(uint64_t)LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	knows_openssl = knows_openssl || (info->options & LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT) != 0;
}

/* As libwebsockets starts, until somebody says otherwise. */
static bool logs_as_ever(void)
{
	return lwsl_visible(LLL_ERR) && lwsl_visible(LLL_WARN) && lwsl_visible(LLL_NOTICE) && !lwsl_visible(LLL_INFO);
}

struct lws_context *client_ws_context_new(const struct lws_context_creation_info *wanted)
{
	struct lws_context_creation_info info = *wanted;
	struct lws_context *context;
	struct sigaction had;
	bool knows;

	pthread_mutex_lock(&making);
	share_openssl(&info);
	if (logs_as_ever())
		lws_set_log_level(0, NULL);
	/* It has SIGPIPE ignored from then on. */
	knows = sigaction(SIGPIPE, NULL, &had) == 0;
	context = lws_create_context(&info);
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
