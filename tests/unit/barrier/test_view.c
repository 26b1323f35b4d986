#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/view.h"
#include "rig.h"

#define PATHS_MAX 400
#define NAMES_MAX 500

/* The naive model: the paths below the view, in no order. */
struct model {
	char path[PATHS_MAX][40];
	size_t n;
};

static bool model_has(const struct model *m, const char *path)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->path[i], path) == 0)
			return true;
	return false;
}

static void model_put(struct model *m, const char *path)
{
	if (model_has(m, path))
		return;
	assert_true(m->n < PATHS_MAX);
	snprintf(m->path[m->n++], sizeof m->path[0], "%s", path);
}

static void model_delete(struct model *m, const char *path)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->path[i], path) == 0)
			memcpy(m->path[i], m->path[--m->n], sizeof m->path[0]);
}

struct names {
	char name[NAMES_MAX][40];
	size_t n;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void model_list(const struct model *m, const char *folder, const char *after, size_t limit,
                       struct names *ret)
{
	size_t kept = 0;

	ret->n = 0;
	for (size_t i = 0; i < m->n; i++) {
		const char *rest = m->path[i] + strlen(folder), *slash;

		if (strncmp(m->path[i], folder, strlen(folder)) != 0 || *rest == 0)
			continue;
		slash = strchr(rest, '/');
		snprintf(ret->name[ret->n++], sizeof ret->name[0], "%.*s",
		         slash != NULL ? (int)(slash - rest + 1) : (int)strlen(rest), rest);
	}
	qsort(ret->name, ret->n, sizeof ret->name[0], by_text);
	for (size_t i = 0; i < ret->n; i++) {
		if ((i > 0 && kept > 0 && strcmp(ret->name[i], ret->name[kept - 1]) == 0) ||
		    (*after != 0 && strcmp(ret->name[i], after) <= 0) ||
		    (limit > 0 && kept == limit))
			continue;
		memmove(ret->name[kept++], ret->name[i], sizeof ret->name[0]);
	}
	ret->n = kept;
}

static enum status gather(void *arg, struct span name)
{
	struct names *n = arg;

	assert_true(n->n < NAMES_MAX);
	return span_cstr(name, n->name[n->n++], sizeof n->name[0]);
}

static void same_list(const struct view *v, const struct model *m, const char *folder,
                      const char *after, size_t limit)
{
	static struct names want, got;
	struct err err = {0};

	model_list(m, folder, after, limit, &want);
	got.n = 0;
	assert_int_equal(view_list(v, span_str(folder), span_str(after), limit, gather, &got, &err),
	                 ST_OK);
	assert_int_equal(got.n, want.n);
	for (size_t i = 0; i < got.n; i++)
		assert_string_equal(got.name[i], want.name[i]);
}

/* Paths of few letters, so that records and folders of one name, and folders within folders, are common. */
static void random_path(const struct random *r, char out[static 40])
{
	static const char *const part[] = {"a", "b", "aa", "a-", "a0", "a.b", "\x7f", "c"};
	uint8_t dice[5];
	size_t n = 0;

	random_fill(r, dice, sizeof dice);
	for (unsigned i = 0; i <= dice[0] % 4u; i++)
		n += (size_t)snprintf(out + n, 40 - n, "%s%s", i > 0 ? "/" : "",
		                      part[dice[i + 1] % 8]);
	/* Now and then a record that bears a folder's own name. */
	if (dice[0] > 240)
		snprintf(out + n, 40 - n, "/");
}

struct trees {
	struct random_seeded r;
	struct model m;
	unsigned changes;
};

static enum status change_some(void *arg, struct txn *t, struct err *err)
{
	struct trees *x = arg;
	struct view v;
	enum status st = ST_OK;

	view_init(&v, t, span_str("in/side/"));
	for (unsigned i = 0; st == ST_OK && i < x->changes; i++) {
		char path[40];
		uint8_t dice;

		random_path(&x->r.random, path);
		random_fill(&x->r.random, &dice, 1);
		if (dice < 150) {
			st = view_put(&v, span_str(path), span_str("v"), err);
			model_put(&x->m, path);
		} else {
			st = view_delete(&v, span_str(path), err);
			model_delete(&x->m, path);
		}
	}
	return st;
}

static enum status compare(void *arg, struct txn *t, struct err *err)
{
	struct trees *x = arg;
	struct view v;

	(void)err;
	view_init(&v, t, span_str("in/side/"));
	same_list(&v, &x->m, "", "", 0);
	for (int i = 0; i < 60; i++) {
		char folder[40], after[40];
		uint8_t dice[3];

		random_path(&x->r.random, folder);
		random_path(&x->r.random, after);
		random_fill(&x->r.random, dice, sizeof dice);
		if (dice[0] % 4 == 0)
			folder[0] = 0;
		else if (folder[strlen(folder) - 1] != '/')
			strcat(folder, "/");
		/* A name, a folder's name, a path that is no name, or nothing. */
		if (dice[1] % 4 == 0)
			after[0] = 0;
		else if (dice[1] % 4 == 1 && after[strlen(after) - 1] != '/')
			strcat(after, "/");
		same_list(&v, &x->m, folder, after, dice[2] % 3 == 0 ? 0 : dice[2] % 5u);
	}
	return ST_OK;
}

static enum status change_and_compare(void *arg, struct txn *t, struct err *err)
{
	enum status st = change_some(arg, t, err);

	return st == ST_OK ? compare(arg, t, err) : st;
}

static enum status put_outside(void *arg, struct txn *t, struct err *err)
{
	static const char *const outside[] = {"a",        "in",          "in/sid/a", "in/side",
	                                      "in/side0", "in/side-a/b", "z/a"};
	enum status st = ST_OK;

	(void)arg;
	for (size_t i = 0; st == ST_OK && i < sizeof outside / sizeof outside[0]; i++)
		st = txn_put(t, span_str(outside[i]), span_str("v"), err);
	return st;
}

static void lists_random_trees(void **state)
{
	static struct trees x;
	struct rig *r = rig_new(0, NULL);
	struct err err = {0};

	(void)state;
	random_seeded_init(&x.r, 11);
	assert_int_equal(rig_do(r, put_outside, NULL), ST_OK);
	for (int round = 0; round < 30; round++) {
		x.changes = round % 7 == 0 ? 0 : (unsigned)round * 2;
		/* With changes that wait, then stored, on the writer's and on a reader's transaction. */
		assert_int_equal(rig_do(r, change_and_compare, &x), ST_OK);
		assert_int_equal(rig_do(r, compare, &x), ST_OK);
		assert_int_equal(rig_read(r, compare, &x, &err), ST_OK);
	}
	rig_free(&r);
}

static enum status isolation(void *arg, struct txn *t, struct err *err)
{
	struct view v, below;
	struct span got;

	(void)arg;
	view_init(&v, t, span_str("mine/"));
	view_below(&below, &v, span_str("deep/er/"));
	assert_int_equal(view_first(&v, &got, err), ST_NOT_FOUND);
	assert_int_equal(txn_put(t, span_str("mine"), span_str("no"), err), ST_OK);
	assert_int_equal(txn_put(t, span_str("mine0"), span_str("no"), err), ST_OK);
	assert_int_equal(txn_put(t, span_str("min/x"), span_str("no"), err), ST_OK);
	assert_int_equal(view_first(&v, &got, err), ST_NOT_FOUND);
	/* A record of the prefix's own name is not below it, and hides nothing. */
	assert_int_equal(txn_put(t, span_str("mine/"), span_str("no"), err), ST_OK);
	assert_int_equal(view_first(&v, &got, err), ST_NOT_FOUND);
	assert_int_equal(view_put(&below, span_str("x"), span_str("1"), err), ST_OK);
	assert_int_equal(view_first(&v, &got, err), ST_OK);
	assert_true(span_eq_str(got, "deep/er/x"));
	assert_int_equal(view_get(&v, span_str("deep/er/x"), &got, err), ST_OK);
	assert_true(span_eq_str(got, "1"));
	assert_int_equal(txn_get(t, span_str("mine/deep/er/x"), &got, err), ST_OK);
	assert_int_equal(view_exists(&v, span_str("0"), err), ST_NOT_FOUND);
	assert_int_equal(view_exists(&below, span_str("../../mine"), err), ST_NOT_FOUND);
	assert_int_equal(view_delete(&v, span_str("deep/er/x"), err), ST_OK);
	assert_int_equal(view_exists(&below, span_str("x"), err), ST_NOT_FOUND);
	assert_true(view_can_write(&v));
	assert_non_null(view_alloc(&v, 100));
	return ST_OK;
}

static void stays_below_its_prefix(void **state)
{
	struct rig *r = rig_new(0, NULL);

	(void)state;
	assert_int_equal(rig_do(r, isolation, NULL), ST_OK);
	rig_free(&r);
}

static enum status too_long(void *arg, struct txn *t, struct err *err)
{
	static const char x[STORAGE_KEY_MAX + 1] = {0};
	static struct names got;
	struct view v;
	struct span s, fits = span_of(x, STORAGE_KEY_MAX - 5),
	               over = span_of(x, STORAGE_KEY_MAX - 4);

	(void)arg;
	view_init(&v, t, span_str("mine/"));
	assert_int_equal(view_put(&v, fits, span_str("1"), err), ST_OK);
	assert_int_equal(view_get(&v, fits, &s, err), ST_OK);
	assert_int_equal(view_list(&v, span_of(NULL, 0), fits, 0, gather, &got, err), ST_OK);
	assert_int_equal(view_put(&v, over, span_str("1"), err), ST_INVALID);
	assert_int_equal(view_get(&v, over, &s, err), ST_INVALID);
	assert_int_equal(view_exists(&v, over, err), ST_INVALID);
	assert_int_equal(view_delete(&v, over, err), ST_INVALID);
	assert_int_equal(view_list(&v, span_of(NULL, 0), over, 0, gather, &got, err), ST_INVALID);
	assert_int_equal(view_list(&v, span_str("folder/"), fits, 0, gather, &got, err),
	                 ST_INVALID);
	assert_int_equal(view_put(&v, span_of(NULL, 0), span_str("1"), err), ST_INVALID);
	return ST_OK;
}

static void refuses_long_paths(void **state)
{
	struct rig *r = rig_new(0, NULL);

	(void)state;
	assert_int_equal(rig_do(r, too_long, NULL), ST_OK);
	rig_free(&r);
}

static enum status stop_at_second(void *arg, struct span name)
{
	(void)name;
	return ++*(int *)arg == 2 ? ST_BUSY : ST_OK;
}

static enum status list_three(void *arg, struct txn *t, struct err *err)
{
	struct view v;
	int visited = 0;

	(void)arg;
	view_init(&v, t, span_str("mine/"));
	for (const char *p = "abc"; *p != 0; p++)
		assert_int_equal(view_put(&v, span_of(p, 1), span_str("1"), err), ST_OK);
	assert_int_equal(
	    view_list(&v, span_of(NULL, 0), span_of(NULL, 0), 0, stop_at_second, &visited, err),
	    ST_BUSY);
	assert_int_equal(visited, 2);
	return ST_OK;
}

static void a_visitor_can_stop(void **state)
{
	struct rig *r = rig_new(0, NULL);

	(void)state;
	assert_int_equal(rig_do(r, list_three, NULL), ST_OK);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lists_random_trees),
	    cmocka_unit_test(stays_below_its_prefix),
	    cmocka_unit_test(refuses_long_paths),
	    cmocka_unit_test(a_visitor_can_stop),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
