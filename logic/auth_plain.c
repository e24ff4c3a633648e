/* auth_plain: see auth_plain.h. SPDX-License-Identifier: MIT */
#include "logic/auth_plain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The rest of the text. */
struct rest {
	const char *at, *end;
};

struct piece {
	const char *at; /* NULL: the member is not there */
	size_t n;
};

enum member { MEMBER_MID, MEMBER_USER, MEMBER_KEY, MEMBER_ROOM, MEMBER_PLATFORM, MEMBER_ACCEPTS, MEMBERS };

static const char *const names[MEMBERS] = {"mid", "user", "key", "room_id", "platform", "accepts"};
/* Of a string with its zero byte. */
static const size_t bytes_max[MEMBERS] = {
	[MEMBER_USER] = USER_BYTES,
	[MEMBER_KEY] = WIRE_KEY_BYTES,
	[MEMBER_ROOM] = WIRE_ROOM_BYTES,
	[MEMBER_PLATFORM] = WIRE_TEXT_BYTES,
};

struct plain {
	unsigned seen; /* 1 << member */
	int64_t mid;
	struct piece strings[MEMBERS];
	struct rest accepts; /* from its bracket on */
	size_t n_accepts;
};

/* ---- the text ---- */

static void skip_blanks(struct rest *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r' || *r->at == '\n'))
		r->at++;
}

static bool take(struct rest *r, char byte)
{
	skip_blanks(r);
	if (r->at == r->end || *r->at != byte)
		return false;
	r->at++;
	return true;
}

static bool take_string(struct rest *r, struct piece *out)
{
	if (!take(r, '"'))
		return false;
	for (out->at = r->at; r->at < r->end && *r->at >= ' ' && *r->at < 0x7f && *r->at != '\\'; r->at++)
		if (*r->at == '"') {
			out->n = (size_t)(r->at++ - out->at);
			return true;
		}
	return false;
}

/* A whole one, of at most so many digits. One more, a point or an e behind it is nothing that the caller takes. */
static bool take_number(struct rest *r, int digits_max, int64_t *out)
{
	const bool negative = take(r, '-');
	const char *from = r->at;

	for (*out = 0; r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - from < digits_max; r->at++)
		*out = *out * 10 + (*r->at - '0');
	if (r->at == from || (*from == '0' && r->at - from > 1))
		return false;
	if (negative)
		*out = -*out;
	return true;
}

/* ---- the token ---- */

/* Each number of nine digits is an int32_t. */
static bool take_op(struct rest *r, int64_t *op)
{
	return take_number(r, 9, op);
}

static bool take_accepts(struct rest *r, struct plain *p)
{
	int64_t op;

	if (!take(r, '['))
		return false;
	p->accepts = *r;
	if (take(r, ']'))
		return true;
	while (p->n_accepts < WIRE_ACCEPTS_MAX && take_op(r, &op)) {
		p->n_accepts++;
		if (!take(r, ','))
			return take(r, ']');
	}
	return false;
}

static enum member member_of(struct piece name)
{
	unsigned i = 0;

	while (i < MEMBERS && (strlen(names[i]) != name.n || memcmp(names[i], name.at, name.n) != 0))
		i++;
	return (enum member)i;
}

static bool take_member(struct rest *r, struct plain *p)
{
	struct piece name;
	enum member m;

	if (!take_string(r, &name) || !take(r, ':'))
		return false;
	m = member_of(name);
	if (m == MEMBERS || (p->seen & 1U << m))
		return false;
	p->seen |= 1U << m;
	if (m == MEMBER_MID)
		return take_number(r, 18, &p->mid);
	if (m == MEMBER_ACCEPTS)
		return take_accepts(r, p);
	return take_string(r, &p->strings[m]) && p->strings[m].n < bytes_max[m];
}

static bool take_object(struct rest *r, struct plain *p)
{
	if (!take(r, '{'))
		return false;
	do
		if (!take_member(r, p))
			return false;
	while (take(r, ','));
	if (!take(r, '}'))
		return false;
	skip_blanks(r);
	return r->at == r->end;
}

/* ---- the identity ---- */

/* "" where it is not there. */
static char *copy(struct piece p)
{
	char *text = malloc(p.n + 1);

	if (text == NULL)
		return NULL;
	if (p.n > 0)
		memcpy(text, p.at, p.n);
	text[p.n] = '\0';
	return text;
}

/* False: it names nobody who can be a user. */
static bool take_user(struct piece p, struct user *out, char text[USER_BYTES])
{
	if (p.at == NULL)
		return true;
	memcpy(text, p.at, p.n);
	text[p.n] = '\0';
	return user_read(text, p.n, out);
}

static int copy_accepts(const struct plain *p, struct auth_identity *who)
{
	struct rest r = p->accepts;
	int64_t op;

	if (p->n_accepts == 0)
		return 0;
	if ((who->accepts = calloc(p->n_accepts, sizeof(*who->accepts))) == NULL)
		return -ENOMEM;
	while (who->n_accepts < p->n_accepts && take_op(&r, &op)) {
		who->accepts[who->n_accepts++] = (int32_t)op;
		(void)take(&r, ',');
	}
	return 0;
}

static int copy_all(const struct plain *p, const struct user *user, struct auth_identity *who)
{
	who->dialect = DIALECT_V2;
	who->mid = user->mid;
	if (user->name != NULL && (who->name = strdup(user->name)) == NULL)
		return -ENOMEM;
	if ((who->key = copy(p->strings[MEMBER_KEY])) == NULL || (who->room = copy(p->strings[MEMBER_ROOM])) == NULL ||
	    (who->platform = copy(p->strings[MEMBER_PLATFORM])) == NULL)
		return -ENOMEM;
	return copy_accepts(p, who);
}

int auth_plain_read(const struct auth_request *request, struct auth_identity *who, bool *is_plain)
{
	const char *text = (const char *)request->token;
	struct rest r = {text, text + request->token_bytes};
	struct plain p = {0};
	struct user user = {0};
	char space[USER_BYTES];

	*is_plain = take_object(&r, &p);
	user.mid = p.mid;
	/* Who has a number needs no name. */
	if (*is_plain && p.mid == 0)
		*is_plain = take_user(p.strings[MEMBER_USER], &user, space);
	return *is_plain ? copy_all(&p, &user, who) : 0;
}
