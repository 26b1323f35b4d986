#include "suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

#define MIB ((size_t)1 << 20)

static const struct storage_driver *d;

struct world {
	struct scratch scratch;
	struct storage *store;
};

static int world_make(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct storage_config config = {.map_size = 64 * MIB, .readers = 16};
	struct err err = {0};

	assert_non_null(w);
	scratch_make(&w->scratch);
	config.path = w->scratch.store;
	assert_int_equal(d->open(&config, &w->store, &err), ST_OK);
	assert_ptr_equal(w->store->driver, d);
	*state = w;
	return 0;
}

static int world_end(void **state)
{
	struct world *w = *state;

	d->close(&w->store);
	assert_null(w->store);
	scratch_remove(&w->scratch);
	free(w);
	return 0;
}

static struct storage *store_of(void **state)
{
	return ((struct world *)*state)->store;
}

/* ---- one record ---- */

static void fresh_store_is_empty(void **state)
{
	struct storage_txn *r = snapshot(store_of(state));

	assert_int_equal(d->id(r), 0);
	assert_missing(r, "a");
	assert_seek(r, "", NULL);
	assert_seek(r, "a", NULL);
	d->read_close(&r);
}

static void writer_sees_its_own_put(void **state)
{
	struct storage_txn *w = begin(store_of(state));

	put(w, "a", "1");
	assert_value(w, "a", "1");
	put(w, "a", "22");
	assert_value(w, "a", "22");
	commit(&w);
	assert_newest(store_of(state), "a", "22");
}

static void put_replaces(void **state)
{
	put_one(store_of(state), "a", "first");
	put_one(store_of(state), "b", "other");
	put_one(store_of(state), "a", "2nd");
	assert_newest(store_of(state), "a", "2nd");
	assert_newest(store_of(state), "b", "other");
}

static void del_removes(void **state)
{
	struct storage_txn *w;

	put_one(store_of(state), "a", "1");
	put_one(store_of(state), "b", "2");
	w = begin(store_of(state));
	del(w, "a");
	assert_missing(w, "a");
	del(w, "a");
	commit(&w);
	assert_newest(store_of(state), "a", NULL);
	assert_newest(store_of(state), "b", "2");
}

static void del_of_a_missing_key_is_fine(void **state)
{
	struct storage_txn *w = begin(store_of(state));

	del(w, "never there");
	put(w, "a", "1");
	del(w, "b");
	commit(&w);
	assert_newest(store_of(state), "a", "1");
}

static void empty_value_is_a_value(void **state)
{
	struct storage_txn *w = begin(store_of(state));
	struct err err = {0};

	put(w, "a", "");
	assert_int_equal(d->put(w, span_str("null"), span_of(NULL, 0), &err), ST_OK);
	assert_value(w, "a", "");
	commit(&w);
	assert_newest(store_of(state), "a", "");
	assert_newest(store_of(state), "null", "");
	assert_newest(store_of(state), "b", NULL);
}

static void fill(uint8_t *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)step(&seed);
}

static void big_values_come_back_whole(void **state)
{
	static const size_t sizes[] = {4000, 4096, 5000, 65536, MIB + 1, 5 * MIB};
	uint8_t *bytes = malloc(5 * MIB);
	struct storage_txn *t = begin(store_of(state));
	struct span got = {0};
	struct err err = {0};
	uint8_t key;

	assert_non_null(bytes);
	for (key = 0; key < 6; key++) {
		fill(bytes, sizes[key], key);
		assert_int_equal(d->put(t, span_of(&key, 1), span_of(bytes, sizes[key]), &err),
		                 ST_OK);
	}
	commit(&t);
	t = snapshot(store_of(state));
	for (key = 0; key < 6; key++) {
		fill(bytes, sizes[key], key);
		assert_int_equal(d->get(t, span_of(&key, 1), &got, &err), ST_OK);
		assert_true(span_eq(got, span_of(bytes, sizes[key])));
	}
	d->read_close(&t);
	free(bytes);
}

/* ---- limits ---- */

static void longest_key_is_taken(void **state)
{
	uint8_t key[STORAGE_KEY_MAX] = {0};
	struct span k = span_of(key, sizeof(key)), got_key = {0}, got = {0};
	struct storage_txn *t = begin(store_of(state));
	struct err err = {0};

	memset(key, 0xff, sizeof(key));
	assert_int_equal(d->put(t, k, span_str("v"), &err), ST_OK);
	commit(&t);
	t = snapshot(store_of(state));
	assert_int_equal(d->get(t, k, &got, &err), ST_OK);
	assert_span(got, "v");
	assert_int_equal(d->seek(t, k, &got_key, &got, &err), ST_OK);
	assert_true(span_eq(got_key, k));
	d->read_close(&t);
}

static void refuse_key(struct storage_txn *t, struct span key)
{
	struct span got = {0};
	struct err err = {0};

	assert_int_equal(d->put(t, key, span_str("v"), &err), ST_INVALID);
	assert_int_equal(err.status, ST_INVALID);
	assert_true(err.text[0] != '\0');
	assert_int_equal(d->del(t, key, &err), ST_INVALID);
	assert_int_equal(d->get(t, key, &got, &err), ST_INVALID);
	assert_null(got.p);
}

static void bad_keys_are_refused_and_change_nothing(void **state)
{
	static const uint8_t key[STORAGE_KEY_MAX + 1] = {1};
	struct storage_txn *t = begin(store_of(state));

	put(t, "a", "1");
	refuse_key(t, span_of(NULL, 0));
	refuse_key(t, span_of(key, sizeof(key)));
	put(t, "b", "2");
	commit(&t);
	t = snapshot(store_of(state));
	assert_seek(t, "", "a");
	assert_seek(t, "a!", "b");
	assert_seek(t, "b!", NULL);
	d->read_close(&t);
}

static void too_long_value_is_refused_and_changes_nothing(void **state)
{
	struct storage_txn *t = begin(store_of(state));
	struct err err = {0};

	put(t, "a", "1");
	/* Nothing looks at the bytes of a value that is too long. */
	assert_int_equal(d->put(t, span_str("a"), span_of("x", STORAGE_VALUE_MAX + 1), &err),
	                 ST_LIMIT);
	assert_value(t, "a", "1");
	commit(&t);
	assert_newest(store_of(state), "a", "1");
}

/* ---- order ---- */

static void order_is_of_unsigned_bytes_and_prefixes_come_first(void **state)
{
	static const char *const keys[] = {"\x01",  "a", "a\x01", "aa",   "a\x7f", "a\x80",
	                                   "a\xff", "b", "\x7f",  "\x80", "\xff",  "\xff\xff"};
	const size_t n = sizeof(keys) / sizeof(keys[0]);
	struct storage_txn *t = begin(store_of(state));

	for (size_t i = 0; i < n; i++)
		put(t, keys[i * 5 % n], "v"); /* 5 and 12 share no factor: all of them, shuffled */
	commit(&t);
	t = snapshot(store_of(state));
	assert_seek(t, "", keys[0]);
	for (size_t i = 0; i + 1 < n; i++) {
		assert_int_equal(span_cmp(span_str(keys[i]), span_str(keys[i + 1])) < 0, 1);
		assert_seek(t, keys[i], keys[i]);
	}
	assert_seek(t, "a\x02", "aa");
	assert_seek(t, "a\x81", "a\xff");
	assert_seek(t, "\xff\xff\x01", NULL);
	d->read_close(&t);
}

static void zero_bytes_in_keys_are_bytes(void **state)
{
	static const struct span keys[] = {
	    {(const uint8_t *)"\0", 1},  {(const uint8_t *)"\0\0", 2}, {(const uint8_t *)"a", 1},
	    {(const uint8_t *)"a\0", 2}, {(const uint8_t *)"a\0b", 3}, {(const uint8_t *)"b", 1}};
	struct storage_txn *t = begin(store_of(state));
	struct span k = {0}, v = {0};
	struct err err = {0};

	for (size_t i = 6; i-- > 0;)
		assert_int_equal(d->put(t, keys[i], keys[i], &err), ST_OK);
	commit(&t);
	t = snapshot(store_of(state));
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(d->seek(t, keys[i], &k, &v, &err), ST_OK);
		assert_true(span_eq(k, keys[i]) && span_eq(v, keys[i]));
	}
	d->read_close(&t);
}

/* next_after(t, key, n, ret_key): seek to just behind key, which is moved to what was found. */
static enum status next_after(struct storage_txn *t, uint8_t key[static STORAGE_KEY_MAX + 1],
                              size_t *n, struct span *ret_value)
{
	struct span k = {0};
	struct err err = {0};
	enum status st;

	key[*n] = 0;
	st = d->seek(t, span_of(key, *n + 1), &k, ret_value, &err);
	if (st)
		return st;
	memcpy(key, k.p, k.n);
	*n = k.n;
	return ST_OK;
}

static struct span numbered(uint8_t key[static 4], unsigned i)
{
	key[0] = 'k';
	key[1] = (uint8_t)(i >> 16);
	key[2] = (uint8_t)(i >> 8);
	key[3] = (uint8_t)i;
	return span_of(key, 4);
}

/* count_from_first(t): how many records a walk by seeking finds; each value must be its key. */
static unsigned count_from_first(struct storage_txn *t)
{
	uint8_t key[STORAGE_KEY_MAX + 1];
	struct span k = {0}, v = {0};
	struct err err = {0};
	unsigned found = 1;
	size_t n;

	if (d->seek(t, span_of(NULL, 0), &k, &v, &err) != ST_OK)
		return 0;
	memcpy(key, k.p, k.n);
	n = k.n;
	while (next_after(t, key, &n, &v) == ST_OK) {
		assert_true(span_eq(span_of(key, n), v));
		found++;
	}
	return found;
}

static void walk_by_seeking_finds_all_once(void **state)
{
	struct storage_txn *t = begin(store_of(state));
	struct err err = {0};
	uint8_t key[4];

	for (unsigned i = 0; i < 3000; i++) {
		struct span k = numbered(key, i * 7919 % 3000);

		assert_int_equal(d->put(t, k, k, &err), ST_OK);
	}
	assert_int_equal(count_from_first(t), 3000);
	commit(&t);
	t = snapshot(store_of(state));
	assert_int_equal(count_from_first(t), 3000);
	d->reset(t);
	renew(t);
	assert_int_equal(count_from_first(t), 3000);
	d->read_close(&t);
}

static void walk_that_deletes_what_it_finds_ends_empty(void **state)
{
	struct storage_txn *t = begin(store_of(state));
	struct span k = {0}, v = {0};
	struct err err = {0};
	unsigned found = 0;
	uint8_t key[4];

	for (unsigned i = 0; i < 1000; i++) {
		k = numbered(key, i);
		assert_int_equal(d->put(t, k, k, &err), ST_OK);
	}
	commit(&t);
	t = begin(store_of(state));
	for (; d->seek(t, span_of(NULL, 0), &k, &v, &err) == ST_OK; found++)
		assert_int_equal(d->del(t, k, &err), ST_OK);
	assert_int_equal(found, 1000);
	commit(&t);
	t = snapshot(store_of(state));
	assert_seek(t, "", NULL);
	d->read_close(&t);
}

static void walk_that_rewrites_what_it_finds(void **state)
{
	struct storage_txn *t = begin(store_of(state));
	uint8_t key[STORAGE_KEY_MAX + 1] = {0}, small[4];
	struct span k = {0}, v = {0};
	struct err err = {0};
	size_t n = 0;

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(d->put(t, numbered(small, i), span_str("old"), &err), ST_OK);
	commit(&t);
	t = begin(store_of(state));
	/* The key given to put lies where seek said: in the store's own memory. */
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(d->seek(t, span_of(key, n), &k, &v, &err), ST_OK);
		assert_true(span_eq(k, numbered(small, i)));
		assert_span(v, "old");
		memcpy(key, k.p, k.n);
		key[k.n] = 0;
		n = k.n + 1;
		assert_int_equal(d->put(t, k, span_str("a new and longer value"), &err), ST_OK);
	}
	commit(&t);
	t = snapshot(store_of(state));
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(d->get(t, numbered(small, i), &v, &err), ST_OK);
		assert_span(v, "a new and longer value");
	}
	d->read_close(&t);
}

static void walk_goes_on_in_a_newer_snapshot(void **state)
{
	uint8_t key[STORAGE_KEY_MAX + 1] = {'a'};
	struct storage_txn *r;
	struct span v = {0};
	size_t n = 1;

	for (const char *k = "abcd"; *k != '\0'; k++)
		put_one(store_of(state), (const char[]){*k, '\0'}, "v");
	r = snapshot(store_of(state));
	assert_int_equal(next_after(r, key, &n, &v), ST_OK);
	assert_int_equal(key[0], 'b');
	renew(r);
	assert_int_equal(next_after(r, key, &n, &v), ST_OK);
	assert_int_equal(key[0], 'c');
	d->reset(r);
	put_one(store_of(state), "ca", "v");
	renew(r);
	assert_int_equal(next_after(r, key, &n, &v), ST_OK);
	assert_true(n == 2 && key[0] == 'c' && key[1] == 'a');
	d->read_close(&r);
}

static void seek_behind_the_longest_keys(void **state)
{
	uint8_t key[STORAGE_KEY_MAX + 1], other[STORAGE_KEY_MAX];
	struct storage_txn *t = begin(store_of(state));
	struct span k = {0}, v = {0};
	struct err err = {0};

	memset(key, 'm', sizeof(key));
	memset(other, 'm', sizeof(other));
	other[STORAGE_KEY_MAX - 1] = 'n';
	assert_int_equal(d->put(t, span_of(key, STORAGE_KEY_MAX), span_str("1"), &err), ST_OK);
	assert_int_equal(d->put(t, span_of(other, STORAGE_KEY_MAX), span_str("2"), &err), ST_OK);
	commit(&t);
	t = snapshot(store_of(state));
	key[STORAGE_KEY_MAX] = 0;
	/* At first without a cursor that stands on the first key, then with one. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(d->seek(t, span_of(key, sizeof(key)), &k, &v, &err), ST_OK);
		assert_span(v, "2");
		assert_int_equal(d->seek(t, span_of(key, STORAGE_KEY_MAX), &k, &v, &err), ST_OK);
		assert_span(v, "1");
	}
	key[STORAGE_KEY_MAX - 1] = 'l';
	assert_int_equal(d->seek(t, span_of(key, sizeof(key)), &k, &v, &err), ST_OK);
	assert_span(v, "1");
	memset(key, 'n', sizeof(key));
	assert_int_equal(d->seek(t, span_of(key, sizeof(key)), &k, &v, &err), ST_NOT_FOUND);
	d->read_close(&t);
}

static void seek_sees_own_puts_and_dels(void **state)
{
	struct storage_txn *t;

	put_one(store_of(state), "b", "1");
	put_one(store_of(state), "d", "1");
	t = begin(store_of(state));
	assert_seek(t, "", "b");
	put(t, "a", "1");
	assert_seek(t, "", "a");
	put(t, "c", "1");
	assert_seek(t, "b\x01", "c");
	del(t, "b");
	assert_seek(t, "a\x01", "c");
	del(t, "d");
	assert_seek(t, "d", NULL);
	put(t, "e", "1");
	assert_seek(t, "d", "e");
	d->abort(&t);
	t = snapshot(store_of(state));
	assert_seek(t, "", "b");
	assert_seek(t, "b\x01", "d");
	assert_seek(t, "e", NULL);
	d->read_close(&t);
}

/* ---- transactions ---- */

static void abort_leaves_nothing(void **state)
{
	struct storage_txn *t;
	uint64_t id;

	put_one(store_of(state), "a", "kept");
	t = begin(store_of(state));
	id = d->id(t);
	put(t, "a", "lost");
	put(t, "b", "lost");
	del(t, "a");
	d->abort(&t);
	assert_null(t);
	assert_newest(store_of(state), "a", "kept");
	assert_newest(store_of(state), "b", NULL);
	t = begin(store_of(state));
	assert_int_equal(d->id(t), id);
	assert_missing(t, "b");
	d->abort(&t);
	d->abort(&t);
}

static void snapshot_stays_while_the_writer_commits(void **state)
{
	struct storage_txn *old, *t;

	put_one(store_of(state), "a", "1");
	put_one(store_of(state), "b", "1");
	old = snapshot(store_of(state));
	t = begin(store_of(state));
	put(t, "a", "2");
	del(t, "b");
	put(t, "c", "2");
	assert_value(old, "a", "1");
	commit(&t);
	assert_value(old, "a", "1");
	assert_value(old, "b", "1");
	assert_missing(old, "c");
	assert_seek(old, "b\x01", NULL);
	renew(old);
	assert_value(old, "a", "2");
	assert_missing(old, "b");
	assert_seek(old, "b", "c");
	d->read_close(&old);
}

static void each_snapshot_keeps_its_own_view(void **state)
{
	struct storage_txn *views[8];
	char value[2] = "0";

	for (int i = 0; i < 8; i++) {
		value[0] = (char)('0' + i);
		put_one(store_of(state), "a", value);
		views[i] = snapshot(store_of(state));
	}
	for (int i = 0; i < 8; i++) {
		value[0] = (char)('0' + i);
		assert_value(views[i], "a", value);
	}
	/* Let go in an order that is neither that of age nor its reverse. */
	for (int i = 0; i < 8; i++) {
		d->read_close(&views[i * 3 % 8]);
		put_one(store_of(state), "a", "x");
		for (int j = i + 1; j < 8; j++) {
			value[0] = (char)('0' + j * 3 % 8);
			assert_value(views[j * 3 % 8], "a", value);
		}
	}
}

static void answers_stay_valid_in_a_snapshot(void **state)
{
	struct span key = {0}, value = {0};
	struct storage_txn *old;
	struct err err = {0};

	put_one(store_of(state), "a", "the first value");
	old = snapshot(store_of(state));
	assert_int_equal(d->seek(old, span_str("a"), &key, &value, &err), ST_OK);
	for (int i = 0; i < 20; i++)
		put_one(store_of(state), "a", "another value, and a longer one");
	assert_missing(old, "b");
	assert_seek(old, "", "a");
	assert_span(key, "a");
	assert_span(value, "the first value");
	d->read_close(&old);
}

static void handle_is_used_again_and_again(void **state)
{
	struct storage_txn *r = snapshot(store_of(state));
	char value[2] = "0";

	d->reset(r);
	d->reset(r);
	for (int i = 0; i < 10; i++) {
		value[0] = (char)('0' + i);
		put_one(store_of(state), "a", value);
		put_one(store_of(state), "b", value);
		renew(r);
		assert_value(r, "a", value);
		assert_seek(r, "a\x01", "b");
		if (i % 2 == 0)
			d->reset(r);
	}
	d->read_close(&r);
	d->read_close(&r);
}

static void numbers_of_commits_rise(void **state)
{
	struct storage_txn *w, *r = snapshot(store_of(state));
	uint64_t last = d->id(r);

	for (int i = 0; i < 10; i++) {
		w = begin(store_of(state));
		assert_true(d->id(w) > last);
		last = d->id(w);
		put(w, "a", "1");
		assert_true(d->id(r) < last);
		commit(&w);
		renew(r);
		assert_int_equal(d->id(r), last);
	}
	d->read_close(&r);
}

static void commit_of_no_change_is_done_and_takes_no_number(void **state)
{
	struct storage_txn *w;
	uint64_t id;

	put_one(store_of(state), "a", "1");
	w = begin(store_of(state));
	del(w, "missing");
	id = commit(&w);
	w = begin(store_of(state));
	assert_int_equal(d->id(w), id);
	put(w, "a", "2");
	assert_int_equal(commit(&w), id);
	assert_newest(store_of(state), "a", "2");
}

static void put_and_del_of_the_same_key_leaves_nothing(void **state)
{
	struct storage_txn *w = begin(store_of(state));

	put(w, "a", "1");
	del(w, "a");
	commit(&w);
	w = snapshot(store_of(state));
	assert_seek(w, "", NULL);
	d->read_close(&w);
}

static void settle_tells_by_number(void **state)
{
	enum storage_outcome outcome = STORAGE_UNKNOWN;
	struct storage_txn *w;
	struct err err = {0};
	uint64_t id;

	put_one(store_of(state), "a", "1");
	id = put_one(store_of(state), "a", "2");
	assert_int_equal(d->settle(store_of(state), id, &outcome, &err), ST_OK);
	assert_int_equal(outcome, STORAGE_DONE);
	assert_int_equal(d->settle(store_of(state), id + 1, &outcome, &err), ST_OK);
	assert_int_equal(outcome, STORAGE_NOT_DONE);
	assert_newest(store_of(state), "a", "2");
	w = begin(store_of(state));
	assert_int_equal(d->id(w), id + 1);
	put(w, "b", "3");
	commit(&w);
	assert_newest(store_of(state), "b", "3");
}

/* ---- threads ---- */

#define RACE_COMMITS 400
#define RACE_READERS 3

struct race {
	struct storage *store;
	atomic_int finished;
	atomic_int broken; /* what a reader saw that it must not */
};

static void look(struct race *r, struct storage_txn *t, uint64_t *last)
{
	struct span first = {0}, second = {0}, key = {0};
	struct err err = {0};
	uint64_t id = d->id(t), told = 0;

	if (id < *last)
		atomic_fetch_add(&r->broken, 1);
	*last = id;
	if (id == 0)
		return;
	if (d->get(t, span_str("first"), &first, &err) != ST_OK ||
	    d->seek(t, span_str("second"), &key, &second, &err) != ST_OK ||
	    first.n != sizeof(told) || !span_eq(first, second)) {
		atomic_fetch_add(&r->broken, 1);
		return;
	}
	memcpy(&told, first.p, sizeof(told));
	if (told != id)
		atomic_fetch_add(&r->broken, 1);
}

static void *race_reader(void *arg)
{
	struct race *r = arg;
	struct storage_txn *t = NULL;
	struct err err = {0};
	uint64_t last = 0;

	if (d->read_open(r->store, &t, &err) != ST_OK) {
		atomic_fetch_add(&r->broken, 1);
		return NULL;
	}
	while (!atomic_load(&r->finished)) {
		if (d->renew(t, &err) != ST_OK)
			atomic_fetch_add(&r->broken, 1);
		else
			look(r, t, &last);
		if (last % 3 == 0)
			d->reset(t);
	}
	d->read_close(&t);
	return NULL;
}

static void race_writer(struct storage *store)
{
	struct err err = {0};

	for (int i = 0; i < RACE_COMMITS; i++) {
		struct storage_txn *w = begin(store);
		uint64_t id = d->id(w);
		struct span value = span_of(&id, sizeof(id));

		assert_int_equal(d->put(w, span_str("first"), value, &err), ST_OK);
		assert_int_equal(d->put(w, span_str("second"), value, &err), ST_OK);
		if (i % 5 == 0)
			d->abort(&w);
		else
			commit(&w);
	}
}

static void readers_see_whole_commits_only(void **state)
{
	struct race r = {.store = store_of(state)};
	pthread_t threads[RACE_READERS];

	for (int i = 0; i < RACE_READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race_reader, &r), 0);
	race_writer(r.store);
	atomic_store(&r.finished, 1);
	for (int i = 0; i < RACE_READERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&r.broken), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, world_make, world_end)

int suite_run(const struct storage_driver *driver)
{
	static const struct CMUnitTest cases[] = {
	    CASE(fresh_store_is_empty),
	    CASE(writer_sees_its_own_put),
	    CASE(put_replaces),
	    CASE(del_removes),
	    CASE(del_of_a_missing_key_is_fine),
	    CASE(empty_value_is_a_value),
	    CASE(big_values_come_back_whole),
	    CASE(longest_key_is_taken),
	    CASE(bad_keys_are_refused_and_change_nothing),
	    CASE(too_long_value_is_refused_and_changes_nothing),
	    CASE(order_is_of_unsigned_bytes_and_prefixes_come_first),
	    CASE(zero_bytes_in_keys_are_bytes),
	    CASE(walk_by_seeking_finds_all_once),
	    CASE(walk_that_deletes_what_it_finds_ends_empty),
	    CASE(walk_that_rewrites_what_it_finds),
	    CASE(walk_goes_on_in_a_newer_snapshot),
	    CASE(seek_behind_the_longest_keys),
	    CASE(seek_sees_own_puts_and_dels),
	    CASE(abort_leaves_nothing),
	    CASE(snapshot_stays_while_the_writer_commits),
	    CASE(each_snapshot_keeps_its_own_view),
	    CASE(answers_stay_valid_in_a_snapshot),
	    CASE(handle_is_used_again_and_again),
	    CASE(numbers_of_commits_rise),
	    CASE(commit_of_no_change_is_done_and_takes_no_number),
	    CASE(put_and_del_of_the_same_key_leaves_nothing),
	    CASE(settle_tells_by_number),
	    CASE(readers_see_whole_commits_only),
	};

	d = driver;
	return cmocka_run_group_tests_name(driver->name, cases, NULL, NULL);
}
