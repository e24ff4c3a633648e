/* A chat room in a terminal: typed lines go to the room, lines of others are printed, also those of the time without a connection.
 *   cc chat.c -o chat $(pkg-config --cflags --libs comet-client libcurl) && ./chat NAME [http://API:3111 [HOST]:PORT...]
 * A line goes to the back end, which pushes it to the room; here the HTTP API of comet is the back end. Lines are kept where
 * stream.rooms = live:100/1h. SPDX-License-Identifier: MIT */
#include <comet_client.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static void say(const char *api, const char *name, const char *words)
{
	CURL *curl = curl_easy_init();
	char url[300], line[600];
	snprintf(url, sizeof(url), "%s/goim/push/room?operation=1000&type=live&room=chat", api);
	snprintf(line, sizeof(line), "%s: %.*s", name, (int)strcspn(words, "\n"), words);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, line);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, stderr); /* {"code":0,"message":""} */
	if (curl_easy_perform(curl) != CURLE_OK)
		fprintf(stderr, "[not sent]\n");
	curl_easy_cleanup(curl);
}

static int show_all(struct comet_client *c)
{
	struct comet_client_message m;
	int rc;
	while ((rc = comet_client_next(c, 0, &m)) == 0)
		if (m.event == COMET_CLIENT_GAP)
			printf("[lines are missing here]\n");
		else if (m.event != COMET_CLIENT_JOINED)
			printf(m.event == COMET_CLIENT_LEFT ? "[%.*s]\n" : "%.*s\n", (int)m.body_bytes, (char *)m.body);
	return fflush(stdout) == 0 ? rc : -EIO;
}

/* The next connection goes to "host:port", which is cut in two. */
static void aim(struct comet_client_options *opt, char *place)
{
	char *colon = strrchr(place, ':');
	opt->port = colon != NULL ? colon + 1 : place;
	opt->host = colon == NULL ? NULL : place + (place[0] == '['); /* IPv6 */
	if (colon != NULL)
		colon[place[0] == '[' ? -1 : 0] = '\0';
}

int main(int argc, char **argv)
{
	struct comet_client_options opt = {0};
	struct comet_client_goodbye goodbye = {0};
	struct comet_client *c = NULL, *old = NULL; /* old: to a server that goes away */
	const char *api = argc > 2 ? argv[2] : "http://127.0.0.1:3111";
	char words[500], place[sizeof(goodbye.node)];

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		puts("usage: chat NAME [http://API:3111 [HOST]:PORT...]");
		return 0;
	}
	setvbuf(stdin, NULL, _IONBF, 0); /* poll does not see lines that wait in a buffer */
	if (comet_client_rooms_new(NULL, &opt.rooms) < 0 ||
	    comet_client_rooms_join(opt.rooms, &(struct comet_client_join){.room = "live://chat"}) < 0)
		return 1;
	for (unsigned attempt = 0, n = 0;; attempt++) {
		if (goodbye.node[0] == '\0')
			snprintf(goodbye.node, sizeof(place), "%s", argc > 3 ? argv[3 + n++ % (argc - 3)] : "3101");
		aim(&opt, strcpy(place, goodbye.node));
		int rc = comet_client_open(&opt, &c, &goodbye);
		fprintf(stderr, rc == 0 ? "[online]\n" : "[%s]\n", strerror(-rc));
		if (old != NULL)
			show_all(old);
		comet_client_close(&old);
		while (rc == 0) {
			struct pollfd fds[] = {{0, POLLIN, 0}, {comet_client_fd(c), POLLIN, 0}};
			if (show_all(c) != -ETIMEDOUT)
				break;
			attempt = 0;
			poll(fds, 2, 10000); /* not for ever: comet_client_next sends the heartbeats */
			if (fds[0].revents != 0 && fgets(words, sizeof(words), stdin) == NULL)
				return comet_client_close(&c), comet_client_rooms_free(&opt.rooms), 0;
			if (fds[0].revents != 0)
				say(api, argc > 1 ? argv[1] : "guest", words);
		}
		comet_client_last_words(c, &goodbye);
		if (goodbye.code == COMET_CLIENT_DRAINING)
			old = c, c = NULL;
		comet_client_close(&c);
		if (!comet_client_may_return(&goodbye))
			return 1;
		poll(NULL, 0, comet_client_delay_ms(attempt + 1));
	}
}
