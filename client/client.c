/* client: see client.h. Any thread, one at a time. SPDX-License-Identifier: MIT */
#include "client/client.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/client_tcp.h"
#include "common/base/clock.h"
#include "common/base/err.h"

#define DEFAULT_MAX_BODY (16u << 20)
#define FIRST_BUFFER     4096

struct client {
	struct client_link *link;
	uint32_t max_body; /* of what comes */
	struct client_welcome welcome;
	/* received and not yet handed out: buf[start..end) */
	uint8_t *buf;
	size_t cap, start, end;
	uint64_t received;
};

static int resolve(const struct client_options *opt, struct addrinfo **out)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

	switch (getaddrinfo(opt->host, opt->port, &hints, out)) {
	case 0:
		return 0;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return -errno;
	default:
		return -ENOENT;
	}
}

/* Reasons and addresses are shown on terminals, where control characters would be obeyed. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			*text = '?';
}

static unsigned count_from(const struct addrinfo *ai)
{
	unsigned n = 1;

	while ((ai = ai->ai_next) != NULL)
		n++;
	return n;
}

/* An equal share of the time that is left for each address that is left: one that nobody answers at, as IPv6 often is
 * where a network only seems to have it, leaves time for the next. */
static int connect_any(struct client *c, const struct client_options *opt, const struct addrinfo *list,
		       int64_t deadline_ns)
{
	client_link_open *open = opt->open != NULL ? opt->open : client_tcp_open;
	int rc = -ENOENT;

	for (const struct addrinfo *ai = list; ai != NULL && rc < 0 && rc != -ECANCELED; ai = ai->ai_next) {
		int64_t now_ns = clock_now_ns();

		rc = open(opt, ai, now_ns + (deadline_ns - now_ns) / count_from(ai), &c->link);
	}
	return rc;
}

int client_connect(const struct client_options *opt, int64_t deadline_ns, struct client **out)
{
	struct addrinfo *list;
	struct client *c = calloc(1, sizeof(*c));
	int rc;

	if (opt->why != NULL)
		opt->why[0] = '\0';
	if (c == NULL)
		return -ENOMEM;
	c->max_body = opt->max_body > 0 ? opt->max_body : DEFAULT_MAX_BODY;
	c->cap = FIRST_BUFFER;
	rc = -ENOMEM;
	if ((c->buf = malloc(c->cap)) == NULL)
		goto free_client;
	if ((rc = resolve(opt, &list)) < 0)
		goto free_client;

	rc = connect_any(c, opt, list, deadline_ns);
	freeaddrinfo(list);
	if (rc < 0)
		goto free_client;
	*out = c;
	return 0;

free_client:
	if (opt->why != NULL)
		make_printable(opt->why);
	client_free(&c);
	return rc;
}

void client_free(struct client **c)
{
	if (*c == NULL)
		return;
	if ((*c)->link != NULL)
		(*c)->link->ops->free((*c)->link);
	free((*c)->buf);
	free(*c);
	*c = NULL;
}

int client_send(struct client *c, int16_t ver, int32_t op, int32_t seq, const void *body, uint32_t body_bytes,
		int64_t deadline_ns)
{
	uint8_t head[PACKET_HEAD_BYTES];

	packet_encode(head, ver, op, seq, body_bytes);
	return c->link->ops->send(c->link, head, body, body_bytes, deadline_ns);
}

/* Make space for `want` bytes from start on. The bytes that are held move to the front. */
static int make_space(struct client *c, size_t want)
{
	size_t held = c->end - c->start;

	memmove(c->buf, c->buf + c->start, held);
	c->start = 0;
	c->end = held;
	if (want > c->cap) {
		uint8_t *buf = realloc(c->buf, want);

		if (buf == NULL)
			return -ENOMEM;
		c->buf = buf;
		c->cap = want;
	}
	return 0;
}

static int receive_some(struct client *c, int64_t deadline_ns)
{
	size_t n = 0;
	int rc = c->link->ops->receive(c->link, c->buf + c->end, c->cap - c->end, deadline_ns, &n);

	c->end += n;
	c->received += n;
	return rc == -ERR_EOF && c->end > c->start ? -ERR_CUT : rc;
}

/* Have at least `want` bytes from start on. */
static int fill(struct client *c, size_t want, int64_t deadline_ns)
{
	int rc = c->end - c->start < want ? make_space(c, want) : 0;

	while (rc == 0 && c->end - c->start < want)
		rc = receive_some(c, deadline_ns);
	return rc;
}

/* The next packet as it came. */
static int read_one(struct client *c, int64_t deadline_ns, struct packet *p)
{
	size_t whole;
	int rc;

	if ((rc = fill(c, PACKET_HEAD_BYTES, deadline_ns)) < 0)
		return rc;
	if ((rc = packet_decode(c->buf + c->start, c->max_body, p)) < 0)
		return rc;
	whole = PACKET_HEAD_BYTES + (size_t)p->body_bytes;
	if ((rc = fill(c, whole, deadline_ns)) < 0)
		return rc;
	p->body = c->buf + c->start + PACKET_HEAD_BYTES;
	c->start += whole;
	return 0;
}

/* Do the bytes consist of whole packets? */
static int check_packets(const uint8_t *bytes, size_t n)
{
	struct packet p;

	for (size_t at = 0; at < n; at += PACKET_HEAD_BYTES + (size_t)p.body_bytes) {
		int rc = n - at < PACKET_HEAD_BYTES ? -ERR_PACKET_LENGTH : packet_decode(bytes + at, UINT32_MAX, &p);

		if (rc < 0)
			return rc;
		if (p.body_bytes > n - at - PACKET_HEAD_BYTES)
			return -ERR_PACKET_LENGTH;
	}
	return 0;
}

int client_read(struct client *c, int64_t deadline_ns, struct packet *p)
{
	int rc;

	/* Over WebSocket pushes come in a packet around them: it is taken off, and they are next. */
	while ((rc = read_one(c, deadline_ns, p)) == 0 && p->op == OP_RAW && p->ver != PACKET_VER_PUSH) {
		if ((rc = check_packets(p->body, p->body_bytes)) < 0)
			return rc;
		c->start -= p->body_bytes;
	}
	return rc;
}

uint64_t client_received(const struct client *c)
{
	return c->received;
}

int client_fd(const struct client *c)
{
	return c->link->fd;
}

const char *client_said(const struct client *c)
{
	make_printable(c->link->said);
	return c->link->said;
}

static int add_streams(json_t *token, const struct client_identity *identity)
{
	json_t *streams = json_object();
	int rc = 0;

	if (identity->user_since > 0)
		rc = json_object_set_new(streams, "user", json_integer(identity->user_since));
	else if (identity->user_unacked)
		rc = json_object_set_new(streams, "user", json_string("unacked"));
	if (rc == 0)
		return json_object_set_new(token, "streams", streams);
	json_decref(streams);
	return rc;
}

int client_token(const struct client_identity *identity, char **out)
{
	json_t *token, *accepts;

	if (identity->dialect == DIALECT_V1)
		return asprintf(out, "%lld", (long long)identity->mid) < 0 ? -ENOMEM : 0;

	if ((accepts = json_array()) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < identity->n_accepts; i++) {
		if (json_array_append_new(accepts, json_integer(identity->accepts[i])) < 0) {
			json_decref(accepts);
			return -ENOMEM;
		}
	}
	/* json_pack takes accepts over, also when it fails, which it does for a string that is not UTF-8. */
	token = json_pack("{s:I, s:s*, s:s, s:s, s:s, s:o}", "mid", (json_int_t)identity->mid, "user", identity->user,
			  "key", identity->key != NULL ? identity->key : "", "room_id",
			  identity->room != NULL ? identity->room : "", "platform",
			  identity->platform != NULL ? identity->platform : "", "accepts", accepts);
	if (token == NULL)
		return -EINVAL;
	*out = NULL;
	if (!identity->streams || add_streams(token, identity) == 0)
		*out = json_dumps(token, JSON_COMPACT);
	json_decref(token);
	return *out != NULL ? 0 : -ENOMEM;
}

/* The answer to AUTH: with streams it has a body. */
static int read_welcome(struct client *c, const struct packet *p, struct client_goodbye *goodbye)
{
	json_t *said = json_loadb((const char *)p->body, p->body_bytes, 0, NULL);
	int rc = client_said_welcome(said, &c->welcome);

	if (rc < 0)
		(void)snprintf(goodbye->reason, sizeof(goodbye->reason), "the answer to AUTH is none");
	json_decref(said);
	return rc;
}

struct client_welcome client_welcome(const struct client *c)
{
	return c->welcome;
}

int client_authenticate(struct client *c, enum dialect dialect, const char *token, int64_t deadline_ns,
			struct client_goodbye *goodbye)
{
	struct packet p;
	int rc;

	*goodbye = (struct client_goodbye){.code = GOODBYE_UNSAID};
	rc = client_send(c, dialect == DIALECT_V2 ? 1 : 0, OP_AUTH, 1, token, (uint32_t)strlen(token), deadline_ns);
	/* A server that refuses may have closed before it read our token; its goodbye can still be read. */
	if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET)
		return rc;
	do
		rc = client_read(c, deadline_ns, &p);
	while (rc == 0 && p.op != OP_AUTH_REPLY && p.op != OP_DISCONNECT);

	if (rc == 0 && p.op == OP_DISCONNECT)
		client_read_goodbye(&p, goodbye);
	else if (rc == 0)
		rc = read_welcome(c, &p, goodbye);
	if ((rc == 0 && p.op == OP_DISCONNECT) || rc == -ERR_EOF)
		return -ERR_REFUSED;
	return rc;
}

void client_read_goodbye(const struct packet *p, struct client_goodbye *out)
{
	json_t *said = json_loadb((const char *)p->body, p->body_bytes, 0, NULL);
	const char *reason = json_string_value(json_object_get(said, "reason"));
	const char *node = json_string_value(json_array_get(json_object_get(said, "nodes"), 0));

	out->code = json_integer_value(json_object_get(said, "code"));
	snprintf(out->reason, sizeof(out->reason), "%s", reason != NULL ? reason : "");
	/* An address that is cut would be another one. */
	if (node == NULL || strlen(node) >= sizeof(out->node))
		node = "";
	snprintf(out->node, sizeof(out->node), "%s", node);
	json_decref(said);
	make_printable(out->reason);
	make_printable(out->node);
}

enum then { come_back, stay_away, get_token };

bool client_goodbye_is_final(int64_t code)
{
	switch (code) {
#define goodbye(NAME, number, then, happened, advice)                                                                  \
	case (number):                                                                                                 \
		return (then) != come_back;
#include "common/wire/goodbye.def"
#undef goodbye
	default:
		return false;
	}
}
