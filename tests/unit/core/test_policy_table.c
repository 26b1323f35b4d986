/* The table of policies: versions, order, records, and that a text which does not compile changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/policy_table.h"
#include "core/token_ops.h"
#include "lib/solo.h"

#define READ_A "path \"a\" { capabilities = [\"read\"] }"
#define LIST_B "path \"b\" { capabilities = [\"list\"] }"

static struct solo solo;

static void (*body)(const struct view *v, const struct policy_table **t, struct err *err);

static enum status body_fn(void *arg, struct txn *txn, struct err *err)
{
	const struct policy_table *t;
	struct view v;

	(void)arg;
	view_init(&v, txn, span_str("sys/policy/"));
	assert_int_equal(policy_table_load(&v, &t, err), ST_OK);
	body(&v, &t, err);
	policy_table_unref(&t);
	return ST_OK;
}

static void in_transaction(void (*fn)(const struct view *v, const struct policy_table **t,
                                      struct err *err))
{
	body = fn;
	solo_init(&solo, 3);
	solo_start(&solo);
	solo_open(&solo);
	assert_int_equal(solo_write(&solo, body_fn, NULL, NULL), ST_OK);
	solo_free(&solo);
}

#define CASE(name)                                                                   \
	static void name##_body(const struct view *v, const struct policy_table **t, \
	                        struct err *err);                                    \
	static void name(void **state)                                               \
	{                                                                            \
		(void)state;                                                         \
		in_transaction(name##_body);                                         \
	}                                                                            \
	static void name##_body(const struct view *v, const struct policy_table **t, \
	                        struct err *err)

static enum status put(const struct view *v, const struct policy_table **t, const char *name,
                       const char *text, int64_t now_ns, struct err *err)
{
	const struct policy_table *next = NULL;
	enum status st =
	    policy_table_put(*t, v, span_str(name), span_str(text), now_ns, &next, err);

	if (st != ST_OK) {
		assert_null(next);
		return st;
	}
	policy_table_unref(t);
	*t = next;
	return ST_OK;
}

static const struct policy_entry *entry(const struct policy_table *t, const char *name)
{
	return policy_table_find(t, span_str(name));
}

CASE(an_empty_table)
{
	const struct policy_table *next = NULL;

	assert_int_equal(policy_table_count(*t), 0);
	assert_null(entry(*t, "default"));
	assert_null(entry(*t, ""));
	assert_int_equal(policy_table_remove(*t, v, span_str("x"), &next, err), ST_NOT_FOUND);
	assert_null(next);
}

CASE(in_the_order_of_their_names)
{
	static const char *const names[] = {"m", "z", "a", "mm", "m-", "\xc3\xa4", "A", "m"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(put(v, t, names[i], READ_A, 5, err), ST_OK);
	assert_int_equal(policy_table_count(*t), 7);
	for (size_t i = 1; i < 7; i++)
		assert_true(
		    span_cmp(policy_table_at(*t, i - 1)->name, policy_table_at(*t, i)->name) < 0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_true(span_eq_str(entry(*t, names[i])->name, names[i]));
	assert_null(entry(*t, "mmm"));
	assert_null(entry(*t, "l"));
	assert_null(entry(*t, "\xff"));
}

CASE(versions_count_up)
{
	assert_int_equal(put(v, t, "p", READ_A, 5, err), ST_OK);
	assert_int_equal(entry(*t, "p")->version, 1);
	assert_int_equal(put(v, t, "p", LIST_B, 9, err), ST_OK);
	assert_int_equal(entry(*t, "p")->version, 2);
	assert_int_equal(entry(*t, "p")->modified_ns, 9);
	assert_true(span_eq_str(entry(*t, "p")->text, LIST_B));
	assert_true(span_eq_str(policy_name(entry(*t, "p")->policy), "p"));
	assert_int_equal(put(v, t, "p", READ_A, 9, err), ST_OK);
	assert_int_equal(entry(*t, "p")->version, 3);
}

CASE(tables_are_never_changed)
{
	const struct policy_table *old, *next;

	assert_int_equal(put(v, t, "p", READ_A, 5, err), ST_OK);
	assert_int_equal(put(v, t, "q", READ_A, 5, err), ST_OK);
	old = policy_table_ref(*t);
	assert_int_equal(put(v, t, "p", LIST_B, 6, err), ST_OK);
	assert_int_equal(policy_table_remove(*t, v, span_str("q"), &next, err), ST_OK);
	assert_int_equal(policy_table_count(next), 1);
	assert_null(entry(next, "q"));
	assert_non_null(entry(*t, "q"));
	assert_true(span_eq_str(entry(old, "p")->text, READ_A));
	policy_table_unref(t);
	*t = next;
	assert_true(span_eq_str(entry(old, "q")->text, READ_A));
	policy_table_unref(&old);
	assert_null(old);
	assert_true(span_eq_str(entry(*t, "p")->text, LIST_B));
}

CASE(what_is_stored_comes_back)
{
	const struct policy_table *again;

	assert_int_equal(put(v, t, "p", "# \"quoted\" \xc3\xa4\n" READ_A, -5, err), ST_OK);
	assert_int_equal(put(v, t, "p", "# \"quoted\" \xc3\xa4\n" READ_A, -5, err), ST_OK);
	assert_int_equal(put(v, t, "empty", "", 0, err), ST_OK);
	assert_int_equal(policy_table_load(v, &again, err), ST_OK);
	assert_int_equal(policy_table_count(again), 2);
	assert_true(span_eq_str(entry(again, "p")->text, "# \"quoted\" \xc3\xa4\n" READ_A));
	assert_int_equal(entry(again, "p")->version, 2);
	assert_int_equal(entry(again, "p")->modified_ns, -5);
	assert_int_equal(entry(again, "empty")->text.n, 0);
	policy_table_unref(&again);
}

CASE(what_does_not_compile_changes_nothing)
{
	static const char *const bad[] = {
	    "path",         "path \"a\" {", "path \"a\" { policy = \"fly\" }",
	    "{\"path\":7}", "nosuch = 1",   "\x01"};
	const struct policy_table *again;

	assert_int_equal(put(v, t, "p", READ_A, 5, err), ST_OK);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		err->text[0] = 0;
		assert_int_equal(put(v, t, "p", bad[i], 6, err), ST_INVALID);
		assert_non_null(strstr(err->text, "failed to parse policy"));
		assert_int_equal(put(v, t, "new", bad[i], 6, err), ST_INVALID);
	}
	assert_int_equal(entry(*t, "p")->version, 1);
	assert_int_equal(policy_table_load(v, &again, err), ST_OK);
	assert_int_equal(policy_table_count(again), 1);
	assert_int_equal(entry(again, "p")->version, 1);
	policy_table_unref(&again);
}

CASE(names_that_are_none)
{
	char longest[POLICY_NAME_MAX + 2];

	memset(longest, 'n', sizeof longest);
	longest[POLICY_NAME_MAX + 1] = 0;
	assert_int_equal(put(v, t, "", READ_A, 5, err), ST_INVALID);
	assert_int_equal(put(v, t, "a/b", READ_A, 5, err), ST_INVALID);
	assert_int_equal(put(v, t, "/", READ_A, 5, err), ST_INVALID);
	assert_int_equal(put(v, t, longest, READ_A, 5, err), ST_INVALID);
	longest[POLICY_NAME_MAX] = 0;
	assert_int_equal(put(v, t, longest, READ_A, 5, err), ST_OK);
	assert_non_null(entry(*t, longest));
}

CASE(damaged_records_are_named)
{
	static const char *const damaged[] = {
	    "",
	    "{}",
	    "[]",
	    "{\"version\":1,\"modified_ns\":0}",
	    "{\"version\":1,\"policy\":\"\"}",
	    "{\"modified_ns\":0,\"policy\":\"\"}",
	    "{\"version\":-1,\"modified_ns\":0,\"policy\":\"\"}",
	    "{\"version\":1,\"modified_ns\":0,\"policy\":7}",
	    "{\"version\":1,\"modified_ns\":0,\"policy\":\"\"",
	};
	const struct policy_table *again = NULL;

	(void)t;
	for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
		assert_int_equal(view_put(v, span_str("hurt"), span_str(damaged[i]), err), ST_OK);
		assert_int_equal(policy_table_load(v, &again, err), ST_CORRUPT);
		assert_non_null(strstr(err->text, "hurt"));
		assert_null(again);
	}
}

static void clean_names(void **state)
{
	static const struct {
		const char *name, *clean;
	} cases[] = {
	    {"", ""},           {"abc", "abc"}, {"ABC", "abc"},           {"Root", "root"},
	    {"a-Z_9", "a-z_9"}, {" A ", " a "}, {"\xc3\x84", "\xc3\x84"}, {"@[`{", "@[`{"}};
	char buf[8];
	struct span clean;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(
		    policy_name_clean(span_str(cases[i].name), buf, sizeof buf, &clean), ST_OK);
		assert_true(span_eq_str(clean, cases[i].clean));
	}
	assert_int_equal(policy_name_clean(span_str("12345678"), buf, sizeof buf, &clean), ST_OK);
	assert_int_equal(clean.n, 8);
	assert_int_equal(policy_name_clean(span_str("123456789"), buf, sizeof buf, &clean),
	                 ST_LIMIT);
	assert_int_equal(clean.n, 8);
}

CASE(the_default_text_compiles)
{
	assert_int_equal(put(v, t, "default", policy_default_text, 0, err), ST_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_table),
	    cmocka_unit_test(in_the_order_of_their_names),
	    cmocka_unit_test(versions_count_up),
	    cmocka_unit_test(tables_are_never_changed),
	    cmocka_unit_test(what_is_stored_comes_back),
	    cmocka_unit_test(what_does_not_compile_changes_nothing),
	    cmocka_unit_test(names_that_are_none),
	    cmocka_unit_test(damaged_records_are_named),
	    cmocka_unit_test(clean_names),
	    cmocka_unit_test(the_default_text_compiles),
	};

	return cmocka_run_group_tests(tests, solo_process, NULL);
}
