/* session_out: see session_out.h. SPDX-License-Identifier: MIT */
#include "cli/session_out.h"

#include <errno.h>

#include "common/base/err.h"

static int unwritten(const char *what, int rc)
{
	if (rc < 0)
		fprintf(stderr, "comet-cli: cannot write the %s: %s\n", what, err_text(rc));
	return rc;
}

int session_out_message(const struct packet *p, const struct printer_place *place, const struct printer_style *style)
{
	return unwritten("message", printer_print(stdout, p, place, style));
}

int session_out_answer(const struct packet *p, const char *sent, bool json)
{
	int rc = 0;

	if (json)
		rc = printer_print(stdout, p, NULL, &(struct printer_style){.json = true});
	else if (p->op == OP_CHANGE_ROOM_REPLY && p->body_bytes > 0)
		printf("in room %s\n", sent);
	else if (p->op != OP_CHANGE_ROOM_REPLY || sent[0] == '\0')
		printf("answered\n");
	if (rc == 0 && fflush(stdout) != 0)
		rc = -errno;
	return unwritten("answer", rc);
}
