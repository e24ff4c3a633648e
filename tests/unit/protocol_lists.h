/* protocol_lists: the operations (ops.def) and the codes of goodbyes (goodbye.def) as docs/protocol.md and the client
 * libraries write them. test_docs holds them to it. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_PROTOCOL_LISTS_H
#define TESTS_UNIT_PROTOCOL_LISTS_H

#include <stdio.h>

/* docs/protocol.md */
void print_ops_markdown(FILE *out);
void print_goodbyes_markdown(FILE *out);
/* examples/web/comet.js and comet.d.ts; version 2 of the protocol */
void print_ops_js(FILE *out);
void print_goodbyes_js(FILE *out);
void print_ops_ts(FILE *out);
void print_goodbyes_ts(FILE *out);
/* examples/python/comet_client.py; version 2 */
void print_ops_python(FILE *out);
void print_goodbyes_python(FILE *out);
/* tests/e2e/client.py; both versions */
void print_all_ops_python(FILE *out);
/* client/comet_client.h */
void print_goodbyes_c(FILE *out);

#endif
