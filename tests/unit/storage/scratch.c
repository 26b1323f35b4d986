#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void scratch_name(const struct scratch *s, const char *name, char out[static SCRATCH_PATH_MAX])
{
	int n = snprintf(out, SCRATCH_PATH_MAX, "%s/%s", s->folder, name);

	assert_true(n > 0 && n < SCRATCH_PATH_MAX);
}

void scratch_make(struct scratch *s)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(s->folder, sizeof(s->folder), "%s/keyturn-storage-XXXXXX",
	                 tmp != NULL ? tmp : "/tmp");

	assert_true(n > 0 && (size_t)n < sizeof(s->folder));
	assert_non_null(mkdtemp(s->folder));
	scratch_name(s, "store", s->store);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void scratch_remove(struct scratch *s)
{
	assert_int_equal(nftw(s->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

struct storage_txn *begin(struct storage *s)
{
	struct storage_txn *t = NULL;
	struct err err = {0};

	assert_int_equal(s->driver->write_begin(s, &t, &err), ST_OK);
	assert_non_null(t);
	return t;
}

void renew(struct storage_txn *t)
{
	struct err err = {0};

	assert_int_equal(t->storage->driver->renew(t, &err), ST_OK);
}

struct storage_txn *snapshot(struct storage *s)
{
	struct storage_txn *t = NULL;
	struct err err = {0};

	assert_int_equal(s->driver->read_open(s, &t, &err), ST_OK);
	assert_non_null(t);
	renew(t);
	return t;
}

void put(struct storage_txn *t, const char *key, const char *value)
{
	struct err err = {0};

	assert_int_equal(t->storage->driver->put(t, span_str(key), span_str(value), &err), ST_OK);
}

void del(struct storage_txn *t, const char *key)
{
	struct err err = {0};

	assert_int_equal(t->storage->driver->del(t, span_str(key), &err), ST_OK);
}

uint64_t commit(struct storage_txn **t)
{
	const struct storage_driver *d = (*t)->storage->driver;
	uint64_t id = d->id(*t);
	struct err err = {0};

	assert_int_equal(d->commit(t, &err), STORAGE_DONE);
	assert_null(*t);
	return id;
}

uint64_t put_one(struct storage *s, const char *key, const char *value)
{
	struct storage_txn *t = begin(s);

	put(t, key, value);
	return commit(&t);
}

void assert_span(struct span s, const char *text)
{
	assert_int_equal(s.n, strlen(text));
	assert_true(span_eq_str(s, text));
}

void assert_value(struct storage_txn *t, const char *key, const char *value)
{
	struct span got = {0};
	struct err err = {0};

	assert_int_equal(t->storage->driver->get(t, span_str(key), &got, &err), ST_OK);
	assert_span(got, value);
}

void assert_missing(struct storage_txn *t, const char *key)
{
	struct span got = {(const uint8_t *)"x", 1};
	struct err err = {0};

	assert_int_equal(t->storage->driver->get(t, span_str(key), &got, &err), ST_NOT_FOUND);
	assert_span(got, "x");
}

void assert_seek(struct storage_txn *t, const char *from, const char *key)
{
	struct span k = {0}, v = {0};
	struct err err = {0};
	enum status st = t->storage->driver->seek(t, span_str(from), &k, &v, &err);

	if (key == NULL) {
		assert_int_equal(st, ST_NOT_FOUND);
		assert_null(k.p);
		return;
	}
	assert_int_equal(st, ST_OK);
	assert_span(k, key);
}

void assert_newest(struct storage *s, const char *key, const char *value)
{
	struct storage_txn *t = snapshot(s);

	if (value != NULL)
		assert_value(t, key, value);
	else
		assert_missing(t, key);
	s->driver->read_close(&t);
	assert_null(t);
}

uint64_t step(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}
