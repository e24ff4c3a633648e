/* ws_deflate: see ws_deflate.h. SPDX-License-Identifier: MIT */
#include "comet/transport/ws_deflate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <zlib.h>

#include "comet/transport/v1_json.h"
#include "comet/transport/ws_frame.h"
#include "common/base/counters.h"

/* What each message ends with, and RFC 7692 has left out: the end of an empty block. */
static const uint8_t tail[] = {0, 0, 0xff, 0xff};

/* ---- in ---- */

/* 0, a close code, or -ENOMEM. */
static int inflate_piece(z_stream *z, const uint8_t *in, size_t n)
{
	z->next_in = (z_const Bytef *)(uintptr_t)in;
	z->avail_in = (uInt)n;
	while (z->avail_in > 0) {
		int rc = inflate(z, Z_NO_FLUSH);

		if (rc == Z_MEM_ERROR)
			return -ENOMEM;
		if (z->avail_out == 0)
			return WS_CODE_TOO_BIG;
		/* A block may say that it is the last one; others may follow all the same. */
		if (rc == Z_STREAM_END)
			rc = inflateReset(z);
		if (rc != Z_OK)
			return WS_CODE_BAD_DATA;
	}
	return 0;
}

static bool is_between_blocks(const z_stream *z)
{
	return (z->data_type & 128) != 0;
}

int ws_inflate(const uint8_t *in, size_t n, uint8_t *out, uint32_t most, uint32_t *bytes)
{
	z_stream z = {.next_out = out, .avail_out = most + 1};
	int rc;

	/* Of 32 KiB, whatever window the client has. */
	if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
		return -ENOMEM;
	count(COUNT_WEBSOCKET_INFLATES);
	if ((rc = inflate_piece(&z, in, n)) == 0)
		rc = inflate_piece(&z, tail, sizeof(tail));
	if (rc == 0 && !is_between_blocks(&z))
		rc = WS_CODE_BAD_DATA;
	*bytes = most + 1 - z.avail_out;
	(void)inflateEnd(&z);
	return rc;
}

/* ---- out ---- */

#define PIECES 3

/* The payload of the frame that has this message alone (ws_haul.c). How many pieces; 0: no memory. */
static unsigned payload_of(struct message *m, enum dialect dialect, uint8_t head[PACKET_HEAD_BYTES],
			   struct iovec pieces[PIECES])
{
	struct message_piece packet[MESSAGE_PIECES];
	const struct message_form *json;
	unsigned n = 0, packets;

	if (dialect == DIALECT_V1_JSON) {
		if ((json = v1_json_of_message(m)) == NULL)
			return 0;
		pieces[0] = (struct iovec){(void *)(uintptr_t) "[", 1};
		pieces[1] = (struct iovec){(void *)(uintptr_t)json->data, json->bytes};
		pieces[2] = (struct iovec){(void *)(uintptr_t) "]", 1};
		return 3;
	}
	if (dialect_is_v2(dialect)) {
		packet_encode(head, 1, OP_RAW, 0, (uint32_t)message_bytes(m, dialect));
		pieces[n++] = (struct iovec){head, PACKET_HEAD_BYTES};
	}
	packets = message_pieces(m, dialect, packet);
	for (unsigned i = 0; i < packets; i++)
		pieces[n++] = (struct iovec){(void *)(uintptr_t)packet[i].bytes, packet[i].n};
	return n;
}

static size_t bytes_of(const struct iovec *pieces, unsigned n)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += pieces[i].iov_len;
	return bytes;
}

/* 0: no memory. */
static size_t payload_bytes(struct message *m, enum dialect dialect)
{
	uint8_t head[PACKET_HEAD_BYTES];
	struct iovec pieces[PIECES];
	unsigned n = payload_of(m, dialect, head, pieces);

	return bytes_of(pieces, n);
}

/* How many bytes it comes to without the tail; 0: there is no space for them. */
static size_t deflate_pieces(z_stream *z, const struct iovec *pieces, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		z->next_in = pieces[i].iov_base;
		z->avail_in = (uInt)pieces[i].iov_len;
		/* An output that is full may lack the end. */
		if (deflate(z, i + 1 < n ? Z_NO_FLUSH : Z_SYNC_FLUSH) != Z_OK || z->avail_in > 0 || z->avail_out == 0)
			return 0;
	}
	return z->total_out - sizeof(tail);
}

/* message_as_it_is where it is not to be had, or not worth it. */
static struct message_form *make(const struct iovec *pieces, unsigned n, int level)
{
	size_t space = bytes_of(pieces, n);
	struct message_form *form, *fitting;
	z_stream z = {0};

	/* What one stored block does not hold goes deflated be it shorter or not: 5 bytes for each 2 KiB at worst. */
	if (space > WS_STORED_MAX)
		space += space / 100 + 100;
	form = malloc(sizeof(*form) + space);
	z.next_out = form != NULL ? form->data : NULL;
	z.avail_out = (uInt)space;
	if (form == NULL || deflateInit2(&z, level, Z_DEFLATED, -WS_DEFLATE_BITS, 5, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(form);
		return &message_as_it_is;
	}
	count_add(COUNT_WEBSOCKET_DEFLATES, level != Z_NO_COMPRESSION);
	form->bytes = deflate_pieces(&z, pieces, n);
	(void)deflateEnd(&z);
	if (form->bytes == 0) {
		free(form);
		return &message_as_it_is;
	}
	if ((fitting = realloc(form, sizeof(*form) + form->bytes)) != NULL)
		form = fitting;
	return form;
}

/* Others who want it meanwhile wait: that is shorter than to make it themselves. */
static struct message_form *make_once(struct message *m, enum dialect dialect, int level,
				      _Atomic(struct message_form *) *place)
{
	uint8_t head[PACKET_HEAD_BYTES];
	struct iovec pieces[PIECES];
	struct message_form *form;

	lock_take(&m->lock);
	form = atomic_load_explicit(place, memory_order_relaxed);
	if (form == NULL) {
		unsigned n = payload_of(m, dialect, head, pieces);

		form = n > 0 ? make(pieces, n, level) : &message_as_it_is;
		atomic_store_explicit(place, form, memory_order_release);
	}
	lock_drop(&m->lock);
	return form;
}

/* From now on for all: a frame that was begun must not change its form when it goes on. */
static void leave_as_it_is(struct message *m, enum dialect dialect)
{
	_Atomic(struct message_form *) *places[] = {&m->deflated[dialect], &m->stored[dialect]};

	lock_take(&m->lock);
	for (unsigned i = 0; i < 2; i++)
		if (atomic_load_explicit(places[i], memory_order_relaxed) == NULL)
			atomic_store_explicit(places[i], &message_as_it_is, memory_order_release);
	lock_drop(&m->lock);
}

const struct message_form *ws_deflated(struct message *m, enum dialect dialect, size_t window_bytes)
{
	_Atomic(struct message_form *) *place = &m->deflated[dialect];
	int level = Z_DEFAULT_COMPRESSION;
	struct message_form *form;

	if (m->body_bytes < WS_DEFLATE_MIN_BYTES)
		return NULL;
	/* What is no longer than a window refers to nothing before it. */
	if (window_bytes < 1U << WS_DEFLATE_BITS) {
		size_t bytes = payload_bytes(m, dialect);

		if (bytes == 0) {
			leave_as_it_is(m, dialect);
			return NULL;
		}
		if (bytes > window_bytes && bytes <= WS_STORED_MAX)
			return NULL;
		if (bytes > WS_STORED_MAX) {
			place = &m->stored[dialect];
			level = Z_NO_COMPRESSION;
		}
	}
	form = atomic_load_explicit(place, memory_order_acquire);
	if (form == NULL)
		form = make_once(m, dialect, level, place);
	return form == &message_as_it_is ? NULL : form;
}
