#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/epoch.h"

/* The linker leads the module's malloc here (--wrap). */
static _Thread_local int malloc_fails;
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *__wrap_malloc(size_t n)
{
	return malloc_fails ? NULL : __real_malloc(n);
}

/* ... and its naps, which are counted. */
static _Atomic unsigned naps;
int __real_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
	(void)atomic_fetch_add(&naps, 1);
	return __real_nanosleep(t, left);
}

static _Atomic unsigned destroyed;

static void count(void *object)
{
	(void)atomic_fetch_add(&destroyed, 1);
}

static int reset(void **state)
{
	atomic_store(&destroyed, 0);
	return 0;
}

static void nobody_online_nothing_waits(void **state)
{
	struct epoch *e;
	struct epoch_reader *r;
	int x;

	assert_int_equal(epoch_new(&e), ST_OK);
	epoch_retire(e, &x, count);
	assert_int_equal(destroyed, 1);
	assert_int_equal(epoch_join(e, &r), ST_OK);
	epoch_retire(e, &x, count);
	assert_int_equal(destroyed, 2);
	assert_int_equal(epoch_poll(e), 0);
	epoch_leave(&r);
	assert_null(r);
	epoch_leave(&r);
	epoch_free(&e);
	assert_null(e);
	epoch_free(&e);
}

static void an_online_reader_holds_up(void **state)
{
	struct epoch *e;
	struct epoch_reader *r;
	int x;

	assert_int_equal(epoch_new(&e), ST_OK);
	assert_int_equal(epoch_join(e, &r), ST_OK);
	epoch_online(r);
	epoch_retire(e, &x, count);
	epoch_retire(e, &x, count);
	assert_int_equal(epoch_poll(e), 2);
	assert_int_equal(destroyed, 0);
	epoch_quiet(r);
	assert_int_equal(epoch_poll(e), 0);
	assert_int_equal(destroyed, 2);

	epoch_retire(e, &x, count);
	assert_int_equal(destroyed, 2);
	epoch_offline(r);
	assert_int_equal(epoch_poll(e), 0);
	assert_int_equal(destroyed, 3);

	epoch_online(r);
	epoch_retire(e, &x, count);
	assert_int_equal(epoch_poll(e), 1);
	epoch_leave(&r);
	epoch_drain(e);
	assert_int_equal(destroyed, 4);
	epoch_free(&e);
}

static void every_reader_counts(void **state)
{
	struct epoch *e;
	struct epoch_reader *a, *b;
	int x;

	assert_int_equal(epoch_new(&e), ST_OK);
	assert_int_equal(epoch_join(e, &a), ST_OK);
	assert_int_equal(epoch_join(e, &b), ST_OK);
	epoch_online(a);
	epoch_online(b);
	epoch_retire(e, &x, count);
	epoch_quiet(a);
	assert_int_equal(epoch_poll(e), 1);
	/* one that comes online now cannot hold what was retired before */
	epoch_offline(a);
	epoch_online(a);
	epoch_quiet(b);
	assert_int_equal(epoch_poll(e), 0);

	/* a lags behind the second of two only */
	epoch_retire(e, &x, count);
	epoch_quiet(a);
	epoch_quiet(b);
	epoch_retire(e, &x, count);
	assert_int_equal(epoch_poll(e), 1);
	assert_int_equal(destroyed, 2);
	epoch_leave(&a);
	epoch_leave(&b);
	epoch_free(&e);
	assert_int_equal(destroyed, 3);
}

static void readers_are_limited(void **state)
{
	static struct epoch_reader *r[EPOCH_READERS_MAX];
	struct epoch_reader *more = NULL;
	struct epoch *e;
	int x;

	assert_int_equal(epoch_new(&e), ST_OK);
	for (size_t i = 0; i < EPOCH_READERS_MAX; i++) {
		assert_int_equal(epoch_join(e, &r[i]), ST_OK);
		if (i > 0) /* each has a cache line of its own */
			assert_true(llabs((intptr_t)r[i] - (intptr_t)r[i - 1]) >= 64);
	}
	assert_int_equal(epoch_join(e, &more), ST_LIMIT);
	assert_null(more);
	epoch_online(r[EPOCH_READERS_MAX - 1]);
	epoch_retire(e, &x, count);
	assert_int_equal(destroyed, 0);
	epoch_leave(&r[100]);
	assert_int_equal(epoch_join(e, &r[100]), ST_OK);
	for (size_t i = 0; i < EPOCH_READERS_MAX; i++)
		epoch_leave(&r[i]);
	epoch_free(&e);
	assert_int_equal(destroyed, 1);
}

struct nested {
	struct epoch *e;
	struct epoch_reader *r;
	int x;
};

/* Retires another object while a reader is online that was not when the scan was made. */
static void retire_more(void *object)
{
	struct nested *n = object;

	count(n);
	epoch_online(n->r);
	epoch_retire(n->e, &n->x, count);
}

static void a_destroy_function_may_retire(void **state)
{
	struct nested n;

	assert_int_equal(epoch_new(&n.e), ST_OK);
	assert_int_equal(epoch_join(n.e, &n.r), ST_OK);
	epoch_retire(n.e, &n, retire_more);
	assert_int_equal(destroyed, 1);
	assert_int_equal(epoch_poll(n.e), 1);
	epoch_leave(&n.r);
	epoch_free(&n.e);
	assert_int_equal(destroyed, 2);
}

/* One reader that is online when the main thread runs out of memory, and passes when that has waited a little. */
struct passer {
	struct epoch_reader *r;
	_Atomic int online;
	_Atomic int passed;
	_Atomic unsigned destroyed_before;
};

static void *pass(void *arg)
{
	struct passer *p = arg;

	epoch_online(p->r);
	atomic_store(&p->online, 1);
	while (atomic_load(&naps) < 3 && atomic_load(&destroyed) == 0)
		;
	atomic_store(&p->destroyed_before, atomic_load(&destroyed));
	atomic_store(&p->passed, 1);
	epoch_quiet(p->r);
	epoch_leave(&p->r);
	return NULL;
}

static void without_memory_retire_waits(void **state)
{
	struct passer p = {0};
	struct epoch *e;
	pthread_t t;
	int x;

	assert_int_equal(epoch_new(&e), ST_OK);
	assert_int_equal(epoch_join(e, &p.r), ST_OK);
	assert_int_equal(pthread_create(&t, NULL, pass, &p), 0);
	while (!atomic_load(&p.online))
		;
	atomic_store(&naps, 0);
	malloc_fails = 1;
	epoch_retire(e, &x, count);
	malloc_fails = 0;
	assert_int_equal(atomic_load(&p.passed), 1);
	assert_int_equal(atomic_load(&p.destroyed_before), 0);
	assert_int_equal(destroyed, 1);
	assert_int_equal(pthread_join(t, NULL), 0);
	epoch_free(&e);
}

/*
 * Readers look at a shared object without pause while the writer replaces it; a freed one shows a broken mark (and the
 * sanitizers see the use itself).
 */
#define READERS 4
#define ROUNDS  20000
#define ALIVE   UINT64_C(0x600d600d600d600d)

struct object {
	uint64_t mark;
	uint64_t number;
};

static struct object *_Atomic shared;
static _Atomic int stop;
static _Atomic unsigned bad;

static void destroy_object(void *p)
{
	struct object *o = p;

	o->mark = 0;
	free(o);
	count(NULL);
}

static void look(uint64_t *last)
{
	const struct object *o = atomic_load_explicit(&shared, memory_order_acquire);

	if (o->mark != ALIVE || o->number < *last)
		(void)atomic_fetch_add(&bad, 1);
	*last = o->number;
}

static void *read_on(void *arg)
{
	struct epoch *e = arg;
	struct epoch_reader *r;
	uint64_t last = 0;

	if (epoch_join(e, &r) != ST_OK) {
		(void)atomic_fetch_add(&bad, 1);
		return NULL;
	}
	for (unsigned turn = 0; !atomic_load(&stop); turn++) {
		epoch_online(r);
		look(&last);
		look(&last);
		if (turn % 3 == 0) {
			epoch_quiet(r);
			look(&last);
		}
		epoch_offline(r);
		if (turn % 64 == 0) {
			epoch_leave(&r);
			if (epoch_join(e, &r) != ST_OK)
				(void)atomic_fetch_add(&bad, 1);
		}
	}
	epoch_leave(&r);
	return NULL;
}

static struct object *new_object(uint64_t number)
{
	struct object *o = malloc(sizeof(*o));

	assert_non_null(o);
	*o = (struct object){.mark = ALIVE, .number = number};
	return o;
}

static void readers_never_meet_a_freed_object(void **state)
{
	pthread_t threads[READERS];
	struct epoch *e;

	assert_int_equal(epoch_new(&e), ST_OK);
	atomic_store(&shared, new_object(0));
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, e), 0);
	for (uint64_t n = 1; n <= ROUNDS; n++) {
		struct object *old = atomic_load_explicit(&shared, memory_order_relaxed);

		atomic_store_explicit(&shared, new_object(n), memory_order_release);
		epoch_retire(e, old, destroy_object);
		if (n % 1000 == 0)
			epoch_drain(e);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	epoch_free(&e);
	assert_int_equal(destroyed, ROUNDS);
	assert_int_equal(bad, 0);
	free(atomic_load(&shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(nobody_online_nothing_waits, reset),
	    cmocka_unit_test_setup(an_online_reader_holds_up, reset),
	    cmocka_unit_test_setup(every_reader_counts, reset),
	    cmocka_unit_test_setup(readers_are_limited, reset),
	    cmocka_unit_test_setup(a_destroy_function_may_retire, reset),
	    cmocka_unit_test_setup(without_memory_retire_waits, reset),
	    cmocka_unit_test_setup(readers_never_meet_a_freed_object, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
