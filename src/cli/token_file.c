#include "cli/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_FILE_MAX ((size_t)16 << 10)

static enum status read_one(const char *path, struct builder *ret, struct err *err)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char part[512];
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? ST_NOT_FOUND
		                       : err_set(err, ST_IO, "%s: %s", path, strerror(errno));
	do {
		n = read(fd, part, sizeof part);
		if (n > 0)
			builder_add(ret, span_of(part, (size_t)n));
	} while (n > 0 && builder_status(ret) == ST_OK);
	wipe(part, sizeof part);
	(void)close(fd);
	if (n < 0)
		return err_set(err, ST_IO, "%s: cannot be read", path);
	while (ret->n > 0 && strchr(" \t\r\n", ret->p[ret->n - 1]) != NULL)
		ret->n--;
	if (builder_status(ret) != ST_OK)
		return err_set(err, builder_status(ret), "%s: no token", path);
	return ST_OK;
}

enum status token_file_read(const char *home, struct builder *ret, struct err *err)
{
	static const char *const names[] = {".keyturn-token", ".vault-token"};
	enum status s = ST_NOT_FOUND;
	char *path;
	size_t i;

	builder_init(ret, TOKEN_FILE_MAX);
	for (i = 0; i < sizeof names / sizeof names[0] && s == ST_NOT_FOUND; i++) {
		if (asprintf(&path, "%s/%s", home, names[i]) < 0)
			return err_set(err, ST_NOMEM, "out of memory");
		s = read_one(path, ret, err);
		free(path);
	}
	return s == ST_NOT_FOUND ? ST_OK : s;
}

static int write_all(int fd, struct span s)
{
	ssize_t n;

	while (s.n > 0) {
		n = write(fd, s.p, s.n);
		if (n < 0)
			return -1;
		s = span_from(s, (size_t)n);
	}
	return fsync(fd);
}

enum status token_file_write(const char *home, struct span token, struct err *err)
{
	char *path = NULL, *fresh = NULL;
	enum status s = ST_OK;
	int fd = -1;

	if (asprintf(&path, "%s/.keyturn-token", home) < 0)
		return err_set(err, ST_NOMEM, "out of memory");
	if (asprintf(&fresh, "%s/.keyturn-token.XXXXXX", home) < 0) {
		free(path);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	fd = mkostemp(fresh, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		s = err_set(err, ST_IO, "%s: %s", fresh, strerror(errno));
		goto out;
	}
	if (write_all(fd, token) != 0 || rename(fresh, path) != 0) {
		s = err_set(err, ST_IO, "%s: %s", path, strerror(errno));
		(void)unlink(fresh);
	}
	(void)close(fd);
out:
	free(path);
	free(fresh);
	return s;
}
