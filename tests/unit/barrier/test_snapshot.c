#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "barrier/snapshot.h"
#include "rig.h"

#define READERS 3
#define COMMITS 4000
#define FAILED  UINT64_MAX

struct numbered {
	struct world world; /* first member */
	uint64_t number;    /* of the commit, or FAILED */
};

static _Atomic unsigned alive;

static void destroy(struct world *w)
{
	atomic_fetch_sub(&alive, 1);
	free(w);
}

static const struct world *numbered(uint64_t n)
{
	struct numbered *w = calloc(1, sizeof *w);

	assert_non_null(w);
	atomic_init(&w->world.refs, 1);
	w->world.destroy = destroy;
	w->number = n;
	atomic_fetch_add(&alive, 1);
	return &w->world;
}

static uint64_t number_of(const struct snapshot *s)
{
	return ((const struct numbered *)(const void *)s->world)->number;
}

static const struct keyring *some_keyring(void)
{
	static const uint8_t id[STORE_ID_LEN];
	struct secret *s;
	struct keyring *k;

	assert_int_equal(secret_new(32, &s), ST_OK);
	assert_int_equal(keyring_new(s, s, id, &k), ST_OK);
	secret_free(&s);
	return k;
}

static void hang(struct snapshots *s, const struct keyring *k, uint64_t id, uint64_t number)
{
	const struct world *w = numbered(number);

	assert_int_equal(snapshots_hang(s, id, k, w), ST_OK);
	world_unref(&w);
}

static void in_order(void **state)
{
	struct snapshots s = {0};
	const struct keyring *k = some_keyring();
	const struct snapshot *first;

	(void)state;
	assert_int_equal(epoch_new(&s.epoch), ST_OK);
	snapshots_unhang(&s); /* nothing hangs: fine */
	hang(&s, k, 5, 5);
	assert_null(s.published);
	snapshots_publish(&s);
	first = s.published;
	assert_int_equal(number_of(first), 5);
	/* Beside it hangs the next: found by data that has that number already, and only by it. */
	hang(&s, k, 7, 7);
	assert_ptr_equal(s.published, first);
	assert_int_equal(number_of(snapshots_pick(first, 5)), 5);
	assert_int_equal(number_of(snapshots_pick(first, 6)), 5);
	assert_int_equal(number_of(snapshots_pick(first, 7)), 7);
	assert_int_equal(number_of(snapshots_pick(first, 8)), 7);
	snapshots_unhang(&s);
	assert_int_equal(number_of(snapshots_pick(first, 8)), 5);
	hang(&s, k, 7, 77);
	snapshots_publish(&s);
	assert_int_equal(number_of(s.published), 77);
	snapshots_clear(&s);
	assert_null(s.published);
	epoch_drain(s.epoch);
	assert_int_equal(atomic_load(&alive), 0);
	epoch_free(&s.epoch);
	keyring_unref(&k);
}

struct stress {
	struct snapshots s;
	_Atomic uint64_t committed; /* what a storage snapshot taken now would have */
	_Atomic int stop;
	_Atomic uint64_t reads, wrong;
};

static void *reader(void *arg)
{
	struct stress *x = arg;
	struct epoch_reader *me;

	MUST(epoch_join(x->s.epoch, &me) == ST_OK);
	while (!atomic_load(&x->stop)) {
		epoch_online(me);
		for (int i = 0; i < 8; i++) {
			const struct snapshot *start =
			    atomic_load_explicit(&x->s.published, memory_order_acquire);
			uint64_t id = atomic_load(&x->committed);

			if (start != NULL && number_of(snapshots_pick(start, id)) != id)
				atomic_fetch_add(&x->wrong, 1);
			atomic_fetch_add(&x->reads, 1);
		}
		epoch_offline(me);
	}
	epoch_leave(&me);
	return NULL;
}

static void stress(void **state)
{
	static struct stress x;
	const struct keyring *k = some_keyring();
	pthread_t thread[READERS];
	struct random_seeded r;
	uint8_t dice;

	(void)state;
	random_seeded_init(&r, 3);
	assert_int_equal(epoch_new(&x.s.epoch), ST_OK);
	hang(&x.s, k, 1, 1);
	atomic_store(&x.committed, 1);
	snapshots_publish(&x.s);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, reader, &x), 0);
	for (uint64_t id = 2; id < COMMITS || atomic_load(&x.reads) < 1000; id++) {
		random_fill(&r.random, &dice, 1);
		/* Now and then one or two fail before the one with this number is done. */
		for (; dice < 60; dice = (uint8_t)(dice + 40)) {
			hang(&x.s, k, id, FAILED);
			snapshots_unhang(&x.s);
		}
		hang(&x.s, k, id, id);
		atomic_store(&x.committed, id);
		snapshots_publish(&x.s);
	}
	atomic_store(&x.stop, 1);
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(atomic_load(&x.wrong), 0);
	snapshots_clear(&x.s);
	epoch_drain(x.s.epoch);
	assert_int_equal(atomic_load(&alive), 0);
	epoch_free(&x.s.epoch);
	keyring_unref(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_order),
	    cmocka_unit_test(stress),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
