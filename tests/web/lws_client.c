/* lws_client PORT OFFER COUNT MESSAGE...: a client by libwebsockets that offers this extension (empty: none), sends one text message
 * after another, each when it has received as many as it has sent, and prints what it receives, a line each, until these are COUNT.
 * For tests/e2e/test_deflate.py. SPDX-License-Identifier: MIT */
#include <libwebsockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char **messages;
static int n_messages, count, sent, received;
static bool over;

static int say(struct lws *wsi)
{
	size_t n = strlen(messages[sent]);
	unsigned char *buffer = malloc(LWS_PRE + n);
	int written;

	if (buffer == NULL)
		return -1;
	memcpy(buffer + LWS_PRE, messages[sent++], n);
	written = lws_write(wsi, buffer + LWS_PRE, n, LWS_WRITE_TEXT);
	free(buffer);
	return written < (int)n ? -1 : 0;
}

static int hear(struct lws *wsi, const void *bytes, size_t n)
{
	(void)fwrite(bytes, 1, n, stdout);
	if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0)
		return 0;
	(void)putchar('\n');
	(void)fflush(stdout);
	received++;
	if (received == count)
		return -1;
	if (received >= sent)
		(void)lws_callback_on_writable(wsi);
	return 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
	(void)user;
	switch (reason) {
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		return lws_callback_on_writable(wsi) < 0 ? -1 : 0;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return sent < n_messages && sent <= received ? say(wsi) : 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return hear(wsi, in, n);
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
	case LWS_CALLBACK_CLIENT_CLOSED:
		over = true;
		return 0;
	default:
		return 0;
	}
}

int main(int argc, char **argv)
{
	const struct lws_protocols protocols[] = {{"comet", callback, 0, 65536, 0, NULL, 0},
						  {NULL, NULL, 0, 0, 0, NULL, 0}};
	const struct lws_extension extensions[] = {{"permessage-deflate", lws_extension_callback_pm_deflate, argv[2]},
						   {NULL, NULL, NULL}};
	struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols};
	struct lws_client_connect_info to = {.address = "127.0.0.1",
					     .host = "127.0.0.1",
					     .path = "/sub",
					     .port = atoi(argv[1]),
					     .ietf_version_or_minus_one = -1};

	if (argc < 5)
		return 2;
	count = atoi(argv[3]);
	messages = argv + 4;
	n_messages = argc - 4;
	lws_set_log_level(LLL_ERR, NULL);
	if (argv[2][0] != '\0')
		info.extensions = extensions;
	to.context = lws_create_context(&info);
	if (to.context == NULL || lws_client_connect_via_info(&to) == NULL)
		return 1;
	while (!over && lws_service(to.context, 0) >= 0)
		;
	lws_context_destroy(to.context);
	return received == count ? 0 : 1;
}
