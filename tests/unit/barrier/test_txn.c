#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/record.h"
#include "barrier/txn.h"
#include "rig.h"

static void put(struct txn *t, const char *path, const char *value)
{
	struct err err = {0};

	assert_int_equal(txn_put(t, span_str(path), span_str(value), &err), ST_OK);
}

static void is(struct txn *t, const char *path, const char *value)
{
	struct err err = {0};
	struct span v;

	if (value == NULL) {
		assert_int_equal(txn_get(t, span_str(path), &v, &err), ST_NOT_FOUND);
		assert_int_equal(txn_exists(t, span_str(path), &err), ST_NOT_FOUND);
		return;
	}
	assert_int_equal(txn_get(t, span_str(path), &v, &err), ST_OK);
	assert_true(span_eq_str(v, value));
	assert_int_equal(txn_exists(t, span_str(path), &err), ST_OK);
}

static void next_is(struct txn *t, const char *from, const char *want)
{
	struct err err = {0};
	struct span at;

	if (want == NULL) {
		assert_int_equal(txn_next(t, span_str(from), &at, &err), ST_NOT_FOUND);
		return;
	}
	assert_int_equal(txn_next(t, span_str(from), &at, &err), ST_OK);
	assert_true(span_eq_str(at, want));
}

static enum status first_job(void *arg, struct txn *t, struct err *err)
{
	struct span v;

	(void)arg;
	put(t, "b", "1");
	put(t, "d", "2");
	put(t, "empty", "");
	is(t, "b", "1");
	is(t, "a", NULL);
	put(t, "b", "one");
	is(t, "b", "one");
	assert_int_equal(txn_delete(t, span_str("nowhere"), err), ST_OK);
	assert_int_equal(txn_get(t, span_str("empty"), &v, err), ST_OK);
	assert_int_equal(v.n, 0);
	assert_true(txn_can_write(t));
	return ST_OK;
}

static enum status second_job(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	is(t, "b", "one");
	is(t, "empty", "");
	assert_int_equal(txn_delete(t, span_str("d"), err), ST_OK);
	is(t, "d", NULL);
	put(t, "c", "3");
	put(t, "zz", "4");
	next_is(t, "", "b");
	next_is(t, "b0", "c");
	next_is(t, "c0", "empty"); /* over "core/" and the deleted "d" */
	next_is(t, "empty0", "zz");
	next_is(t, "zz0", NULL);
	assert_int_equal(txn_delete(t, span_str("zz"), err), ST_OK);
	next_is(t, "empty0", NULL);
	put(t, "d", "again");
	is(t, "d", "again");
	assert_int_equal(txn_delete(t, span_str("d"), err), ST_OK);
	return ST_OK;
}

static enum status third_job(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)err;
	is(t, "b", "one");
	is(t, "c", "3");
	is(t, "d", NULL);
	is(t, "zz", NULL);
	next_is(t, "", "b");
	next_is(t, "c0", "empty");
	next_is(t, "empty0", NULL);
	return ST_OK;
}

static void sees_its_own_and_earlier_changes(void **state)
{
	struct rig *r = rig_new(0, NULL);
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_do(r, first_job, NULL), ST_OK);
	assert_int_equal(rig_do(r, second_job, NULL), ST_OK);
	assert_int_equal(rig_do(r, third_job, NULL), ST_OK);
	assert_int_equal(rig_read(r, third_job, NULL, &err), ST_OK);
	rig_free(&r);
}

static enum status read_only(void *arg, struct txn *t, struct err *err)
{
	struct rotate_settings s = rotate_settings_default;

	(void)arg;
	assert_false(txn_can_write(t));
	assert_int_equal(txn_put(t, span_str("a"), span_str("v"), err), ST_NEEDS_WRITER);
	assert_int_equal(txn_delete(t, span_str("a"), err), ST_NEEDS_WRITER);
	assert_int_equal(txn_set_world(t, NULL), ST_NEEDS_WRITER);
	assert_int_equal(txn_set_rotation(t, &s), ST_NEEDS_WRITER);
	assert_int_equal(rotate_now(t, CAUSE_MANUAL, err), ST_NEEDS_WRITER);
	return ST_OK;
}

static void readers_cannot_write(void **state)
{
	struct rig *r = rig_new(0, NULL);
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_read(r, read_only, NULL, &err), ST_OK);
	rig_free(&r);
}

static enum status bounds(void *arg, struct txn *t, struct err *err)
{
	static uint8_t key[STORAGE_KEY_MAX + 1];
	static uint8_t big[1];
	uint8_t *mb = txn_alloc(t, (size_t)1 << 20);
	struct span v;

	(void)arg;
	memset(key, 'k', sizeof key);
	assert_int_equal(txn_put(t, span_of(key, sizeof key), span_str("v"), err), ST_INVALID);
	assert_non_null(strstr(err->text, "512"));
	assert_int_equal(txn_delete(t, span_of(key, sizeof key), err), ST_INVALID);
	assert_int_equal(txn_put(t, span_of(key, 0), span_str("v"), err), ST_INVALID);
	assert_int_equal(txn_put(t, span_of(key, STORAGE_KEY_MAX), span_str("v"), err), ST_OK);
	/* The length alone is looked at. */
	assert_int_equal(txn_put(t, span_str("a"), span_of(big, STORAGE_VALUE_MAX), err), ST_LIMIT);
	assert_non_null(mb);
	memset(mb, 0x42, (size_t)1 << 20);
	assert_int_equal(txn_put(t, span_str("mb"), span_of(mb, (size_t)1 << 20), err), ST_OK);
	assert_int_equal(txn_get(t, span_str("mb"), &v, err), ST_OK);
	assert_int_equal(v.n, (size_t)1 << 20);
	return ST_OK;
}

static enum status read_mb(void *arg, struct txn *t, struct err *err)
{
	struct span v;

	(void)arg;
	assert_int_equal(txn_get(t, span_str("mb"), &v, err), ST_OK);
	assert_int_equal(v.n, (size_t)1 << 20);
	assert_int_equal(v.p[v.n - 1], 0x42);
	return ST_OK;
}

static void lengths(void **state)
{
	struct rig *r = rig_new(0, NULL);
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_do(r, bounds, NULL), ST_OK);
	assert_int_equal(rig_read(r, read_mb, NULL, &err), ST_OK);
	rig_free(&r);
}

/* Writes past the barrier, as somebody with the disk in his hands would. */
static void by_hand(struct rig *r, const char *path, struct span value)
{
	const struct storage_driver *d = r->inner->driver;
	struct storage_txn *t;
	struct err err = {0};

	rig_hold(r);
	assert_int_equal(d->write_begin(r->inner, &t, &err), ST_OK);
	assert_int_equal(d->put(t, span_str(path), value, &err), ST_OK);
	assert_int_equal(d->commit(&t, &err), STORAGE_DONE);
	rig_release(r);
}

static struct builder stored(struct rig *r, const char *path)
{
	const struct storage_driver *d = r->inner->driver;
	struct storage_txn *t;
	struct builder b = {0};
	struct span v;
	struct err err = {0};

	assert_int_equal(d->read_open(r->inner, &t, &err), ST_OK);
	assert_int_equal(d->renew(t, &err), ST_OK);
	assert_int_equal(d->get(t, span_str(path), &v, &err), ST_OK);
	builder_add(&b, v);
	d->read_close(&t);
	return b;
}

static char of_term_1[] = "of term 1 fails", too_short[] = "too short",
            under_99[] = "under term 99";

static enum status corrupt(void *arg, struct txn *t, struct err *err)
{
	struct span v = span_str("untouched");

	assert_int_equal(txn_get(t, span_str("p"), &v, err), ST_CORRUPT);
	assert_true(span_eq_str(v, "untouched"));
	assert_non_null(strstr(err->text, arg));
	assert_int_equal(txn_exists(t, span_str("p"), err), ST_OK);
	return ST_OK;
}

static void damaged_records(void **state)
{
	struct rig *r = rig_new(0, NULL);
	struct builder p, q;
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_put(r, "p", "a value"), ST_OK);
	assert_int_equal(rig_put(r, "q", "a value"), ST_OK);
	p = stored(r, "p");
	q = stored(r, "q");
	by_hand(r, "p", builder_span(&q));
	assert_int_equal(rig_do(r, corrupt, of_term_1), ST_OK);
	assert_int_equal(rig_read(r, corrupt, of_term_1, &err), ST_OK);
	by_hand(r, "p", span_of(p.p, RECORD_OVERHEAD - 1));
	assert_int_equal(rig_read(r, corrupt, too_short, &err), ST_OK);
	p.p[3] = 99;
	by_hand(r, "p", builder_span(&p));
	assert_int_equal(rig_read(r, corrupt, under_99, &err), ST_OK);
	/* It can be replaced and deleted all the same. */
	assert_int_equal(rig_put(r, "p", "new"), ST_OK);
	assert_int_equal(rig_delete(r, "p"), ST_OK);
	assert_int_equal(rig_delete(r, "q"), ST_OK);
	builder_free(&p);
	builder_free(&q);
	rig_free(&r);
}

struct my_world {
	struct world world; /* first member */
	_Atomic int destroyed;
};

static void world_destroy(struct world *w)
{
	((struct my_world *)(void *)w)->destroyed = 1;
}

static struct my_world worlds[3];

static enum status set_then_undo(void *arg, struct txn *t, struct err *err)
{
	struct rotate_settings s = rotate_settings_default;
	struct txn_mark outer, inner;

	(void)arg;
	put(t, "kept", "1");
	txn_mark(t, &outer);
	put(t, "kept", "2");
	put(t, "gone", "2");
	s.max_operations = 5000000;
	assert_int_equal(txn_set_rotation(t, &s), ST_OK);
	assert_int_equal(txn_set_world(t, &worlds[1].world), ST_OK);
	assert_int_equal(rotate_now(t, CAUSE_MANUAL, err), ST_OK);
	txn_mark(t, &inner);
	put(t, "gone too", "3");
	assert_int_equal(rotate_now(t, CAUSE_MANUAL, err), ST_OK);
	assert_int_equal(keyring_active(txn_keyring(t)), 3);
	txn_undo(t, &inner);
	assert_int_equal(keyring_active(txn_keyring(t)), 2);
	is(t, "gone too", NULL);
	is(t, "gone", "2");
	assert_ptr_equal(txn_world(t), &worlds[1].world);
	txn_undo(t, &outer);
	is(t, "kept", "1");
	is(t, "gone", NULL);
	assert_ptr_equal(txn_world(t), &worlds[0].world);
	assert_int_equal(keyring_active(txn_keyring(t)), 1);
	assert_int_equal(keyring_settings(txn_keyring(t))->max_operations,
	                 ROTATE_MAX_OPERATIONS_DEFAULT);
	txn_mark(t, &outer);
	put(t, "kept too", "5");
	txn_release(t, &outer);
	return ST_OK;
}

static enum status set_world(void *arg, struct txn *t, struct err *err)
{
	(void)err;
	return txn_set_world(t, arg);
}

static enum status world_is(void *arg, struct txn *t, struct err *err)
{
	(void)err;
	assert_ptr_equal(txn_world(t), arg);
	return ST_OK;
}

static void marks(void **state)
{
	struct rig *r = rig_new(0, NULL);
	struct err err = {0};
	char buf[8];

	(void)state;
	for (int i = 0; i < 3; i++) {
		atomic_init(&worlds[i].world.refs, 1);
		worlds[i].world.destroy = world_destroy;
	}
	assert_int_equal(rig_do(r, set_world, &worlds[0].world), ST_OK);
	assert_int_equal(rig_read(r, world_is, &worlds[0].world, &err), ST_OK);
	assert_int_equal(rig_do(r, set_then_undo, NULL), ST_OK);
	assert_int_equal(rig_active(r), 1);
	assert_int_equal(rig_get(r, "kept", buf, sizeof buf), ST_OK);
	assert_string_equal(buf, "1");
	assert_int_equal(rig_get(r, "kept too", buf, sizeof buf), ST_OK);
	assert_int_equal(rig_get(r, "gone", buf, sizeof buf), ST_NOT_FOUND);
	assert_int_equal(rig_do(r, set_world, &worlds[2].world), ST_OK);
	assert_int_equal(rig_read(r, world_is, &worlds[2].world, &err), ST_OK);
	rig_recount(r, 0);
	rig_free(&r);
	/* Nobody but this test holds them now. */
	for (int i = 0; i < 3; i++) {
		const struct world *w = &worlds[i].world;

		assert_int_equal(worlds[i].destroyed, 0);
		world_unref(&w);
		assert_int_equal(worlds[i].destroyed, 1);
	}
}

static enum status usage_in_group(void *arg, struct txn *t, struct err *err)
{
	struct usage u = {0};

	(void)arg;
	assert_int_equal(txn_usage(t, 1, &u, err), ST_OK);
	assert_int_equal(u.encryptions, 1);
	assert_int_equal(rotate_now(t, CAUSE_MANUAL, err), ST_OK);
	assert_int_equal(rotate_now(t, CAUSE_MANUAL, err), ST_OK);
	assert_int_equal(txn_usage(t, 2, &u, err), ST_OK);
	assert_int_equal(u.encryptions, 0);
	assert_int_equal(txn_usage(t, 3, &u, err), ST_OK);
	assert_int_equal(txn_usage(t, 4, &u, err), ST_NOT_FOUND);
	assert_int_equal(txn_usage(t, 0, &u, err), ST_NOT_FOUND);
	return ST_OK;
}

static void usage_of_terms(void **state)
{
	struct rig *r = rig_new(0, NULL);

	(void)state;
	assert_int_equal(rig_put(r, "p", "v"), ST_OK);
	assert_int_equal(rig_do(r, usage_in_group, NULL), ST_OK);
	assert_int_equal(rig_active(r), 3);
	rig_recount(r, 0);
	rig_free(&r);
}

static enum status number_of(void *arg, struct txn *t, struct err *err)
{
	*(uint64_t *)arg = txn_number(t);
	return txn_can_write(t) ? txn_put(t, span_str("p"), span_str("v"), err) : ST_OK;
}

static void numbers(void **state)
{
	struct rig *r = rig_new(0, NULL);
	struct err err = {0};
	uint64_t written, seen;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig_do(r, number_of, &written), ST_OK);
		assert_int_equal(rig_read(r, number_of, &seen, &err), ST_OK);
		assert_int_equal(seen, written);
	}
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sees_its_own_and_earlier_changes),
	    cmocka_unit_test(readers_cannot_write),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(damaged_records),
	    cmocka_unit_test(marks),
	    cmocka_unit_test(usage_of_terms),
	    cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
