/* client: see client.h. Any thread, one at a time. The socket never blocks by itself: poll() does the waiting, so that
 * each call ends at its deadline. SPDX-License-Identifier: MIT */
#include "client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"

#define DEFAULT_MAX_BODY (16u << 20)
#define FIRST_BUFFER     4096

struct client {
	int fd;
	int cancel_fd;
	uint32_t max_body;
	/* received and not yet handed out: buf[start..end) */
	uint8_t *buf;
	size_t cap, start, end;
};

/* Sleep until the socket is ready for `events`, at most to the deadline. */
static int wait_ready(const struct client *c, short events, int64_t deadline_ns)
{
	struct pollfd fds[2] = {{c->fd, events, 0}, {c->cancel_fd, POLLIN, 0}};

	for (;;) {
		int64_t left = deadline_ns - clock_now_ns();
		struct timespec ts = {left > 0 ? left / CLOCK_SEC : 0, left > 0 ? left % CLOCK_SEC : 0};
		int n = ppoll(fds, 2, &ts, NULL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return fds[1].revents != 0 ? -ECANCELED : 0;
		if (n == 0)
			return -ETIMEDOUT;
	}
}

static int finish_connect(const struct client *c, int64_t deadline_ns)
{
	int error = 0;
	socklen_t len = sizeof(error);
	int rc = wait_ready(c, POLLOUT, deadline_ns);

	if (rc < 0)
		return rc;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int connect_one(struct client *c, const struct addrinfo *ai, int64_t deadline_ns)
{
	int rc, on = 1;

	c->fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
	if (c->fd < 0)
		return -errno;
	if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		rc = -errno;
	else if (connect(c->fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return 0;
	else
		rc = errno == EINPROGRESS ? finish_connect(c, deadline_ns) : -errno;
	if (rc < 0) {
		close(c->fd);
		c->fd = -1;
	}
	return rc;
}

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

/* An equal share of the time that is left for each address that is left: one that nobody answers at, as IPv6 often is
 * where a network only seems to have it, leaves time for the next. */
static int connect_any(struct client *c, const struct addrinfo *list, int64_t deadline_ns)
{
	int left = 0, rc = -ENOENT;

	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		left++;
	for (const struct addrinfo *ai = list; ai != NULL && rc < 0 && rc != -ECANCELED; ai = ai->ai_next, left--) {
		int64_t now_ns = clock_now_ns();

		rc = connect_one(c, ai, now_ns + (deadline_ns - now_ns) / left);
	}
	return rc;
}

int client_connect(const struct client_options *opt, int64_t deadline_ns, struct client **out)
{
	struct addrinfo *list;
	struct client *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return -ENOMEM;
	c->fd = -1;
	c->cancel_fd = opt->cancel_fd;
	c->max_body = opt->max_body > 0 ? opt->max_body : DEFAULT_MAX_BODY;
	c->cap = FIRST_BUFFER;
	rc = -ENOMEM;
	if ((c->buf = malloc(c->cap)) == NULL)
		goto free_client;
	if ((rc = resolve(opt, &list)) < 0)
		goto free_client;

	rc = connect_any(c, list, deadline_ns);
	freeaddrinfo(list);
	if (rc < 0)
		goto free_client;
	*out = c;
	return 0;

free_client:
	client_free(&c);
	return rc;
}

void client_free(struct client **c)
{
	if (*c == NULL)
		return;
	if ((*c)->fd >= 0)
		close((*c)->fd);
	free((*c)->buf);
	free(*c);
	*c = NULL;
}

/* All of it, waiting for the peer up to the deadline. */
static int send_bytes(const struct client *c, const uint8_t *bytes, size_t n, int flags, int64_t deadline_ns)
{
	while (n > 0) {
		ssize_t sent = send(c->fd, bytes, n, flags | MSG_NOSIGNAL);
		int rc = sent < 0 ? -errno : 0;

		if (rc == -EAGAIN && (rc = wait_ready(c, POLLOUT, deadline_ns)) == 0)
			continue;
		if (rc == -EINTR)
			continue;
		if (rc < 0)
			return rc;
		bytes += sent;
		n -= (size_t)sent;
	}
	return 0;
}

int client_send(struct client *c, int16_t ver, int32_t op, int32_t seq, const void *body, uint32_t body_bytes,
		int64_t deadline_ns)
{
	uint8_t head[PACKET_HEAD_BYTES];
	int rc;

	packet_encode(head, ver, op, seq, body_bytes);
	/* MSG_MORE: header and body leave in one segment. */
	rc = send_bytes(c, head, sizeof(head), body_bytes > 0 ? MSG_MORE : 0, deadline_ns);
	if (rc == 0 && body_bytes > 0)
		rc = send_bytes(c, body, body_bytes, 0, deadline_ns);
	return rc;
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

/* Receive once. It polls first, even where bytes are known to wait, so that a server that never stops sending cannot keep
 * us from the deadline or from being cancelled. */
static int receive_some(struct client *c, int64_t deadline_ns)
{
	ssize_t n;
	int rc = wait_ready(c, POLLIN, deadline_ns);

	if (rc < 0)
		return rc;
	n = recv(c->fd, c->buf + c->end, c->cap - c->end, 0);
	if (n == 0)
		return c->end > c->start ? -ERR_CUT : -ERR_EOF;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	c->end += (size_t)n;
	return 0;
}

/* Have at least `want` bytes from start on. */
static int fill(struct client *c, size_t want, int64_t deadline_ns)
{
	int rc = c->end - c->start < want ? make_space(c, want) : 0;

	while (rc == 0 && c->end - c->start < want)
		rc = receive_some(c, deadline_ns);
	return rc;
}

int client_read(struct client *c, int64_t deadline_ns, struct packet *p)
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

int client_fd(const struct client *c)
{
	return c->fd;
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
	token = json_pack("{s:I, s:s, s:s, s:s, s:o}", "mid", (json_int_t)identity->mid, "key",
			  identity->key != NULL ? identity->key : "", "room_id",
			  identity->room != NULL ? identity->room : "", "platform",
			  identity->platform != NULL ? identity->platform : "", "accepts", accepts);
	if (token == NULL)
		return -EINVAL;
	*out = json_dumps(token, JSON_COMPACT);
	json_decref(token);
	return *out != NULL ? 0 : -ENOMEM;
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
	if ((rc == 0 && p.op == OP_DISCONNECT) || rc == -ERR_EOF)
		return -ERR_REFUSED;
	return rc;
}

/* Reasons and addresses are shown on terminals, where control characters would be obeyed. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			*text = '?';
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
