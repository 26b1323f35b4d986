#include "hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TERMS 65536

struct hooks {
	uint64_t *counts;
};

static enum status map_counts(const char *path, struct hooks *h, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *p;

	if (fd < 0 || ftruncate(fd, TERMS * (off_t)sizeof(uint64_t)) != 0) {
		if (fd >= 0)
			close(fd);
		return err_set(err, ST_IO, "cannot open %s: %s", path, strerror(errno));
	}
	p = mmap(NULL, TERMS * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return err_set(err, ST_IO, "cannot map %s: %s", path, strerror(errno));
	h->counts = p;
	return ST_OK;
}

static enum status make_dumpable(struct err *err)
{
	const char *wanted = getenv("KEYTURN_TEST_DUMPABLE");

	if (wanted == NULL || strcmp(wanted, "1") != 0)
		return ST_OK;
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
		return err_set(err, ST_IO, "cannot make the process dumpable: %s", strerror(errno));
	return ST_OK;
}

enum status hooks_new(struct hooks **ret, struct err *err)
{
	const char *path = getenv("KEYTURN_TEST_COUNT_FILE");
	struct hooks *h;
	enum status st;

	*ret = NULL;
	st = make_dumpable(err);
	if (st != ST_OK || path == NULL)
		return st;
	h = calloc(1, sizeof *h);
	if (h == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	st = map_counts(path, h, err);
	if (st != ST_OK) {
		free(h);
		return st;
	}
	*ret = h;
	return ST_OK;
}

void hooks_free(struct hooks **h)
{
	if (*h == NULL)
		return;
	munmap((*h)->counts, TERMS * sizeof(uint64_t));
	free(*h);
	*h = NULL;
}

void hooks_term_made(struct hooks *h, uint32_t term)
{
	if (term < TERMS)
		h->counts[term] = 0;
}

void hooks_encrypted(struct hooks *h, uint32_t term)
{
	if (term < TERMS)
		h->counts[term]++;
}
