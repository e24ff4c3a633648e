/* api_v2: the common part of the paths of goim's second HTTP API. For logic/api_*.c only. SPDX-License-Identifier: MIT */
#ifndef LOGIC_API_V2_H
#define LOGIC_API_V2_H

#include "common/base/kept.h"
#include "common/wire/wire.h"
#include "logic/api_route.h"

/* ---- replies ---- */

/* {"code":0,"message":""} */
void api_v2_reply_ok(struct api_call *call);
/* The same with "data" (NULL: out of memory; taken over). */
void api_v2_reply_data(struct api_call *call, json_t *data);
/* This status, and code with these words. */
void api_v2_reply_words(struct api_call *call, int status, int code, const char *words);
/* 400 with these words. */
void api_v2_reply_bad(struct api_call *call, const char *words);
/* rc of a logic call: 0 is told as success, any other value is the server's fault. */
void api_v2_reply_result(struct api_call *call, int rc);

/* rc of upstream_read or tidings_read, and not 0. */
void api_v2_reply_unread(struct api_call *call, int rc);

/* Header Comet-Position: number, unless that is 0. */
void api_v2_set_position(struct api_call *call, uint64_t number);
/* A member of the object: "body" where these bytes are UTF-8, or "body_hex". */
void api_v2_set_body(json_t *object, const uint8_t *body, size_t bytes);

/* ---- parameters ---- */

/* Is a parameter missing, or without a value? */
bool api_v2_is_empty(const char *text);
/* Is it 1? */
bool api_v2_is_1(const struct http_request *request, const char *name);
/* A whole number that may be given; *out stays as it is where it is not. False: the caller was told, by `words`, that it is none of these. */
struct api_number {
	const char *name;
	long long min, max;
	const char *words;
};
bool api_v2_read_number(struct api_call *call, const struct api_number *number, long long *out);
/* rc of reading a list with n entries: is there something to work with? False: the caller was told, by `words` if it is to blame. */
bool api_v2_list_is_good(struct api_call *call, int rc, size_t n, const char *words);
/* The parameter "type". NULL: the caller was told that it is missing. */
const char *api_v2_read_type(struct api_call *call);
/* type://room, or false where it would be longer than a room id may be. */
bool api_v2_room_key(const char *type, const char *room, char key[WIRE_ROOM_BYTES]);
/* The same, if the caller may have to do with it. False: he was told. */
bool api_v2_name_room(struct api_call *call, const char *type, const char *room, char key[WIRE_ROOM_BYTES]);
/* The room that "type" and "room" name, if the caller may have to do with it. False: he was told. */
bool api_v2_read_room(struct api_call *call, char key[WIRE_ROOM_BYTES]);
/* The users that "mids" name, or "users", as in api_read_mids: free(*users) in each case. False: the caller was told. */
bool api_v2_read_users(struct api_call *call, bool by_mids, struct user **users, size_t *n);
/* The name of the stream (common/base/kept.h) that "type" and "room", or "mid", or "user" name, if the caller may have to do with it. False:
 * he was told. */
bool api_v2_read_stream(struct api_call *call, char name[USER_STREAM_BYTES]);
/* The same of a user alone. */
bool api_v2_read_user_stream(struct api_call *call, char name[USER_STREAM_BYTES]);
/* "after" and "wait" of a call that may wait for news, at most so many at once. False: the caller was told. */
#define API_NEWS_MAX 1000
bool api_v2_read_wait(struct api_call *call, struct upstream_query *query);
/* How long: 90, 90s, 15m, 1h, 7d; more than nothing, and at most ten years. */
bool api_v2_read_span(const char *text, int64_t *ms);

/* ---- paths: api_push.c ---- */

void api_push_keys(struct api_call *call);
void api_push_mids(struct api_call *call);
void api_push_users(struct api_call *call);
void api_push_room(struct api_call *call);
void api_push_all(struct api_call *call);
void api_kick(struct api_call *call);

/* ---- api_batch.c ---- */

void api_batch(struct api_call *call);

/* ---- api_rooms.c ---- */

void api_room_join(struct api_call *call);
void api_room_leave(struct api_call *call);

/* ---- api_bans.c ---- */

void api_ban(struct api_call *call); /* /goim/kick with for= */
void api_bans(struct api_call *call);
void api_bans_lift(struct api_call *call);
void api_tokens_revoke(struct api_call *call);

/* ---- api_online.c ---- */

void api_online_top(struct api_call *call);
void api_online_room(struct api_call *call);
void api_online_total(struct api_call *call);

/* ---- api_who.c ---- */

void api_online_users(struct api_call *call);
void api_connections(struct api_call *call);
void api_room_members(struct api_call *call);
void api_trace(struct api_call *call);

/* ---- api_nodes.c ---- */

void api_nodes_weighted(struct api_call *call);
void api_nodes_instances(struct api_call *call);

/* ---- api_upstream.c ---- */

void api_upstream(struct api_call *call);

/* ---- api_events.c ---- */

void api_events(struct api_call *call);

/* ---- api_stream.c ---- */

void api_stream(struct api_call *call);
void api_stream_position(struct api_call *call);
void api_stream_clear(struct api_call *call);
void api_stream_acks(struct api_call *call);

#endif
