/* secret: see secret.h. SPDX-License-Identifier: MIT */
#include "common/base/secret.h"

#include <ctype.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/small_file.h"

static int complain(const struct secret *s, const char *file, const char *what)
{
	LOG(LOG_ERROR, log_str("setting", s->setting), log_str("file", file), log_what(EVENT_SECRET_UNREADABLE),
	    log_str("error", what));
	return -ERR_CONFIG;
}

static int read_line(const struct secret *s, const char *file, char text[SECRET_BYTES])
{
	char line[SECRET_BYTES + 2]; /* one byte too many, and the end of the line */
	size_t bytes;
	bool is_open;
	int rc = small_file_read(file, line, sizeof(line), &bytes, &is_open);

	if (rc < 0) {
		(void)complain(s, file, err_text(rc));
		return rc;
	}
	if (is_open)
		LOG(LOG_WARN, log_str("setting", s->setting), log_str("file", file), log_what(EVENT_SECRET_OPEN));
	while (bytes > 0 && (line[bytes - 1] == '\n' || line[bytes - 1] == '\r'))
		bytes--;
	if (bytes == 0)
		return complain(s, file, "it is empty");
	if (bytes >= SECRET_BYTES)
		return complain(s, file, "it has more than 512 bytes");
	for (size_t i = 0; i < bytes; i++)
		if (iscntrl((unsigned char)line[i]))
			return complain(s, file, "it has more than one line, or a control character");
	memcpy(text, line, bytes);
	text[bytes] = '\0';
	explicit_bzero(line, sizeof(line));
	return 0;
}

static int read_again(void *self)
{
	struct secret *s = self;

	return read_line(s, s->file, s->next);
}

static void settle(void *self, bool use)
{
	struct secret *s = self;

	lock_take(&s->lock);
	if (use)
		memcpy(s->text, s->next, sizeof(s->text));
	lock_drop(&s->lock);
	explicit_bzero(s->next, sizeof(s->next));
}

int secret_start(struct secret *s, const char *file)
{
	int rc;

	if (file[0] == '\0')
		return 0;
	if ((rc = read_line(s, file, s->next)) < 0)
		return rc;
	s->file = file;
	settle(s, true);
	return 0;
}

bool secret_copy(struct secret *s, char text[SECRET_BYTES])
{
	if (s->file[0] == '\0')
		return false;
	lock_take(&s->lock);
	memcpy(text, s->text, sizeof(s->text));
	lock_drop(&s->lock);
	return true;
}

struct reload_part secret_reload(struct secret *s)
{
	return (struct reload_part){
		.what = s->setting, .read = read_again, .settle = settle, .self = s->file[0] != '\0' ? s : NULL};
}
