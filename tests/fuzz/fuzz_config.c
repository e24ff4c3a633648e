/* Fuzzes the reader of settings: any bytes as a file, as a flag and as an environment. Whatever is taken over must be
 * printed so that it is read back the same. SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/obj.h"
#include "common/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int read_file(struct config *cfg, const char *text, size_t bytes, FILE *errors)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	char path[64];
	int rc;

	BUG_UNLESS(fd >= 0 && write(fd, text, bytes) == (ssize_t)bytes);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = config_file(cfg, path, errors);
	(void)close(fd);
	return rc;
}

static char *printed(const struct config *cfg, size_t *bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, bytes);

	BUG_UNLESS(out);
	config_print(cfg, out);
	(void)fclose(out);
	return text;
}

static void must_be_read_back_the_same(const struct config *cfg, FILE *errors)
{
	struct config again;
	size_t first_bytes;
	size_t second_bytes;
	char *first = printed(cfg, &first_bytes);
	char *second;

	BUG_UNLESS(config_init(&again) == 0);
	BUG_UNLESS(read_file(&again, first, first_bytes, errors) == 0);
	second = printed(&again, &second_bytes);
	BUG_UNLESS(strcmp(first, second) == 0);
	config_fini(&again);
	free(first);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static FILE *errors;
	char *text = malloc(bytes + 7);
	struct config cfg;

	if (!errors)
		errors = fopen("/dev/null", "we");
	BUG_UNLESS(errors && text && config_init(&cfg) == 0);
	memcpy(text, "COMET_", 6);
	memcpy(text + 6, data, bytes);
	text[6 + bytes] = '\0';
	(void)read_file(&cfg, (const char *)data, bytes, errors);
	(void)config_flag(&cfg, text + 6, errors);
	(void)config_env(&cfg, (char *[]){text, text + 6, NULL}, errors);
	(void)config_check(&cfg, false, errors);
	/* A secret is printed as ***, which is not taken. */
	cfg.http_api_key[0] = '\0';
	must_be_read_back_the_same(&cfg, errors);
	config_fini(&cfg);
	free(text);
	return 0;
}
