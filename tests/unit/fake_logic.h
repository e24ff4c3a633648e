/* fake_logic: what an instance of logic says over fake_redis. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_LOGIC_H
#define TESTS_UNIT_FAKE_LOGIC_H

#include "tests/unit/fake_redis.h"

/* Redis's answer to who asks for the list of instances: nobody, or one that is up for years. */
#define FAKE_LOGIC_NOBODY "*1\r\n$13\r\n1700000000000\r\n"
#define FAKE_LOGIC_ONE    "*3\r\n$13\r\n1700000000000\r\n$5\r\nlogic\r\n$13\r\n1900000000000\r\n"

#define FAKE_LOGIC_ID_BYTES 64
/* The id of a request, as it was published; "" where there is none. */
void fake_logic_id(const char *request, char id[FAKE_LOGIC_ID_BYTES]);
/* Send the comet "c" a reply to the request of this id, with these members ("code":0,...). Only from inside an answer. */
void fake_logic_reply(struct fake_redis *f, const char *id, const char *members);

#endif
