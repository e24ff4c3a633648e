/* redis_calls: requests to logic over pub/sub, and their replies. SPDX-License-Identifier: MIT */
#ifndef LOGIC_CLIENT_REDIS_CALLS_H
#define LOGIC_CLIENT_REDIS_CALLS_H

#include <pthread.h>
#include <stdbool.h>

#include "common/config/config.h"
#include "common/redis/redis_clock.h"
#include "common/redis/redis_pipe.h"
#include "common/wire/wire.h"
#include "logic_client/redis_instances.h"

struct redis_calls;

/* A request that waits for its reply, in memory of its maker's. The fields are redis_calls.c's. */
#define REDIS_ASKING_ID_BYTES 48
struct redis_asking {
	/* the maker's */
	char id[REDIS_ASKING_ID_BYTES];
	char name[REDIS_INSTANCE_BYTES];
	struct redis_call *call;
	/* under the lock of redis_calls */
	bool done;
	struct wire_reply reply;
	pthread_cond_t wake;
};

/* Called by the listening thread, with no lock held. */
struct redis_calls_owner {
	/* The reply to a request that was given up has come after all, and a session was registered that nobody knows of. */
	void (*late)(void *self, const struct wire_session *session);
	/* A reply has told the number of what was written for this comet (cluster/schema.md, A loss). */
	void (*written)(void *self, uint64_t number);
	void *self;
};

/* Start the threads; owner is copied, the others outlive it. 0, -ENOMEM, -EAGAIN, -errno. */
int redis_calls_start(const struct config *cfg, const char *server_id, struct redis_pipe *pipe,
		      struct redis_clock *clock, const struct redis_calls_owner *owner, struct redis_calls **out);
/* Join: the owner is not called any more, and every call returns at once, now and later. */
void redis_calls_stop(struct redis_calls *c);
/* After redis_calls_stop; nobody calls it any more. */
void redis_calls_free(struct redis_calls **c);

/* Ask one instance, and after logic.timeout another. Waits for at most two logic.timeouts; where no instance is up, for
 * one. No lock held. id, server, reply and expires of the request are filled in here.
 *   0            *reply is the caller's (wire_reply_fini); its rc is logic's
 *   -ERR_NO_LOGIC, -ENOMEM */
int redis_calls_ask(struct redis_calls *c, struct wire_request *request, struct wire_reply *reply);
/* The same; *unheard: an instance may have carried the request out, and no reply of it has come. */
int redis_calls_try(struct redis_calls *c, struct wire_request *request, struct wire_reply *reply, bool *unheard);

/* The same in two halves and with one try, so that one thread can have many under way. _begin waits only while no instance is up.
 *   0              *a is to be ended; it stays where it is until then
 *   -ERR_NO_LOGIC, -EAGAIN, -ENOMEM, -ESHUTDOWN  not sent, nothing to end */
int redis_calls_begin(struct redis_calls *c, struct wire_request *request, int64_t deadline_ns, struct redis_asking *a);
/* Wait for the reply. 0: as above; -ERR_NO_LOGIC: none came, and the request may have been carried out. */
int redis_calls_end(struct redis_calls *c, struct redis_asking *a, int64_t deadline_ns, struct wire_reply *reply);

/* Have replies not been heard for so long? The words say why. */
bool redis_calls_is_deaf(struct redis_calls *c, int64_t for_ns, char *words, size_t bytes);
/* Is an instance known that is up? */
bool redis_calls_has_logic(struct redis_calls *c);

#endif
