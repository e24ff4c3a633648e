/* sent: see sent.h. SPDX-License-Identifier: MIT */
#include "logic/sent.h"

#include <stdlib.h>
#include <string.h>

/* Streams remembered: names of comets that come and go would otherwise add up. */
#define STREAMS_MAX 4096

struct sent_stream {
	uint64_t epoch; /* of the comet's lease: one that starts has an empty stream, and had none before */
	uint64_t n;     /* its last entry, under this generation */
	uint64_t owed;  /* its last one under an earlier generation, which the comet is to be told; 0: nothing */
	uint64_t round; /* in which it was taken last */
};

void sent_init(struct sent *s)
{
	*s = (struct sent){0};
	strmap_init(&s->streams);
}

void sent_fini(struct sent *s)
{
	strmap_drop_all(&s->streams, free);
	s->owed = 0;
}

static void set_owed(struct sent *s, struct sent_stream *stream, uint64_t owed)
{
	if (stream->owed == 0 && owed != 0)
		s->owed++;
	if (stream->owed != 0 && owed == 0)
		s->owed--;
	stream->owed = owed;
}

static void owe_at_least(struct sent *s, struct sent_stream *stream, uint64_t had)
{
	if (had > stream->owed)
		set_owed(s, stream, had);
}

void sent_generation(struct sent *s, uint64_t generation)
{
	struct strmap_cursor cursor = {0};
	const char *server;
	void *value;

	if (generation <= s->generation)
		return;
	s->generation = generation;
	while (strmap_next(&s->streams, &cursor, &server, &value)) {
		struct sent_stream *stream = value;

		owe_at_least(s, stream, stream->n);
		stream->n = 0;
	}
}

/* NULL: no memory. */
static struct sent_stream *stream_of(struct sent *s, const char *server)
{
	struct sent_stream *stream = strmap_get(&s->streams, server);

	if (stream != NULL)
		return stream;
	if (s->streams.count >= STREAMS_MAX)
		sent_fini(s); /* which leaves an empty one */
	if ((stream = calloc(1, sizeof(*stream))) != NULL && strmap_put(&s->streams, server, stream, NULL) < 0) {
		free(stream);
		stream = NULL;
	}
	return stream;
}

void sent_note(struct sent *s, const struct sent_answer *a)
{
	struct sent_stream *stream;

	sent_generation(s, a->generation);
	if (strlen(a->server) >= SENT_SERVER_BYTES || (stream = stream_of(s, a->server)) == NULL)
		return;
	if (a->epoch > stream->epoch) {
		set_owed(s, stream, 0);
		stream->epoch = a->epoch;
		stream->n = 0;
	} else if (a->epoch < stream->epoch) {
		return;
	}
	if (a->generation < s->generation)
		owe_at_least(s, stream, a->n);
	else if (a->n > stream->n)
		stream->n = a->n;
}

uint64_t sent_round(struct sent *s)
{
	return ++s->rounds;
}

bool sent_take_owed(struct sent *s, uint64_t round, struct sent_word *word)
{
	struct strmap_cursor cursor = {0};
	const char *name;
	void *value;

	while (s->owed > 0 && strmap_next(&s->streams, &cursor, &name, &value)) {
		struct sent_stream *stream = value;

		if (stream->owed == 0 || stream->round == round)
			continue;
		stream->round = round;
		memcpy(word->server, name, strlen(name) + 1);
		word->epoch = stream->epoch;
		word->had = stream->owed;
		set_owed(s, stream, 0);
		return true;
	}
	return false;
}

void sent_owe(struct sent *s, const struct sent_word *word)
{
	struct sent_stream *stream = strmap_get(&s->streams, word->server);

	if (stream != NULL && stream->epoch == word->epoch)
		owe_at_least(s, stream, word->had);
}
