/* Notes: handed over in their order, when their change is durable, and only then. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/view.h"
#include "rig.h"

struct noting {
	const char *text;
	const char *path; /* is changed too; NULL: nothing is */
	unsigned times;
	enum status answer;
};

static enum status note_fn(void *arg, struct txn *t, struct err *err)
{
	struct noting *n = arg;
	struct view v;

	view_init(&v, t, span_str("mine/"));
	for (unsigned i = 0; i < n->times; i++) {
		enum status st = view_note(&v, span_str(n->text), err);

		if (st != ST_OK)
			return st;
	}
	if (n->path != NULL)
		assert_int_equal(view_put(&v, span_str(n->path), span_str("x"), err), ST_OK);
	return n->answer;
}

static void in_order_and_without_the_failed(void **state)
{
	struct noting a = {"{\"n\":1}", "a", 1, ST_OK}, b = {"{\"n\":2}", "b", 1, ST_BUSY},
	              c = {"{\"n\":3}", "c", 2, ST_OK};
	struct rig *r = rig_new(0, NULL);
	struct rig_job *ja, *jb, *jc;

	(void)state;
	rig_hold(r);
	ja = rig_submit(r, note_fn, &a);
	jb = rig_submit(r, note_fn, &b);
	jc = rig_submit(r, note_fn, &c);
	rig_release(r);
	assert_int_equal(rig_wait(&ja, NULL), ST_OK);
	assert_int_equal(rig_wait(&jb, NULL), ST_BUSY);
	assert_int_equal(rig_wait(&jc, NULL), ST_OK);
	assert_true(span_eq_str(builder_span(&r->notes), "{\"n\":1}{\"n\":3}{\"n\":3}"));
	rig_free(&r);
}

static void a_note_without_a_change_is_one(void **state)
{
	struct noting a = {"{}", NULL, 1, ST_OK};
	struct rig *r = rig_new(0, NULL);

	(void)state;
	assert_int_equal(rig_do(r, note_fn, &a), ST_OK);
	assert_int_equal(rig_do(r, note_fn, &a), ST_OK);
	assert_int_equal(atomic_load(&r->n_notes), 2);
	rig_free(&r);
}

static void a_failed_commit_takes_them_along(void **state)
{
	static const struct {
		enum faultstore_commit how;
		enum status status;
		unsigned notes;
	} cases[] = {{FAULTSTORE_NOT_DONE, ST_IO, 0},
	             {FAULTSTORE_UNKNOWN_AND_NOT_DONE, ST_IO, 0},
	             {FAULTSTORE_UNKNOWN_BUT_DONE, ST_OK, 1}};
	struct noting a = {"{}", "a", 1, ST_OK};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct rig *r = rig_new(0, NULL);
		const struct faultstore_plan plan = {
		    .call = FAULTSTORE_COMMIT, .nth = 1, .status = ST_IO, .commit = cases[i].how};

		faultstore_order(r->store, &plan);
		assert_int_equal(rig_do(r, note_fn, &a), cases[i].status);
		faultstore_mend(r->store);
		assert_int_equal(atomic_load(&r->n_notes), cases[i].notes);
		assert_int_equal(rig_do(r, note_fn, &a), ST_OK);
		assert_int_equal(atomic_load(&r->n_notes), cases[i].notes + 1);
		rig_free(&r);
	}
}

static void readers_note_nothing(void **state)
{
	struct noting a = {"{}", NULL, 1, ST_OK};
	struct rig *r = rig_new(0, NULL);
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_read(r, note_fn, &a, &err), ST_NEEDS_WRITER);
	rig_free(&r);
}

static void a_long_one_is_refused(void **state)
{
	char text[VIEW_NOTE_MAX + 2];
	struct noting a = {text, "a", 1, ST_OK};
	struct rig *r = rig_new(0, NULL);
	char buf[8];

	(void)state;
	memset(text, ' ', sizeof text);
	text[0] = '{';
	text[VIEW_NOTE_MAX] = '}';
	text[VIEW_NOTE_MAX + 1] = 0;
	assert_int_equal(rig_do(r, note_fn, &a), ST_LIMIT);
	assert_int_equal(rig_get(r, "mine/a", buf, sizeof buf), ST_NOT_FOUND);
	text[VIEW_NOTE_MAX - 1] = '}';
	text[VIEW_NOTE_MAX] = 0;
	assert_int_equal(rig_do(r, note_fn, &a), ST_OK);
	assert_int_equal(r->notes.n, VIEW_NOTE_MAX);
	rig_free(&r);
}

/* A job has room for 2,048 at least, however many stand before it. */
static void far_too_many_are_refused(void **state)
{
	struct noting few = {"{}", NULL, 2000, ST_OK}, many = {"{}", "a", 5000, ST_OK};
	struct rig *r = rig_new(0, NULL);
	struct rig_job *j[10];
	char buf[8];

	(void)state;
	assert_int_equal(rig_do(r, note_fn, &many), ST_LIMIT);
	assert_int_equal(rig_get(r, "mine/a", buf, sizeof buf), ST_NOT_FOUND);
	assert_int_equal(atomic_load(&r->n_notes), 0);
	rig_hold(r);
	for (size_t i = 0; i < 10; i++)
		j[i] = rig_submit(r, note_fn, &few);
	rig_release(r);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(rig_wait(&j[i], NULL), ST_OK);
	assert_int_equal(atomic_load(&r->n_notes), 20000);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_order_and_without_the_failed),
	    cmocka_unit_test(a_note_without_a_change_is_one),
	    cmocka_unit_test(a_failed_commit_takes_them_along),
	    cmocka_unit_test(readers_note_nothing),
	    cmocka_unit_test(a_long_one_is_refused),
	    cmocka_unit_test(far_too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
