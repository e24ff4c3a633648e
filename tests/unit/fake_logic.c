/* fake_logic: see fake_logic.h. SPDX-License-Identifier: MIT */
#include "tests/unit/fake_logic.h"

#include <stdio.h>
#include <string.h>

void fake_logic_id(const char *request, char id[FAKE_LOGIC_ID_BYTES])
{
	static const char before[] = "\"id\":\"";
	const char *at = strstr(request, before);

	id[0] = '\0';
	if (at == NULL)
		return;
	at += strlen(before);
	(void)snprintf(id, FAKE_LOGIC_ID_BYTES, "%.*s", (int)strcspn(at, "\""), at);
}

void fake_logic_reply(struct fake_redis *f, const char *id, const char *members)
{
	char text[512], message[1024];

	(void)snprintf(text, sizeof(text), "{\"id\":\"%s\",%s}", id, members);
	(void)snprintf(message, sizeof(message), "*3\r\n$7\r\nmessage\r\n$13\r\ncomet:reply:c\r\n$%zu\r\n%s\r\n",
		       strlen(text), text);
	fake_redis_tell(f, message);
}
