/* told: see told.h. Pure but for what it prints. SPDX-License-Identifier: MIT */
#include "cli/told.h"

#include <stdbool.h>
#include <string.h>

#include "cli/printer.h"

static const char *s_of(json_int_t n)
{
	return n == 1 ? "" : "s";
}

/* A list as it is: numbers, or keys. */
static void print_list(FILE *out, const json_t *list)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		fputs(i > 0 ? ", " : "", out);
		if (json_is_string(one))
			printer_word(out, json_string_value(one));
		else
			fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(one));
	}
}

/* "filtered: it accepts 1000, not 1005" */
static void print_filter(FILE *out, const json_t *data, int64_t op, bool is_one)
{
	const json_t *accepts = json_object_get(data, "accepts"), *more = json_object_get(data, "accepts_more");

	fprintf(out, "filtered: %s accepts ", is_one ? "it" : "one");
	if (json_array_size(accepts) == 0)
		fprintf(out, "nothing");
	print_list(out, accepts);
	if (more != NULL)
		fprintf(out, " and %" JSON_INTEGER_FORMAT " more", json_integer_value(more));
	fprintf(out, ", not %lld", (long long)op);
}

static void print_offline(FILE *out, const json_t *data, json_int_t offline, const char *who, unsigned n_who)
{
	char member[32];
	const json_t *list;

	(void)snprintf(member, sizeof(member), "offline_%ss", who);
	list = json_object_get(data, member);
	if (list != NULL) {
		fprintf(out, "; offline: ");
		print_list(out, list);
	} else {
		fprintf(out, "; %" JSON_INTEGER_FORMAT " of %u %ss offline", offline, n_who,
			strcmp(who, "mid") == 0 ? "user" : who);
	}
}

void told_push(FILE *out, const json_t *data, int64_t op, const char *who, unsigned n_who)
{
	const json_int_t online = json_integer_value(json_object_get(data, "online"));
	const json_int_t offline = json_integer_value(json_object_get(data, "offline"));
	const json_int_t filtered = json_integer_value(json_object_get(data, "filtered"));

	if (json_object_get(data, "online") == NULL)
		return;
	if (online == 0)
		fprintf(out, "nobody online");
	else
		fprintf(out, "%" JSON_INTEGER_FORMAT " connection%s", online, s_of(online));
	if (filtered > 0 && filtered == online)
		fprintf(out, online > 1 ? ", all " : ", ");
	else if (filtered > 0)
		fprintf(out, ", %" JSON_INTEGER_FORMAT " of them ", filtered);
	if (filtered > 0)
		print_filter(out, data, op, filtered == 1);
	if (offline > 0 && n_who > 1)
		print_offline(out, data, offline, who, n_who);
	fputc('\n', out);
}

void told_kick(FILE *out, const json_t *data)
{
	const json_t *kicked = json_object_get(data, "kicked");
	const json_int_t n = json_integer_value(kicked);

	if (kicked == NULL)
		return;
	if (n == 0)
		fprintf(out, "nobody online\n");
	else
		fprintf(out, "kicked %" JSON_INTEGER_FORMAT " connection%s\n", n, s_of(n));
}
