/* session_rooms: see session_rooms.h. SPDX-License-Identifier: MIT */
#include "cli/session_rooms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/printer.h"
#include "cli/session_out.h"
#include "common/base/clock.h"

/* The length of the first room: a comma begins another one where a type follows it, else it is part of the name. */
static size_t first_bytes(const char *list)
{
	for (const char *comma = strchr(list, ','); comma != NULL; comma = strchr(comma + 1, ',')) {
		const char *type = strstr(comma, "://");

		if (type != NULL && strcspn(comma + 1, ",") > (size_t)(type - comma - 1))
			return (size_t)(comma - list);
	}
	return strlen(list);
}

bool session_rooms_are_several(const char *list)
{
	return list[first_bytes(list)] != '\0';
}

int session_rooms_want(struct session_rooms *s, const char *list, int64_t since, int64_t last)
{
	int rc = 0;

	if ((s->rooms = client_rooms_new(&(struct client_rooms_options){.store = NULL})) == NULL)
		return -ENOMEM;
	for (size_t n; rc == 0 && *list != '\0'; list += n + (list[n] == ',')) {
		char room[CLIENT_ROOM_BYTES];

		n = first_bytes(list);
		if (n == 0 || n >= sizeof(room))
			return -EINVAL;
		(void)snprintf(room, sizeof(room), "%.*s", (int)n, list);
		rc = client_rooms_join(s->rooms,
				       &(struct client_wish){.room = room, .since = since, .last = (int)last});
	}
	return rc;
}

void session_rooms_fini(struct session_rooms *s)
{
	client_rooms_free(&s->rooms);
}

int session_rooms_authenticate(struct session_rooms *s, const struct client_setup *who, struct client *c,
			       int64_t deadline_ns, struct client_goodbye *goodbye)
{
	struct client_identity identity = who->identity;
	struct client_welcome welcome;
	char *token = NULL;
	int rc = 0;

	if (s->rooms == NULL)
		return client_authenticate(c, identity.dialect, who->token, deadline_ns, goodbye);
	identity.user_since = client_rooms_position(s->rooms, "");
	if (who->made_token != NULL)
		rc = client_token(&identity, &token);
	if (rc == 0)
		rc = client_authenticate(c, identity.dialect, token != NULL ? token : who->token, deadline_ns, goodbye);
	free(token);
	if (rc < 0)
		return rc;
	welcome = client_welcome(c);
	s->connection = client_rooms_begin(s->rooms, &welcome);
	return 0;
}

static void say(const char *words, const char *text, size_t bytes)
{
	fputs(words, stderr);
	printer_escaped(stderr, text, bytes);
}

static void tell_in_words(const struct client_event *e)
{
	static const char *const words[] = {[CLIENT_JOINED] = "comet-cli: joined ",
					    [CLIENT_GAP] = "comet-cli: gap in ",
					    [CLIENT_LEFT] = "comet-cli: left "};
	const char *room = e->room[0] != '\0' ? e->room : "the user's stream";

	say(words[e->kind], room, strlen(room));
	if (e->kind == CLIENT_LEFT)
		say(": ", e->body, e->body_bytes);
	else if (e->kind == CLIENT_GAP)
		fprintf(stderr, ": something is missing; it goes on after %lld", (long long)e->number);
	else if (e->number == 0)
		fputs(", which is not numbered", stderr);
	else
		fprintf(stderr, " after %lld; %d that were missed come", (long long)e->number, e->replay);
	fputc('\n', stderr);
}

/* 0, -ENOTCONN, or -errno of stdout. */
static int tell(struct session_rooms *s)
{
	struct client_event e;
	int rc = 0;

	while (rc == 0 && client_rooms_news(s->rooms, &e)) {
		if (e.kind == CLIENT_LEFT && client_rooms_wanted(s->rooms) == 0)
			rc = -ENOTCONN;
		tell_in_words(&e);
		if (s->style.json && (rc == 0 || rc == -ENOTCONN))
			rc = printer_event(stdout, &e, s->style.times) < 0 ? -EIO : rc;
		client_rooms_done(s->rooms);
	}
	return rc;
}

int session_rooms_step(struct session_rooms *s, struct client *c, int32_t *seq, int64_t deadline_ns)
{
	struct client_ask ask;
	int rc;

	if (s->rooms == NULL)
		return 0;
	if ((rc = tell(s)) < 0)
		return rc;
	while ((rc = client_rooms_ask(s->rooms, s->connection, clock_now_ns(), *seq + 1, &ask)) > 0) {
		rc = client_send(c, 1, ask.op, ++*seq, ask.body, ask.body_bytes, deadline_ns);
		free(ask.body);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int64_t session_rooms_wake_ns(const struct session_rooms *s, int64_t deadline_ns)
{
	const int64_t due_ns = s->rooms != NULL ? client_rooms_due_ns(s->rooms, s->connection) : deadline_ns;

	return due_ns < deadline_ns ? due_ns : deadline_ns;
}

int session_rooms_take(struct session_rooms *s, unsigned connection, const struct packet *p)
{
	struct packet push = *p;
	struct client_event e;
	int rc = s->rooms != NULL ? client_rooms_take(s->rooms, connection, p, &e) : -ENOENT;

	if (rc <= 0)
		return rc;
	push.body = (uint8_t *)e.body;
	push.body_bytes = (uint32_t)e.body_bytes;
	if (session_out_message(&push, &(struct printer_place){e.room, e.number}, &s->style) < 0)
		return -EIO;
	client_rooms_done(s->rooms);
	return 1;
}
