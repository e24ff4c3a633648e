/* floor: what the kernel alone costs. One thread, epoll, no lock, no queue and hardly a look at what comes: it answers AUTH and heartbeats
 * of Comet's protocol with 16 bytes each, and sends a push to one client or, one after the other, to all. It trusts its peers and checks
 * nothing, so no honest server does with less for a packet; one that sends many packets at once can.
 *
 *   floor   listens on three ports of 127.0.0.1 that the kernel picks, and says them on a line: for TCP, for WebSocket (a message is a
 *           packet, no key is computed), and for pushes: "R LENGTH\n" or "U USER LENGTH\n" and the payload
 * SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/wire/packet.h"
#include "tests/bench/load.h"

#define MAX         (1u << 20) /* descriptors, and users */
#define FRAME_BYTES 4          /* before a packet, for the head of its frame */

enum door { TCP, WS, PUSHES, DOORS };

static int listeners[DOORS], epoll_fd;
static uint8_t door_of[MAX];
static int all[MAX], n_all, fd_of[MAX];

/* A publisher's bytes that are not yet a whole push. */
static struct publisher {
	char bytes[1u << 16];
	size_t n;
} * publisher_of[MAX];

_Noreturn static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("floor: epoll_ctl");
}

static int listen_on(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(to);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&to, bytes) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&to, &bytes) < 0)
		die("floor: listen");
	printf("%d ", ntohs(to.sin_port));
	watch(fd);
	return fd;
}

static void let_in(enum door door)
{
	int on = 1, fd = accept(listeners[door], NULL, NULL);

	if (fd < 0)
		return;
	if (fd >= (int)MAX)
		die("floor: too many");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	door_of[fd] = (uint8_t)door;
	if (door == PUSHES && (publisher_of[fd] = calloc(1, sizeof(*publisher_of[fd]))) == NULL)
		die("floor: memory");
	watch(fd);
}

/* A packet of n bytes from out + FRAME_BYTES on. */
static void send_packet(int fd, uint8_t *out, size_t n)
{
	size_t head = 0;

	if (door_of[fd] == WS) {
		head = n < 126 ? 2 : 4;
		out[FRAME_BYTES - head] = 0x82;
		out[FRAME_BYTES - head + 1] = (uint8_t)(n < 126 ? n : 126);
		if (head == 4) {
			out[2] = (uint8_t)(n >> 8);
			out[3] = (uint8_t)n;
		}
	}
	(void)send(fd, out + FRAME_BYTES - head, head + n, MSG_NOSIGNAL);
}

static void push(int to, const char *payload, size_t n)
{
	static uint8_t out[FRAME_BYTES + PACKET_HEAD_BYTES + sizeof(publisher_of[0]->bytes)];

	packet_encode(out + FRAME_BYTES, 1, 1000, 0, (uint32_t)n);
	memcpy(out + FRAME_BYTES + PACKET_HEAD_BYTES, payload, n);
	if (to >= 0)
		send_packet(to, out, PACKET_HEAD_BYTES + n);
	else
		for (int i = 0; i < n_all; i++)
			send_packet(all[i], out, PACKET_HEAD_BYTES + n);
}

static void read_pushes(int fd)
{
	struct publisher *p = publisher_of[fd];
	ssize_t more = recv(fd, p->bytes + p->n, sizeof(p->bytes) - 1 - p->n, MSG_DONTWAIT);
	char *end;

	if (more <= 0) {
		(void)close(fd);
		return;
	}
	p->n += (size_t)more;
	p->bytes[p->n] = '\0';
	while ((end = memchr(p->bytes, '\n', p->n)) != NULL) {
		unsigned user, n;
		bool one = sscanf(p->bytes, "U %u %u", &user, &n) == 2 && user < MAX;
		size_t whole;

		if (!one && sscanf(p->bytes, "R %u", &n) != 1)
			die("floor: push");
		whole = (size_t)(end + 1 - p->bytes) + n;
		if (p->n < whole)
			break;
		push(one ? fd_of[user] : -1, end + 1, n);
		p->n -= whole;
		memmove(p->bytes, p->bytes + whole, p->n + 1);
	}
}

static void enter(int fd, const char *token)
{
	const char *key = strstr(token, "\"key\":\"k");
	unsigned user = key != NULL ? (unsigned)strtoul(key + 8, NULL, 10) : 0;

	if (user < MAX)
		fd_of[user] = fd;
	all[n_all++] = fd;
}

static void answer(int fd, const uint8_t *bytes, size_t n)
{
	uint8_t out[FRAME_BYTES + PACKET_HEAD_BYTES];
	struct packet p;

	if (n < PACKET_HEAD_BYTES || packet_decode(bytes, 1024, &p) < 0)
		return;
	if (p.op == OP_AUTH)
		enter(fd, (const char *)bytes + PACKET_HEAD_BYTES);
	packet_encode(out + FRAME_BYTES, 1, p.op == OP_AUTH ? OP_AUTH_REPLY : OP_HEARTBEAT_REPLY, p.seq, 0);
	send_packet(fd, out, PACKET_HEAD_BYTES);
}

/* A client says one thing at a time. */
static void read_client(int fd)
{
	static const char welcome[] =
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
	uint8_t bytes[1024];
	ssize_t n = recv(fd, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);
	size_t head;

	if (n <= 0) {
		(void)close(fd);
		return;
	}
	bytes[n] = '\0';
	head = (bytes[1] & 0x7f) < 126 ? 6 : 8; /* with a mask of zeros */
	if (door_of[fd] == TCP)
		answer(fd, bytes, (size_t)n);
	else if (memcmp(bytes, "GET ", 4) == 0)
		(void)send(fd, welcome, sizeof(welcome) - 1, MSG_NOSIGNAL);
	else if ((size_t)n > head)
		answer(fd, bytes + head, (size_t)n - head);
}

static void serve(int fd)
{
	for (enum door door = TCP; door < DOORS; door++)
		if (fd == listeners[door]) {
			let_in(door);
			return;
		}
	if (door_of[fd] == PUSHES)
		read_pushes(fd);
	else
		read_client(fd);
}

int main(void)
{
	struct epoll_event ready[256];

	load_allow_files();
	epoll_fd = epoll_create1(0);
	for (enum door door = TCP; door < DOORS; door++)
		listeners[door] = listen_on();
	printf("\n");
	(void)fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll_fd, ready, 256, -1);

		for (int i = 0; i < n; i++)
			serve(ready[i].data.fd);
	}
}
