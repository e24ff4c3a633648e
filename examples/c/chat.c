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
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 5L);
	if (curl_easy_perform(curl) != CURLE_OK)
		fprintf(stderr, "[not sent]\n");
	curl_easy_cleanup(curl);
}

static void show(const struct comet_client_message *m)
{
	const int bytes = (int)m->body_bytes;

	if (m->event == COMET_CLIENT_PUSH)
		printf("%.*s\n", bytes, (char *)m->body);
	else if (m->event == COMET_CLIENT_LEFT)
		printf("[%.*s]\n", bytes, (char *)m->body);
	else if (m->event == COMET_CLIENT_GAP)
		printf("[lines are missing here]\n");
	else if (m->event == COMET_CLIENT_ONLINE)
		printf("[online]\n");
	else if (m->event == COMET_CLIENT_LOST)
		printf("[lost: %.*s]\n", bytes, (char *)m->body);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "guest", *api = argc > 2 ? argv[2] : "http://127.0.0.1:3111";
	struct comet_client_options opt = {0};
	struct comet_client_keeper *keeper;
	struct comet_client_goodbye goodbye;
	struct comet_client_message m;
	char words[500] = "";
	int rc;

	if (strcmp(name, "--help") == 0)
		return puts("usage: chat NAME [http://API:3111 [HOST]:PORT...]") < 0;
	setvbuf(stdin, NULL, _IONBF, 0); /* poll does not see lines that wait in a buffer */
	if (comet_client_rooms_new(NULL, &opt.rooms) < 0 ||
	    comet_client_rooms_join(opt.rooms, &(struct comet_client_join){.room = "live://chat"}) < 0 ||
	    comet_client_keeper_new(&opt, argc > 3 ? argv + 3 : NULL, argc > 3 ? argc - 3 : 0, &keeper) < 0)
		return 1;
	do {
		while ((rc = comet_client_keeper_next(keeper, 0, &m)) == 0)
			show(&m);
		struct pollfd fds[] = {{0, POLLIN, 0}, {comet_client_keeper_fd(keeper), POLLIN, 0}};
		poll(fds, 2, 1000);
		if (fds[0].revents != 0 && fgets(words, sizeof(words), stdin) == NULL)
			break;
		if (fds[0].revents != 0)
			say(api, name, words);
	} while (rc == -ETIMEDOUT);
	if (rc != -ETIMEDOUT) { /* the server wants us no more */
		comet_client_keeper_last_words(keeper, &goodbye);
		printf("[%s]\n", goodbye.reason[0] != '\0' ? goodbye.reason : strerror(-rc));
	}
	comet_client_keeper_free(&keeper);
	comet_client_rooms_free(&opt.rooms);
	return rc != -ETIMEDOUT;
}
