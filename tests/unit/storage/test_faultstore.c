#include <stdlib.h>

#include "lib/faultstore.h"
#include "scratch.h"
#include "suite.h"

static const struct storage_driver *const d = &faultstore_driver;

static int store_make(void **state)
{
	struct storage_config config = {0};
	struct storage *s = NULL;
	struct err err = {0};

	assert_int_equal(d->open(&config, &s, &err), ST_OK);
	put_one(s, "old", "1");
	*state = s;
	return 0;
}

static int store_end(void **state)
{
	struct storage *s = *state;

	d->close(&s);
	assert_null(s);
	return 0;
}

static void order(struct storage *s, enum faultstore_call call, size_t nth,
                  enum faultstore_repeat repeat, enum status status)
{
	const struct faultstore_plan plan = {
	    .call = call, .nth = nth, .repeat = repeat, .status = status};

	faultstore_order(s, &plan);
}

static void nth_call_fails_once(void **state)
{
	struct storage *s = *state;
	struct storage_txn *r = snapshot(s);
	struct span v = {0};
	struct err err = {0};

	order(s, FAULTSTORE_GET, 3, FAULTSTORE_ONCE, ST_IO);
	assert_value(r, "old", "1");
	assert_value(r, "old", "1");
	assert_int_equal(d->get(r, span_str("old"), &v, &err), ST_IO);
	assert_int_equal(err.status, ST_IO);
	assert_null(v.p);
	assert_value(r, "old", "1");
	assert_int_equal(faultstore_calls(s, FAULTSTORE_GET), 4);
	assert_int_equal(faultstore_calls(s, FAULTSTORE_SEEK), 0);
	assert_int_equal(faultstore_failures(s), 1);
	d->read_close(&r);
}

static void nth_call_and_all_after_it_fail(void **state)
{
	struct storage *s = *state;
	struct storage_txn *r = snapshot(s);
	struct span k = {0}, v = {0};
	struct err err = {0};

	order(s, FAULTSTORE_SEEK, 2, FAULTSTORE_FOR_EVER, ST_CORRUPT);
	assert_seek(r, "", "old");
	for (int i = 0; i < 3; i++)
		assert_int_equal(d->seek(r, span_str(""), &k, &v, &err), ST_CORRUPT);
	assert_int_equal(faultstore_failures(s), 3);
	faultstore_mend(s);
	assert_seek(r, "", "old");
	assert_int_equal(faultstore_failures(s), 3);
	d->read_close(&r);
}

static void transactions_cannot_be_had(void **state)
{
	struct storage *s = *state;
	struct storage_txn *t = NULL;
	struct err err = {0};

	order(s, FAULTSTORE_READ_OPEN, 1, FAULTSTORE_ONCE, ST_NOMEM);
	assert_int_equal(d->read_open(s, &t, &err), ST_NOMEM);
	order(s, FAULTSTORE_WRITE_BEGIN, 1, FAULTSTORE_ONCE, ST_IO);
	assert_int_equal(d->write_begin(s, &t, &err), ST_IO);
	assert_null(t);
	order(s, FAULTSTORE_RENEW, 1, FAULTSTORE_ONCE, ST_IO);
	assert_int_equal(d->read_open(s, &t, &err), ST_OK);
	assert_int_equal(d->renew(t, &err), ST_IO);
	renew(t);
	assert_value(t, "old", "1");
	d->read_close(&t);
	put_one(s, "old", "2");
	assert_newest(s, "old", "2");
}

static void broken_by(struct storage *s, enum faultstore_call call)
{
	struct storage_txn *w = begin(s);
	struct span k = {0}, v = {0};
	struct err err = {0};

	put(w, "new", "2");
	order(s, call, 1, FAULTSTORE_ONCE, ST_FULL);
	if (call == FAULTSTORE_PUT)
		assert_int_equal(d->put(w, span_str("a"), span_str("b"), &err), ST_FULL);
	else
		assert_int_equal(d->del(w, span_str("old"), &err), ST_FULL);
	assert_int_equal(d->put(w, span_str("a"), span_str("b"), &err), ST_FULL);
	assert_int_equal(d->del(w, span_str("a"), &err), ST_FULL);
	assert_int_equal(d->get(w, span_str("old"), &v, &err), ST_FULL);
	assert_int_equal(d->seek(w, span_str("old"), &k, &v, &err), ST_FULL);
	assert_int_equal(d->commit(&w, &err), STORAGE_NOT_DONE);
	assert_null(w);
	assert_newest(s, "old", "1");
	assert_newest(s, "new", NULL);
}

static void failed_put_breaks_the_transaction(void **state)
{
	broken_by(*state, FAULTSTORE_PUT);
	put_one(*state, "new", "3");
	assert_newest(*state, "new", "3");
}

static void failed_del_breaks_the_transaction(void **state)
{
	broken_by(*state, FAULTSTORE_DEL);
}

static enum storage_outcome commit_with(struct storage *s, enum faultstore_commit how,
                                        uint64_t *ret_id)
{
	const struct faultstore_plan plan = {
	    .call = FAULTSTORE_COMMIT, .nth = 2, .status = ST_IO, .commit = how};
	struct storage_txn *w;
	struct err err = {0};
	enum storage_outcome outcome;

	faultstore_order(s, &plan);
	put_one(s, "first", "1");
	w = begin(s);
	*ret_id = d->id(w);
	put(w, "old", "2");
	outcome = d->commit(&w, &err);
	assert_null(w);
	assert_int_equal(err.status, ST_IO);
	assert_int_equal(faultstore_failures(s), 1);
	return outcome;
}

static void commit_is_not_done(void **state)
{
	uint64_t id;

	assert_int_equal(commit_with(*state, FAULTSTORE_NOT_DONE, &id), STORAGE_NOT_DONE);
	assert_newest(*state, "first", "1");
	assert_newest(*state, "old", "1");
	assert_int_equal(put_one(*state, "old", "3"), id);
}

static void unknown_then(struct storage *s, enum faultstore_commit how,
                         enum storage_outcome expected, const char *value)
{
	enum storage_outcome outcome = STORAGE_UNKNOWN;
	struct storage_txn *t = NULL;
	struct err err = {0};
	uint64_t id;

	assert_int_equal(commit_with(s, how, &id), STORAGE_UNKNOWN);
	assert_int_equal(d->write_begin(s, &t, &err), ST_IO);
	assert_int_equal(d->read_open(s, &t, &err), ST_IO);
	assert_null(t);
	order(s, FAULTSTORE_SETTLE, 1, FAULTSTORE_ONCE, ST_IO);
	assert_int_equal(d->settle(s, id, &outcome, &err), ST_IO);
	assert_int_equal(outcome, STORAGE_UNKNOWN);
	assert_int_equal(d->write_begin(s, &t, &err), ST_IO);
	assert_int_equal(d->settle(s, id, &outcome, &err), ST_OK);
	assert_int_equal(outcome, expected);
	assert_newest(s, "first", "1");
	assert_newest(s, "old", value);
	put_one(s, "old", "3");
	assert_newest(s, "old", "3");
}

static void commit_is_unknown_but_done(void **state)
{
	unknown_then(*state, FAULTSTORE_UNKNOWN_BUT_DONE, STORAGE_DONE, "2");
}

static void commit_is_unknown_and_not_done(void **state)
{
	unknown_then(*state, FAULTSTORE_UNKNOWN_AND_NOT_DONE, STORAGE_NOT_DONE, "1");
}

static void held_snapshot_outlives_an_unknown_outcome(void **state)
{
	struct storage_txn *r = snapshot(*state);
	struct err err = {0};
	uint64_t id;

	commit_with(*state, FAULTSTORE_UNKNOWN_BUT_DONE, &id);
	assert_value(r, "old", "1");
	assert_int_equal(d->renew(r, &err), ST_IO);
	d->read_close(&r);
}

static void lmdb_can_be_wrapped(void **state)
{
	enum storage_outcome outcome = STORAGE_UNKNOWN;
	struct scratch scratch;
	struct storage_config config = {.path = scratch.store, .map_size = (size_t)16 << 20};
	struct storage *inner = NULL, *s = NULL;
	struct err err = {0};
	char copy[SCRATCH_PATH_MAX];
	uint64_t id;

	(void)state;
	scratch_make(&scratch);
	scratch_name(&scratch, "copy", copy);
	assert_int_equal(storage_lmdb.open(&config, &inner, &err), ST_OK);
	assert_int_equal(faultstore_wrap(inner, &s), ST_OK);
	put_one(s, "old", "1");
	assert_int_equal(commit_with(s, FAULTSTORE_UNKNOWN_BUT_DONE, &id), STORAGE_UNKNOWN);
	assert_int_equal(d->settle(s, id, &outcome, &err), ST_OK);
	assert_int_equal(outcome, STORAGE_DONE);
	assert_newest(s, "old", "2");
	order(s, FAULTSTORE_COPY, 1, FAULTSTORE_ONCE, ST_FULL);
	assert_int_equal(d->copy_to(s, copy, &err), ST_FULL);
	assert_int_equal(d->copy_to(s, copy, &err), ST_OK);
	d->close(&s);
	scratch_remove(&scratch);
}

static void memory_cannot_be_copied(void **state)
{
	struct err err = {0};

	assert_int_equal(d->copy_to(*state, "/nowhere", &err), ST_UNSUPPORTED);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, store_make, store_end)

int main(void)
{
	const struct CMUnitTest cases[] = {
	    CASE(nth_call_fails_once),
	    CASE(nth_call_and_all_after_it_fail),
	    CASE(transactions_cannot_be_had),
	    CASE(failed_put_breaks_the_transaction),
	    CASE(failed_del_breaks_the_transaction),
	    CASE(commit_is_not_done),
	    CASE(commit_is_unknown_but_done),
	    CASE(commit_is_unknown_and_not_done),
	    CASE(held_snapshot_outlives_an_unknown_outcome),
	    CASE(memory_cannot_be_copied),
	    cmocka_unit_test(lmdb_can_be_wrapped),
	};
	int failures = suite_run(d);

	return failures + cmocka_run_group_tests_name("faultstore", cases, NULL, NULL);
}
