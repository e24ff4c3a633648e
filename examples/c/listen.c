/* Prints what is pushed to the room live://chat, over WebSocket or TLS.
 *   cc listen.c -o listen $(pkg-config --cflags --libs comet-client-ws) && ./listen wss://HOST/sub [CERTIFICATES.pem [OURS.pem]]
 * SPDX-License-Identifier: MIT */
#include <comet_client_ws.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	const struct comet_client_url where = {.url = argc > 1 ? argv[1] : "ws://127.0.0.1:3102/sub",
					       .ca_file = argc > 2 ? argv[2] : NULL,
					       .cert_file = argc > 3 ? argv[3] : NULL};
	const struct comet_client_options opt = {.room = "live://chat"};
	struct comet_client_goodbye goodbye;
	struct comet_client_message m;
	struct comet_client *c = NULL;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		puts("usage: listen [wss://HOST/sub [CERTIFICATES.pem [OURS.pem]]]");
		return 0;
	}
	for (unsigned attempt = 1;; attempt++) {
		int rc = comet_client_open_url(&where, &opt, &c, &goodbye), came = rc;
		if (rc == 0)
			fprintf(stderr, "[online]\n"), attempt = 0;
		while (rc == 0 && (came == 0 || came == -ETIMEDOUT)) {
			if ((came = comet_client_next(c, 60000, &m)) == 0)
				printf("%.*s\n", (int)m.body_bytes, (const char *)m.body);
			if (fflush(stdout) != 0)
				return 1;
		}
		comet_client_last_words(c, &goodbye);
		comet_client_close(&c);
		fprintf(stderr, "[%s: %s]\n", strerror(-came), goodbye.reason);
		if (rc == -EINVAL || rc == -EPROTO || !comet_client_may_return(&goodbye))
			return 1;
		poll(NULL, 0, comet_client_delay_ms(attempt + 1));
	}
}
