/* printer: see printer.h. Any thread; it only writes to the stream it is given. SPDX-License-Identifier: MIT */
#include "cli/printer.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/utf8.h"

/* Would a terminal act on it? C0, DEL, and C1 (U+0080 to U+009F) in two bytes. */
static bool is_control(const uint8_t *at, unsigned n)
{
	return (n == 1 && (*at < 0x20 || *at == 0x7f)) || (n == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

static void print_escaped(FILE *out, uint8_t byte)
{
	switch (byte) {
	case '\n':
		fputs("\\n", out);
		break;
	case '\r':
		fputs("\\r", out);
		break;
	case '\t':
		fputs("\\t", out);
		break;
	default:
		fprintf(out, "\\x%02x", byte);
	}
}

void printer_escaped(FILE *out, const void *text, size_t bytes)
{
	const uint8_t *at = text, *end = at + bytes;

	while (at < end) {
		unsigned bad, n = utf8_bytes(at, end, &bad);

		if (n > 0 && !is_control(at, n)) {
			fwrite(at, 1, n, out);
			at += n;
			continue;
		}
		for (n = n > 0 ? n : 1; n > 0; n--)
			print_escaped(out, *at++);
	}
}

void printer_word(FILE *out, const char *text)
{
	if (text != NULL)
		printer_escaped(out, text, strlen(text));
}

static void print_room(FILE *out, const struct printer_place *place)
{
	printer_word(out, place != NULL && place->room[0] != '\0' ? place->room : "-");
}

static void print_number(FILE *out, const struct printer_place *place)
{
	if (place != NULL && place->number > 0)
		fprintf(out, "%lld", (long long)place->number);
	else
		fputc('-', out);
}

void printer_text(FILE *out, const struct packet *p, const char *came, const struct printer_place *place)
{
	if (came != NULL)
		fprintf(out, "%s ", came);
	fprintf(out, "%d ", p->op);
	if (place != NULL) {
		print_room(out, place);
		fputc(' ', out);
		print_number(out, place);
		fputc(' ', out);
	}
	printer_escaped(out, p->body, p->body_bytes);
	fputc('\n', out);
}

bool printer_format_is_good(const char *format)
{
	while ((format = strchr(format, '%')) != NULL) {
		if (format[1] == '\0' || strchr("tornb%", format[1]) == NULL)
			return false;
		format += 2;
	}
	return true;
}

static void print_formatted(FILE *out, const struct packet *p, const char *now, const struct printer_place *place,
			    const char *format)
{
	for (const char *at = format; *at != '\0'; at++) {
		if (*at != '%') {
			fputc(*at, out);
			continue;
		}
		switch (*++at) {
		case 't':
			fputs(now, out);
			break;
		case 'o':
			fprintf(out, "%d", p->op);
			break;
		case 'r':
			print_room(out, place);
			break;
		case 'n':
			print_number(out, place);
			break;
		case 'b':
			printer_escaped(out, p->body, p->body_bytes);
			break;
		default:
			fputc('%', out);
		}
	}
	fputc('\n', out);
}

/* Malloc'ed, zero-terminated; NULL without memory. */
static char *base64(const uint8_t *bytes, size_t n)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((n + 2) / 3 * 4 + 1), *at = text;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t three = (uint32_t)bytes[i] << 16 | (uint32_t)(i + 1 < n ? bytes[i + 1] : 0) << 8 |
				 (i + 2 < n ? bytes[i + 2] : 0);

		*at++ = letters[three >> 18];
		*at++ = letters[three >> 12 & 63];
		*at++ = i + 1 < n ? letters[three >> 6 & 63] : '=';
		*at++ = i + 2 < n ? letters[three & 63] : '=';
	}
	*at = '\0';
	return text;
}

int printer_value(FILE *out, const json_t *value, size_t flags)
{
	char *written = value != NULL ? json_dumps(value, flags) : NULL;

	if (written == NULL)
		return -ENOMEM;
	for (const char *at = written; *at != '\0';) {
		size_t n = strcspn(at, "\x7f\xc2");

		fwrite(at, 1, n, out);
		at += n;
		if (*at == '\0')
			break;
		n = *at == '\x7f' ? 1 : 2;
		/* Behind 0xc2 stands the character itself; jansson's texts are UTF-8, so that it is there. */
		if (is_control((const uint8_t *)at, (unsigned)n))
			fprintf(out, "\\u%04x", (uint8_t)at[n - 1]);
		else
			fwrite(at, 1, n, out);
		at += n;
	}
	free(written);
	return 0;
}

/* One line; `line` is dropped. 0 or -ENOMEM. */
static int print_line(FILE *out, json_t *line)
{
	int rc = printer_value(out, line, JSON_COMPACT);

	if (rc == 0)
		fputc('\n', out);
	json_decref(line);
	return rc;
}

int printer_json(FILE *out, const struct packet *p, const char *came, const struct printer_place *place)
{
	json_t *line = json_pack("{s:i, s:i, s:i}", "op", p->op, "ver", p->ver, "seq", p->seq);
	bool text = utf8_is_valid(p->body, p->body_bytes);
	char *encoded = text ? NULL : base64(p->body, p->body_bytes);
	json_t *body = text ? json_stringn((const char *)p->body, p->body_bytes) : json_string(encoded);

	if (line != NULL && came != NULL)
		(void)json_object_set_new(line, "time", json_string(came)); /* a line without it is still one */
	if (line != NULL && place != NULL) {
		(void)json_object_set_new(line, "room", json_string(place->room));
		(void)json_object_set_new(line, "number", json_integer(place->number));
	}
	/* json_object_set_new takes body over, also when it fails; a NULL makes it fail. */
	if (line == NULL) {
		json_decref(body);
	} else if (json_object_set_new(line, text ? "body" : "body_base64", body) < 0) {
		json_decref(line);
		line = NULL;
	}
	free(encoded);
	return print_line(out, line);
}

static int written(FILE *out, int rc)
{
	if (rc == 0 && (fflush(out) != 0 || ferror(out)))
		rc = errno != 0 ? -errno : -EIO;
	return rc;
}

int printer_print(FILE *out, const struct packet *p, const struct printer_place *place,
		  const struct printer_style *style)
{
	char now[CLOCK_TEXT_BYTES];
	int rc = 0;

	clock_text(clock_wall_ms(), now);
	errno = 0;
	if (style->format != NULL)
		print_formatted(out, p, now, place, style->format);
	else if (style->json)
		rc = printer_json(out, p, style->times ? now : NULL, place);
	else
		printer_text(out, p, style->times ? now : NULL, place);
	return written(out, rc);
}

int printer_event(FILE *out, const struct client_event *e, bool times)
{
	json_t *line = NULL;
	char now[CLOCK_TEXT_BYTES];

	if (e->kind == CLIENT_JOINED)
		line = json_pack("{s:s, s:s, s:I, s:i}", "event", "joined", "room", e->room, "at",
				 (json_int_t)e->number, "replay", e->replay);
	else if (e->kind == CLIENT_GAP)
		line = json_pack("{s:s, s:s, s:I, s:i}", "event", "gap", "room", e->room, "at", (json_int_t)e->number,
				 "reload_ms", e->wait_ms);
	else
		line = json_pack("{s:s, s:s, s:s%}", "event", "left", "room", e->room, "reason", e->body,
				 e->body_bytes);
	clock_text(clock_wall_ms(), now);
	if (line != NULL && times)
		(void)json_object_set_new(line, "time", json_string(now));
	errno = 0;
	return written(out, print_line(out, line));
}
