#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/overlay.h"
#include "rig.h"

/* The model: every path that can occur, in order, with its state; and copies of it at each mark. */
#define PATHS 40
#define MARKS 30

struct model {
	enum { ABSENT, PUT, DELETED } state[PATHS];
	unsigned value[PATHS];
};

static char path_text[PATHS][16];

static void name_paths(void)
{
	/* Of many lengths, some a prefix of others, one empty value among them; %03 keeps the order of the numbers. */
	for (unsigned i = 0; i < PATHS; i++)
		snprintf(path_text[i], sizeof path_text[i], i % 3 == 0 ? "%03u" : "%03u/x", i);
}

static struct span value_of(unsigned v, char buf[static 32])
{
	snprintf(buf, 32, "value %u", v);
	return v % 7 == 0 ? span_of(buf, 0) : span_str(buf);
}

static void same(const struct overlay *o, const struct model *m)
{
	char buf[32];
	size_t n = 0;

	for (unsigned i = 0; i < PATHS; i++) {
		const struct change *c = overlay_find(o, span_str(path_text[i]));

		assert_int_equal(overlay_from(o, span_str(path_text[i])), n);
		if (m->state[i] == ABSENT) {
			assert_null(c);
			continue;
		}
		assert_non_null(c);
		assert_ptr_equal(o->sorted[n], c);
		assert_true(span_eq_str(c->path, path_text[i]));
		assert_int_equal(c->deleted, m->state[i] == DELETED);
		if (m->state[i] == PUT)
			assert_true(span_eq(c->value, value_of(m->value[i], buf)));
		n++;
	}
	assert_int_equal(o->n, n);
}

static void against_model(void **state)
{
	struct random_seeded r;
	struct arena arena = {0};
	struct overlay o;

	(void)state;
	random_seeded_init(&r, 7);
	overlay_init(&o, &arena);
	name_paths();
	for (int round = 0; round < 60; round++) {
		struct model m = {0}, at_mark[MARKS];
		size_t mark[MARKS], marks = 0;

		for (unsigned step = 0; step < 300; step++) {
			uint8_t dice[2];
			char buf[32];
			unsigned i;

			random_fill(&r.random, dice, sizeof dice);
			i = dice[0] % PATHS;
			if (dice[1] < 120) {
				assert_int_equal(
				    overlay_put(&o, span_str(path_text[i]), value_of(step, buf)),
				    ST_OK);
				m.state[i] = PUT;
				m.value[i] = step;
			} else if (dice[1] < 200) {
				assert_int_equal(overlay_delete(&o, span_str(path_text[i])), ST_OK);
				m.state[i] = DELETED;
			} else if (dice[1] < 230 && marks < MARKS) {
				mark[marks] = overlay_mark(&o);
				at_mark[marks++] = m;
			} else if (marks > 0) {
				/* Often the last one, now and then further back. */
				marks -= dice[0] % 3 == 0 ? 1 + dice[0] % marks : 1;
				overlay_undo(&o, mark[marks]);
				m = at_mark[marks];
			}
			same(&o, &m);
		}
		overlay_reset(&o);
		arena_reset(&arena);
		same(&o, &(struct model){0});
	}
	overlay_free(&o);
	arena_free(&arena);
}

static void copies_what_it_gets(void **state)
{
	struct arena arena = {0};
	struct overlay o;
	char path[] = "path", value[] = "value";

	(void)state;
	overlay_init(&o, &arena);
	assert_int_equal(overlay_put(&o, span_str(path), span_str(value)), ST_OK);
	memset(path, 'x', 4);
	memset(value, 'x', 5);
	assert_true(span_eq_str(overlay_find(&o, span_str("path"))->value, "value"));
	overlay_free(&o);
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(against_model),
	    cmocka_unit_test(copies_what_it_gets),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
