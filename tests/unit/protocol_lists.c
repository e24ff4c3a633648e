/* protocol_lists: see protocol_lists.h. SPDX-License-Identifier: MIT */
#include "tests/unit/protocol_lists.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum from { client, server };
enum dialects { v1 = 1, v2 = 2, both = 3, v2s = 6 };
enum then { come_back, stay_away, get_token };

static const struct {
	const char *name;
	int number;
	enum from from;
	enum dialects dialects;
	const char *words;
} OPS[] = {
#define op(NAME, number, from, dialects, words) {#NAME, (number), (from), (dialects), (words)},
#include "common/wire/ops.def"
#undef op
};
#define N_OPS (sizeof(OPS) / sizeof(OPS[0]))

static const struct {
	const char *name;
	int code;
	enum then then;
	const char *happened, *advice;
} GOODBYES[] = {
#define goodbye(NAME, code, then, happened, advice) {#NAME, (code), (then), (happened), (advice)},
#include "common/wire/goodbye.def"
#undef goodbye
};
#define N_GOODBYES (sizeof(GOODBYES) / sizeof(GOODBYES[0]))

static bool is_reply(size_t i)
{
	size_t bytes = strlen(OPS[i].name);

	return bytes > 6 && strcmp(OPS[i].name + bytes - 6, "_REPLY") == 0;
}

void print_ops_markdown(FILE *out)
{
	static const char *const versions[] = {[v1] = " (v1)", [v2] = " (v2)", [both] = "", [v2s] = " (with streams)"};

	(void)fputs("| op | from | name | answered with |\n| --- | --- | --- | --- |\n", out);
	for (size_t i = 0; i < N_OPS; i++) {
		if (is_reply(i))
			continue;
		(void)fprintf(out, "| %d | %s | %s%s | ", OPS[i].number, OPS[i].from == client ? "client" : "server",
			      OPS[i].words, versions[OPS[i].dialects]);
		if (i + 1 < N_OPS && is_reply(i + 1))
			(void)fprintf(out, "%d |\n", OPS[i + 1].number);
		else
			(void)fputs("never |\n", out);
	}
	(void)fputs("| others | both | an application's own, by custom 1000 and above | the same (v2) |\n", out);
}

void print_goodbyes_markdown(FILE *out)
{
	(void)fputs("| code | name | what happened | what a client should do |\n| --- | --- | --- | --- |\n", out);
	for (size_t i = 0; i < N_GOODBYES; i++) {
		(void)fprintf(out, "| %d | ", GOODBYES[i].code);
		for (const char *p = GOODBYES[i].name; *p != '\0'; p++)
			(void)fputc(tolower((unsigned char)*p), out);
		(void)fprintf(out, " | %s | %s |\n", GOODBYES[i].happened, GOODBYES[i].advice);
	}
}

/* A line for each operation that one of the dialects has. */
static void print_ops(FILE *out, enum dialects dialects, const char *before, const char *between, const char *after)
{
	for (size_t i = 0; i < N_OPS; i++)
		if ((OPS[i].dialects & dialects) != 0)
			(void)fprintf(out, "%s%s%s%d%s\n", before, OPS[i].name, between, OPS[i].number, after);
}

static void print_goodbyes(FILE *out, const char *before, const char *between, const char *after)
{
	for (size_t i = 0; i < N_GOODBYES; i++)
		(void)fprintf(out, "%s%s%s%d%s\n", before, GOODBYES[i].name, between, GOODBYES[i].code, after);
}

/* The names of those after which clients do `a` or `b`, with commas. */
static void print_names(FILE *out, const char *before, enum then a, enum then b)
{
	const char *comma = "";

	for (size_t i = 0; i < N_GOODBYES; i++)
		if (GOODBYES[i].then == a || GOODBYES[i].then == b) {
			(void)fprintf(out, "%s%s%s", comma, before, GOODBYES[i].name);
			comma = ", ";
		}
}

void print_ops_js(FILE *out)
{
	(void)fputs("export const Op = Object.freeze({\n", out);
	print_ops(out, v2, "\t", ": ", ",");
	(void)fputs("});\n", out);
}

void print_goodbyes_js(FILE *out)
{
	(void)fputs("export const Goodbye = Object.freeze({\n", out);
	print_goodbyes(out, "\t", ": ", ",");
	(void)fputs("});\nconst FINAL = new Set([\n\t", out);
	print_names(out, "Goodbye.", stay_away, get_token);
	(void)fputs(",\n]);\nconst NEEDS_TOKEN = new Set([", out);
	print_names(out, "Goodbye.", get_token, get_token);
	(void)fputs("]);\n", out);
}

void print_ops_ts(FILE *out)
{
	(void)fputs("export declare const Op: Readonly<{\n", out);
	print_ops(out, v2, "\t", ": ", ";");
	(void)fputs("}>;\n", out);
}

void print_goodbyes_ts(FILE *out)
{
	(void)fputs("export declare const Goodbye: Readonly<{\n", out);
	print_goodbyes(out, "\t", ": ", ";");
	(void)fputs("}>;\n", out);
}

void print_ops_python(FILE *out)
{
	(void)fputs("class Op(enum.IntEnum):\n", out);
	print_ops(out, v2, "    ", " = ", "");
}

void print_all_ops_python(FILE *out)
{
	(void)fputs("class Op(enum.IntEnum):\n", out);
	print_ops(out, both, "    ", " = ", "");
}

void print_goodbyes_python(FILE *out)
{
	(void)fputs("class Code(enum.IntEnum):\n", out);
	print_goodbyes(out, "    ", " = ", "");
	(void)fputs("\n\nFINAL = {", out);
	print_names(out, "Code.", stay_away, get_token);
	(void)fputs("}\nNEEDS_TOKEN = {", out);
	print_names(out, "Code.", get_token, get_token);
	(void)fputs("}\n", out);
}

void print_goodbyes_c(FILE *out)
{
	(void)fputs("enum comet_client_code {\n\tCOMET_CLIENT_UNSAID = 0,\n", out);
	print_goodbyes(out, "\tCOMET_CLIENT_", " = ", ",");
	(void)fputs("};\n", out);
}
