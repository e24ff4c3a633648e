/* bans_file: see bans_file.h. SPDX-License-Identifier: MIT */
#include "logic/bans_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/park.h"

#define HEAD       "comet bans 1\n"
#define LINE_BYTES (BAN_VALUE_BYTES + BAN_FIELD_BYTES + 1)

struct bans_file {
	unsigned magic;
#define BANS_FILE_MAGIC 0xba4500f1
	/* set once */
	const struct config *cfg;
	struct bans *bans;
	char path[PATH_MAX - 8]; /* "": none */
	/* under lock, which is held while the file is written, so that one change follows the other: only those who change bans wait for it */
	struct lock lock;
	bool said; /* that there is no file */
};

/* ---- reading ---- */

/* The value, of five words, and the field, which may have spaces. */
static int read_line(char *line, struct ban *out)
{
	char *field = line;

	for (unsigned i = 0; i < 5 && field != NULL; i++)
		field = strchr(field + (i > 0), ' ');
	if (field == NULL)
		return -EBADMSG;
	*field = '\0';
	return ban_read(field + 1, line, out);
}

/* One line without its end. 1: there is one, 0: the file ends, -EBADMSG: it ends inside one, or the line is too long. */
static int next_line(FILE *file, char line[LINE_BYTES])
{
	size_t n;

	if (fgets(line, LINE_BYTES, file) == NULL)
		return ferror(file) ? -EIO : 0;
	n = strlen(line);
	if (n == 0 || line[n - 1] != '\n')
		return -EBADMSG;
	line[n - 1] = '\0';
	return 1;
}

/* *at: the line that is at fault. */
static int read_all(struct bans_file *f, FILE *file, long *at)
{
	char line[LINE_BYTES], end[32];
	struct ban ban;
	int rc = next_line(file, line);

	if (rc <= 0 || strncmp(line, HEAD, sizeof(HEAD) - 2) != 0 || line[sizeof(HEAD) - 2] != '\0')
		return rc < 0 ? rc : -EBADMSG;
	for (*at = 2; (rc = next_line(file, line)) > 0; ++*at) {
		(void)snprintf(end, sizeof(end), "end %ld", *at - 2);
		if (strcmp(line, end) == 0)
			return fgetc(file) == EOF ? 0 : -EBADMSG;
		if ((rc = read_line(line, &ban)) < 0 || (rc = bans_take(f->bans, &ban, 1, 0, NULL)) < 0)
			return rc;
	}
	return rc < 0 ? rc : -EBADMSG; /* without its end */
}

static int say(const struct bans_file *f, enum event event, long line, int rc)
{
	LOG(LOG_ERROR, log_what(event), log_str("path", f->path), line > 0 ? log_i64("line", line) : LOG_NONE,
	    log_str("error", rc == -EBADMSG ? "no ban, or an end that is missing" : err_text(rc)));
	return rc == -ENOMEM ? rc : -ERR_CONFIG;
}

static int read_file(struct bans_file *f)
{
	FILE *file = fopen(f->path, "re");
	long line = 1;
	int rc;

	if (file == NULL)
		return errno == ENOENT ? 0 : say(f, EVENT_BANS_FILE_UNREADABLE, 0, -errno);
	rc = read_all(f, file, &line);
	(void)fclose(file);
	return rc < 0 ? say(f, EVENT_BANS_FILE_UNREADABLE, line, rc) : 0;
}

/* ---- writing ---- */

static int write_lines(FILE *file, const struct ban *list, size_t n)
{
	char field[BAN_FIELD_BYTES], value[BAN_VALUE_BYTES];

	(void)fputs(HEAD, file);
	for (size_t i = 0; i < n; i++) {
		ban_field(&list[i], field);
		ban_value(&list[i], value);
		(void)fprintf(file, "%s %s\n", value, field);
	}
	(void)fprintf(file, "end %zu\n", n);
	return fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0 ? 0 : -errno;
}

/* The name in its directory is on the disk when this returns. */
static int sync_directory(const char *path)
{
	char copy[PATH_MAX];
	int fd, rc;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) == 0 ? 0 : -errno;
	(void)close(fd);
	return rc;
}

static int write_file(const char *path, const struct ban *list, size_t n)
{
	char beside[PATH_MAX];
	FILE *file;
	int fd, rc;

	(void)snprintf(beside, sizeof(beside), "%s.new", path);
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if ((file = fdopen(fd, "w")) == NULL) {
		rc = -errno;
		(void)close(fd);
		return rc;
	}
	rc = write_lines(file, list, n);
	if (fclose(file) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(beside, path) < 0)
		rc = -errno;
	return rc == 0 ? sync_directory(path) : rc;
}

static int write_all(struct bans_file *f)
{
	struct ban *list;
	size_t n;
	int rc = bans_copy(f->bans, &list, &n);

	if (rc < 0)
		return rc;
	rc = write_file(f->path, list, n);
	free(list);
	return rc;
}

/* In memory first: a ban that cannot be written still counts until the next start. *unwritten: 0, or why it cannot. */
static int put_locked(struct bans_file *f, struct ban *list, size_t n, int *unwritten) NEEDS(f->lock)
{
	int rc;

	*unwritten = 0;
	for (size_t i = 0; i < n; i++)
		list[i].stamp = bans_next_stamp(f->bans);
	rc = bans_take(f->bans, list, n, (size_t)f->cfg->limits_bans, NULL);
	if (rc == 0 && f->path[0] != '\0')
		*unwritten = write_all(f);
	return rc;
}

static int put(void *self, struct ban *list, size_t n)
{
	struct bans_file *f = self;
	int rc, unwritten;
	bool unsaid;

	OBJ_CHECK(f, BANS_FILE_MAGIC);
	park_wait_begin(); /* a disk may take its time, and other callers of the API do not wait for it */
	lock_take(&f->lock);
	rc = put_locked(f, list, n, &unwritten);
	unsaid = f->path[0] == '\0' && !f->said;
	f->said = f->said || unsaid;
	lock_drop(&f->lock);
	park_wait_end();
	if (unsaid)
		LOG(LOG_WARN, log_what(EVENT_BANS_NOT_KEPT));
	if (unwritten == 0)
		return rc;
	/* Also of a full disk and without memory, which are no answer to the ban itself: it counts. */
	(void)say(f, EVENT_BANS_FILE_UNWRITTEN, 0, unwritten);
	return -EIO;
}

struct ban_keeper bans_file_keeper(struct bans_file *f)
{
	return (struct ban_keeper){put, f};
}

/* ---- start and end ---- */

/* systemd names the directory of a unit with StateDirectory= in the environment, and the image does the same. */
static int find_path(struct bans_file *f)
{
	const char *directory = getenv("STATE_DIRECTORY");
	int n;

	if (f->cfg->auth_bans_file[0] != '\0')
		n = snprintf(f->path, sizeof(f->path), "%s", f->cfg->auth_bans_file);
	else if (directory != NULL && directory[0] != '\0')
		n = snprintf(f->path, sizeof(f->path), "%.*s/bans", (int)strcspn(directory, ":"), directory);
	else
		return 0;
	return (size_t)n < sizeof(f->path) ? 0 : say(f, EVENT_BANS_FILE_UNREADABLE, 0, -ENAMETOOLONG);
}

static int open_file(const struct config *cfg, struct bans *bans, struct bans_file **out)
{
	struct bans_file *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return -ENOMEM;
	f->magic = BANS_FILE_MAGIC;
	f->cfg = cfg;
	f->bans = bans;
	lock_init(&f->lock, LOCK_SERVICE);
	if ((rc = find_path(f)) < 0 || (f->path[0] != '\0' && (rc = read_file(f)) < 0)) {
		bans_file_free(&f);
		return rc;
	}
	*out = f;
	return 0;
}

int bans_file_new(const struct config *cfg, struct bans *bans, struct bans_file **out)
{
	int rc = open_file(cfg, bans, out);

	if (rc < 0)
		return rc;
	/* Said now, and not at the first ban. */
	if ((*out)->path[0] != '\0' && (rc = write_all(*out)) < 0)
		(void)say(*out, EVENT_BANS_FILE_UNWRITTEN, 0, rc);
	return 0;
}

int bans_file_try(const struct config *cfg)
{
	struct bans_file *f;
	struct bans *bans;
	int rc = bans_new(&bans);

	if (rc < 0)
		return rc;
	if ((rc = open_file(cfg, bans, &f)) == 0)
		bans_file_free(&f);
	bans_free(&bans);
	return rc;
}

void bans_file_free(struct bans_file **file)
{
	struct bans_file *f = *file;

	OBJ_CHECK(f, BANS_FILE_MAGIC);
	lock_fini(&f->lock);
	f->magic = 0;
	free(f);
	*file = NULL;
}
