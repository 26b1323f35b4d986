/*
 * The same operations, drawn from fixed seeds, on LMDB and on the store in memory: every answer
 * must be the same, in the write transaction and in readers that hold older snapshots.  LMDB is
 * closed and opened again in between.
 */
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

#define OPERATIONS 6000
#define READERS    4
#define VALUE_MAX  9000

enum side { MEM, LMDB, SIDES };

struct twins {
	struct scratch scratch;
	uint64_t random;
	struct storage *store[SIDES];
	struct storage_txn *writer[SIDES];
	struct storage_txn *reader[READERS][SIDES];
	bool holds[READERS];
	uint8_t *value;
};

static const struct storage_driver *driver(struct storage *s)
{
	return s->driver;
}

static uint64_t below(struct twins *t, uint64_t n)
{
	return step(&t->random) % n;
}

static void open_side(struct twins *t, enum side side)
{
	const struct storage_driver *d = side == MEM ? &storage_mem : &storage_lmdb;
	struct storage_config config = {.path = t->scratch.store, .map_size = (size_t)256 << 20};
	struct err err = {0};

	assert_int_equal(d->open(&config, &t->store[side], &err), ST_OK);
}

static void open_readers(struct twins *t, enum side side)
{
	struct err err = {0};

	for (int i = 0; i < READERS; i++)
		assert_int_equal(
		    driver(t->store[side])->read_open(t->store[side], &t->reader[i][side], &err),
		    ST_OK);
}

static void close_readers(struct twins *t, enum side side)
{
	for (int i = 0; i < READERS; i++)
		driver(t->store[side])->read_close(&t->reader[i][side]);
}

/*
 * A few letters, the extreme bytes among them, so that keys meet, nest and repeat; now and then a
 * long one.
 */
static struct span random_key(struct twins *t, uint8_t buf[static STORAGE_KEY_MAX])
{
	static const uint8_t letters[] = {0x00, 0x01, 'a', 'b', 0x7f, 0x80, 0xff};
	size_t n = 1 + below(t, 4);

	if (below(t, 20) == 0)
		n = STORAGE_KEY_MAX - below(t, 3);
	memset(buf, 'a', STORAGE_KEY_MAX);
	for (size_t i = 0; i < n && i < 4; i++)
		buf[i] = letters[below(t, sizeof(letters))];
	if (n > 4)
		buf[n - 1] = letters[below(t, sizeof(letters))];
	return span_of(buf, n);
}

static struct span random_value(struct twins *t)
{
	size_t n = below(t, 10) == 0 ? below(t, VALUE_MAX) : below(t, 200);

	memset(t->value, (int)below(t, 256), n);
	return span_of(t->value, n);
}

/* txns: one of each side. */
static void compare_get(struct storage_txn *const txns[static SIDES], struct span key)
{
	struct span v[SIDES] = {{0}};
	enum status st[SIDES];
	struct err err = {0};

	for (int i = 0; i < SIDES; i++)
		st[i] = driver(txns[i]->storage)->get(txns[i], key, &v[i], &err);
	assert_int_equal(st[LMDB], st[MEM]);
	assert_true(st[MEM] == ST_OK || st[MEM] == ST_NOT_FOUND);
	assert_true(span_eq(v[LMDB], v[MEM]));
}

/* compare_seek: also copies what was found to next, with a zero byte behind; false at the end. */
static bool compare_seek(struct storage_txn *const txns[static SIDES], struct span from,
                         uint8_t next[static STORAGE_KEY_MAX + 1], size_t *ret_n)
{
	struct span k[SIDES] = {{0}}, v[SIDES] = {{0}};
	enum status st[SIDES];
	struct err err = {0};

	for (int i = 0; i < SIDES; i++)
		st[i] = driver(txns[i]->storage)->seek(txns[i], from, &k[i], &v[i], &err);
	assert_int_equal(st[LMDB], st[MEM]);
	assert_true(st[MEM] == ST_OK || st[MEM] == ST_NOT_FOUND);
	assert_true(span_eq(k[LMDB], k[MEM]) && span_eq(v[LMDB], v[MEM]));
	if (st[MEM] == ST_NOT_FOUND)
		return false;
	assert_true(span_cmp(k[MEM], from) >= 0);
	memcpy(next, k[MEM].p, k[MEM].n);
	next[k[MEM].n] = 0;
	*ret_n = k[MEM].n + 1;
	return true;
}

static void compare_walk(struct twins *t, struct storage_txn *const txns[static SIDES], size_t most)
{
	uint8_t key[STORAGE_KEY_MAX + 1] = {0};
	size_t n = 0;

	if (below(t, 2) == 0)
		n = random_key(t, key).n;
	for (size_t i = 0; i < most; i++) {
		if (!compare_seek(txns, span_of(key, n), key, &n))
			return;
	}
}

static void change(struct twins *t)
{
	uint8_t buf[STORAGE_KEY_MAX] = {0};
	struct span key = random_key(t, buf);
	struct span value = random_value(t);
	bool puts = below(t, 5) < 3;
	struct err err = {0};

	for (int i = 0; i < SIDES; i++) {
		struct storage_txn *w = t->writer[i];
		enum status st = puts ? driver(t->store[i])->put(w, key, value, &err)
		                      : driver(t->store[i])->del(w, key, &err);

		assert_int_equal(st, ST_OK);
	}
}

static void begin_both(struct twins *t)
{
	for (int i = 0; i < SIDES; i++)
		t->writer[i] = begin(t->store[i]);
	assert_int_equal(driver(t->store[MEM])->id(t->writer[MEM]),
	                 driver(t->store[LMDB])->id(t->writer[LMDB]));
}

static void end_both(struct twins *t)
{
	bool commits = below(t, 4) != 0;

	for (int i = 0; i < SIDES; i++) {
		if (commits)
			commit(&t->writer[i]);
		else
			driver(t->store[i])->abort(&t->writer[i]);
	}
}

static void use_reader(struct twins *t)
{
	size_t r = below(t, READERS);
	uint8_t buf[STORAGE_KEY_MAX] = {0};

	if (!t->holds[r] || below(t, 4) == 0) {
		for (int i = 0; i < SIDES; i++)
			renew(t->reader[r][i]);
		t->holds[r] = true;
		assert_int_equal(driver(t->store[MEM])->id(t->reader[r][MEM]),
		                 driver(t->store[LMDB])->id(t->reader[r][LMDB]));
	}
	compare_get(t->reader[r], random_key(t, buf));
	compare_walk(t, t->reader[r], below(t, 30) == 0 ? SIZE_MAX : 5);
	if (below(t, 8) == 0) {
		for (int i = 0; i < SIDES; i++)
			driver(t->store[i])->reset(t->reader[r][i]);
		t->holds[r] = false;
	}
}

static void reopen(struct twins *t)
{
	close_readers(t, LMDB);
	storage_lmdb.close(&t->store[LMDB]);
	open_side(t, LMDB);
	open_readers(t, LMDB);
	for (int i = 0; i < READERS; i++) {
		storage_mem.reset(t->reader[i][MEM]);
		t->holds[i] = false;
	}
}

static void operate(struct twins *t)
{
	uint8_t buf[STORAGE_KEY_MAX] = {0};

	if (t->writer[MEM] == NULL) {
		if (below(t, 60) == 0)
			reopen(t);
		if (below(t, 3) == 0)
			begin_both(t);
		else
			use_reader(t);
		return;
	}
	switch (below(t, 12)) {
	case 0:
		end_both(t);
		break;
	case 1:
		compare_get(t->writer, random_key(t, buf));
		break;
	case 2:
		compare_walk(t, t->writer, 6);
		break;
	case 3:
		use_reader(t);
		break;
	default:
		change(t);
	}
}

static void run(uint64_t seed)
{
	struct twins t = {.random = seed, .value = malloc(VALUE_MAX)};

	assert_non_null(t.value);
	scratch_make(&t.scratch);
	for (int i = 0; i < SIDES; i++) {
		open_side(&t, i == MEM ? MEM : LMDB);
		open_readers(&t, i == MEM ? MEM : LMDB);
	}
	for (int i = 0; i < OPERATIONS; i++)
		operate(&t);
	for (int i = 0; i < SIDES; i++) {
		driver(t.store[i])->abort(&t.writer[i]);
		renew(t.reader[0][i]);
	}
	compare_walk(&t, t.reader[0], SIZE_MAX);
	close_readers(&t, MEM);
	close_readers(&t, LMDB);
	storage_mem.close(&t.store[MEM]);
	storage_lmdb.close(&t.store[LMDB]);
	scratch_remove(&t.scratch);
	free(t.value);
}

static void lmdb_answers_as_memory_does(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++)
		run(seed);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
	    cmocka_unit_test(lmdb_answers_as_memory_does),
	};

	return cmocka_run_group_tests_name("random", cases, NULL, NULL);
}
