/* Stamps: equal while the stored value is the same record, never equal across a write. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/view.h"
#include "rig.h"

struct stamp {
	uint8_t bytes[VIEW_STAMP_LEN];
	uint64_t number;
};

static enum status stamp_fn(void *arg, struct txn *t, struct err *err)
{
	struct stamp *s = arg;
	struct view v;

	view_init(&v, t, span_str("mine/"));
	s->number = view_number(&v);
	assert_int_equal(s->number, txn_number(t));
	return view_stamp(&v, span_str("a"), s->bytes, err);
}

static bool same(const struct stamp *a, const struct stamp *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static struct stamp stamp_of(struct rig *r)
{
	struct stamp on_writer, on_loop;

	assert_int_equal(rig_do(r, stamp_fn, &on_writer), ST_OK);
	assert_int_equal(rig_read(r, stamp_fn, &on_loop, NULL), ST_OK);
	assert_true(same(&on_writer, &on_loop));
	return on_loop;
}

static void as_long_as_the_record_is_the_same(void **state)
{
	struct rig *r = rig_new(0, NULL);
	struct stamp none, first, again, other;
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_do(r, stamp_fn, &none), ST_NOT_FOUND);
	assert_int_equal(rig_read(r, stamp_fn, &none, &err), ST_NOT_FOUND);
	assert_int_equal(rig_put(r, "mine/a", "1"), ST_OK);
	first = stamp_of(r);
	assert_int_equal(rig_put(r, "mine/b", "1"), ST_OK);
	assert_int_equal(rig_rotate(r), ST_OK);
	again = stamp_of(r);
	assert_true(same(&first, &again));
	assert_true(again.number > first.number);
	assert_int_equal(rig_put(r, "mine/a", "1"), ST_OK); /* the same value, written anew */
	other = stamp_of(r);
	assert_false(same(&first, &other));
	assert_int_equal(rig_delete(r, "mine/a"), ST_OK);
	assert_int_equal(rig_read(r, stamp_fn, &none, &err), ST_NOT_FOUND);
	rig_free(&r);
}

static enum status in_one_group(void *arg, struct txn *t, struct err *err)
{
	struct stamp *s = arg;

	assert_int_equal(txn_put(t, span_str("mine/a"), span_str("2"), err), ST_OK);
	assert_int_equal(stamp_fn(&s[0], t, err), ST_OK);
	assert_int_equal(stamp_fn(&s[1], t, err), ST_OK);
	assert_int_equal(txn_put(t, span_str("mine/a"), span_str("3"), err), ST_OK);
	assert_int_equal(stamp_fn(&s[2], t, err), ST_OK);
	assert_int_equal(txn_delete(t, span_str("mine/a"), err), ST_OK);
	assert_int_equal(stamp_fn(&s[3], t, err), ST_NOT_FOUND);
	return ST_BUSY; /* and all of it is undone */
}

static void a_value_not_yet_stored_equals_nothing(void **state)
{
	struct rig *r = rig_new(0, NULL);
	struct stamp s[4], before, after;

	(void)state;
	assert_int_equal(rig_put(r, "mine/a", "1"), ST_OK);
	before = stamp_of(r);
	assert_int_equal(rig_do(r, in_one_group, s), ST_BUSY);
	for (size_t i = 0; i < 3; i++) {
		assert_false(same(&s[i], &before));
		for (size_t k = 0; k < i; k++)
			assert_false(same(&s[i], &s[k]));
	}
	after = stamp_of(r);
	assert_true(same(&before, &after));
	rig_free(&r);
}

static void what_is_no_record_has_none(void **state)
{
	struct rig *r = rig_new(0, NULL);
	struct storage_txn *t;
	struct stamp s;
	struct err err = {0};

	(void)state;
	assert_int_equal(r->inner->driver->write_begin(r->inner, &t, &err), ST_OK);
	assert_int_equal(
	    r->inner->driver->put(t, span_str("mine/a"), span_str("put there by hand"), &err),
	    ST_OK);
	assert_int_equal(r->inner->driver->commit(&t, &err), STORAGE_DONE);
	assert_int_equal(rig_read(r, stamp_fn, &s, &err), ST_CORRUPT);
	assert_true(err.text[0] != 0);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(as_long_as_the_record_is_the_same),
	    cmocka_unit_test(a_value_not_yet_stored_equals_nothing),
	    cmocka_unit_test(what_is_no_record_has_none),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
