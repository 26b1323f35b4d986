/*
 * The store in memory when memory ends: the linker sends its malloc and calloc here, the n-th call
 * fails.
 */
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

static const struct storage_driver *const d = &storage_mem;

static struct {
	size_t calls; /* so far */
	size_t first; /* the first call that fails; 0: none */
	size_t last;  /* and the last */
} heap;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);

static bool heap_fails(void)
{
	heap.calls++;
	return heap.first != 0 && heap.calls >= heap.first && heap.calls <= heap.last;
}

void *__wrap_malloc(size_t n)
{
	return heap_fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return heap_fails() ? NULL : __real_calloc(n, size);
}

static void heap_is(size_t first, size_t last)
{
	heap.calls = 0;
	heap.first = first;
	heap.last = last;
}

static enum status put_number(struct storage_txn *w, uint8_t number)
{
	struct err err = {0};

	return d->put(w, span_of(&number, 1), span_str("value"), &err);
}

/* change(w): returns ST_OK, or the status of the first call that failed. */
static enum status change(struct storage_txn *w)
{
	struct err err = {0};
	enum status st = ST_OK;

	for (uint8_t i = 0; !st && i < 60; i++)
		st = put_number(w, (uint8_t)(i * 37));
	for (uint8_t i = 0; !st && i < 30; i++)
		st = d->del(w, span_of(&i, 1), &err);
	return st;
}

/* try_change(s): a transaction on a heap that may fail; ST_OK when it was committed. */
static enum status try_change(struct storage *s)
{
	struct storage_txn *w = NULL;
	struct err err = {0};
	struct span value = {0};
	enum status st = d->write_begin(s, &w, &err);

	if (st) {
		assert_null(w);
		return st;
	}
	st = change(w);
	if (!st) {
		assert_int_equal(d->commit(&w, &err), STORAGE_DONE);
		return ST_OK;
	}
	/* From the failure on everything says so, and nothing of it is committed. */
	heap_is(0, 0);
	assert_int_equal(put_number(w, 250), st);
	assert_int_equal(d->del(w, span_str("a"), &err), st);
	assert_int_equal(d->get(w, span_str("a"), &value, &err), st);
	assert_int_equal(d->commit(&w, &err), STORAGE_NOT_DONE);
	assert_null(w);
	assert_int_equal(err.status, st);
	return st;
}

static unsigned count(struct storage *s)
{
	struct storage_txn *r = snapshot(s);
	uint8_t next[2] = {0};
	struct span k = {0}, v = {0};
	struct err err = {0};
	unsigned n = 0;
	size_t from = 0;

	for (; d->seek(r, span_of(next, from), &k, &v, &err) == ST_OK; n++) {
		assert_int_equal(k.n, 1);
		next[0] = k.p[0];
		from = 2;
	}
	d->read_close(&r);
	return n;
}

static struct storage *fresh(void)
{
	struct storage *s = NULL;
	struct err err = {0};

	heap_is(0, 0);
	assert_int_equal(d->open(NULL, &s, &err), ST_OK);
	put_one(s, "\xfe", "kept");
	return s;
}

/*
 * run_with(first, last): returns whether the transaction was committed although these allocations
 * failed.
 */
static bool run_with(size_t first, size_t last)
{
	struct storage *s = fresh();
	struct storage_txn *old = snapshot(s);
	enum status st;
	unsigned left;

	heap_is(first, last);
	st = try_change(s);
	heap_is(0, 0);
	left = count(s);
	assert_value(old, "\xfe", "kept");
	d->read_close(&old);
	if (st) {
		assert_int_equal(st, ST_NOMEM);
		assert_int_equal(left, 1);
		assert_newest(s, "\xfe", "kept");
	}
	heap_is(0, 0);
	assert_int_equal(try_change(s), ST_OK);
	assert_true(count(s) > 1);
	if (!st)
		assert_int_equal(count(s), left);
	d->close(&s);
	return !st;
}

static void one_allocation_fails(void **state)
{
	size_t n = 1;

	(void)state;
	while (!run_with(n, n))
		n++;
	assert_true(n > 60); /* a record each at least: the fault did strike */
}

static void all_allocations_fail_from_one_on(void **state)
{
	size_t n = 1;

	(void)state;
	while (!run_with(n, SIZE_MAX))
		n++;
	assert_true(n > 60);
}

static void open_without_memory(void **state)
{
	struct storage *s = NULL;
	struct err err = {0};

	(void)state;
	for (size_t n = 1; n <= 2; n++) {
		heap_is(n, n);
		assert_int_equal(d->open(NULL, &s, &err), ST_NOMEM);
		assert_null(s);
	}
	s = fresh();
	d->close(&s);
}

static void reader_without_memory(void **state)
{
	struct storage *s = fresh();
	struct storage_txn *r = NULL;
	struct err err = {0};

	(void)state;
	heap_is(1, 1);
	assert_int_equal(d->read_open(s, &r, &err), ST_NOMEM);
	assert_null(r);
	heap_is(0, 0);
	assert_newest(s, "\xfe", "kept");
	d->close(&s);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
	    cmocka_unit_test(one_allocation_fails),
	    cmocka_unit_test(all_allocations_fail_from_one_on),
	    cmocka_unit_test(open_without_memory),
	    cmocka_unit_test(reader_without_memory),
	};

	return cmocka_run_group_tests_name("mem_fault", cases, NULL, NULL);
}
