/* Guarded memory: zeroed, aligned, locked, fenced, absent from dumps and children, wiped, refused when it cannot be locked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "child.h"
#include "crypto/secret.h"

static const size_t sizes[] = {1,    2,    15,   16,   17,   63,    64,    65,    127,   128,  129,
                               255,  256,  257,  500,  512,  513,   1000,  1024,  1088,  1089, 2048,
                               4000, 4096, 4097, 8192, 8193, 16384, 16385, 65536, 100000};
#define SIZES (sizeof sizes / sizeof sizes[0])

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* A number of kB from /proc/self/status. */
static size_t proc_kb(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	size_t kb = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			kb = strtoul(line + strlen(name), NULL, 10);
	(void)fclose(f);
	return kb;
}

/* The VmFlags line of the mapping that holds p. */
#define FLAGS_MAX 512
static void vm_flags(const void *p, char ret[static FLAGS_MAX])
{
	FILE *f = fopen("/proc/self/smaps", "re");
	bool here = false;
	char line[FLAGS_MAX];

	assert_non_null(f);
	ret[0] = '\0';
	while (fgets(line, sizeof line, f) != NULL) {
		char *end;
		unsigned long lo = strtoul(line, &end, 16);

		if (*end == '-' && end != line)
			here = lo <= (uintptr_t)p && (uintptr_t)p < strtoul(end + 1, NULL, 16);
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			memcpy(ret, line + 8, sizeof line - 8);
	}
	(void)fclose(f);
}

/* ------------------------------------------------------------ set-up; the first cases need a process without it */

static int openssl_first(void)
{
	struct err err = {0};

	if (OPENSSL_malloc(10) == NULL)
		return 2;
	return secret_setup(1 << 20, &err) == ST_UNAVAILABLE && strstr(err.text, "OpenSSL") != NULL
	           ? 0
	           : 1;
}

static void setup_refuses_after_openssl_was_used(void **state)
{
	(void)state;
	assert_int_equal(child_exited(openssl_first), 0);
}

/* Leaves this process with n bytes that it may lock, and without the capability to pass that. */
static bool may_lock(size_t n)
{
	struct rlimit limit = {n, n};

	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return false;
	if (geteuid() != 0)
		return true;
	return setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 &&
	       setresuid(65534, 65534, 65534) == 0;
}

static int setup_without_locking(void)
{
	struct err err = {0};

	if (!may_lock(64 << 10))
		return 2;
	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_LIMIT || err.status != ST_LIMIT)
		return 3;
	if (strstr(err.text, "RLIMIT_MEMLOCK is 64 KiB") == NULL ||
	    strstr(err.text, "4096 KiB") == NULL)
		return 4;
	return strstr(err.text, "LimitMEMLOCK") != NULL && strstr(err.text, "CAP_IPC_LOCK") != NULL
	           ? 0
	           : 5;
}

static void setup_names_the_limit_when_memory_cannot_be_locked(void **state)
{
	(void)state;
	assert_int_equal(child_exited(setup_without_locking), 0);
}

static int setup_raises_the_soft_limit(void)
{
	struct err err = {0};
	struct rlimit limit;

	if (!may_lock(4 << 20))
		return 2;
	limit = (struct rlimit){64 << 10, 4 << 20};
	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return 3;
	if (secret_setup(1 << 20, &err) != ST_OK)
		return 4;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur != 4 << 20)
		return 5;
	return 0;
}

static void setup_raises_the_soft_limit_to_the_hard_one(void **state)
{
	(void)state;
	assert_int_equal(child_exited(setup_raises_the_soft_limit), 0);
}

static int grow_past_the_limit(void)
{
	size_t got = 0;

	if (!may_lock(2 << 20))
		return 2;
	while (got < 100) {
		uint8_t *p = secret_alloc(128 << 10);

		if (p == NULL)
			break;
		p[0] = 1;
		got++;
	}
	/* 2 MiB are 16 of these; a small secret that needs a new region fails like a large one. */
	if (got == 0 || got > 16 || secret_locked_bytes() > 2 << 20)
		return 3;
	for (size_t i = 0; i < 100000; i++)
		if (secret_alloc(64) == NULL)
			return 0;
	return 4;
}

static int spares_give_way(void)
{
	void *p[8];

	if (!may_lock(2 << 20))
		return 2;
	/* 1 MiB that is kept when it comes back, in pieces that fit nothing else. */
	for (size_t i = 0; i < 8; i++)
		if ((p[i] = secret_alloc(128 << 10)) == NULL)
			return 3;
	for (size_t i = 0; i < 8; i++)
		secret_release(p[i]);
	if (secret_locked_bytes() < 1 << 20)
		return 4;
	return secret_alloc((2 << 20) - 65536) != NULL ? 0 : 5;
}

static void what_is_kept_for_later_gives_way(void **state)
{
	(void)state;
	assert_int_equal(child_exited(spares_give_way), 0);
}

static void memory_that_cannot_be_locked_is_not_handed_out(void **state)
{
	(void)state;
	assert_int_equal(child_exited(grow_past_the_limit), 0);
}

static void setup_switches_dumps_off(void **state)
{
	struct err err = {0};
	struct rlimit core;

	(void)state;
	assert_int_equal(secret_setup(SECRET_BUDGET_DEFAULT, &err), ST_OK);
	assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	assert_true(core.rlim_cur == 0 && core.rlim_max == 0);
	/* Again is no error. */
	assert_int_equal(secret_setup(SECRET_BUDGET_DEFAULT, &err), ST_OK);
}

/* ------------------------------------------------------------ memory */

static void alloc_gives_zeroed_aligned_memory(void **state)
{
	uint8_t *p[SIZES];

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < SIZES; i++) {
			p[i] = secret_alloc(sizes[i]);
			assert_non_null(p[i]);
			assert_int_equal((uintptr_t)p[i] % 64, 0);
			assert_true(all_zero(p[i], sizes[i]));
			memset(p[i], (int)(i + 1), sizes[i]);
		}
		for (size_t i = 0; i < SIZES; i++)
			for (size_t j = 0; j < sizes[i]; j++)
				assert_int_equal(p[i][j], i + 1);
		for (size_t i = 0; i < SIZES; i++)
			secret_release(p[i]);
	}
	secret_release(NULL);
}

static void alloc_refuses_sizes_that_cannot_be(void **state)
{
	(void)state;
	assert_null(secret_alloc(SIZE_MAX));
	assert_null(secret_alloc(SIZE_MAX / 2));
	assert_null(secret_alloc((size_t)1 << 46));
}

static void released_memory_is_wiped(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		/* The second keeps the pages in use.  What is larger than 16 KiB leaves with its pages: nothing to look at. */
		uint8_t *p = secret_alloc(sizes[i]), *other = secret_alloc(sizes[i]);

		if (sizes[i] > 16384)
			goto next;
		assert_non_null(p);
		memset(p, 0xa5, sizes[i]);
		secret_release(p);
		assert_true(all_zero(p, sizes[i]));
		p = NULL;
	next:
		secret_release(p);
		secret_release(other);
	}
}

static void memory_is_locked_and_counted(void **state)
{
	static const size_t large[] = {300000, 3000000};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t before_kb = proc_kb("VmLck:"), before = secret_locked_bytes();
		uint8_t *p = secret_alloc(large[i]);

		assert_non_null(p);
		assert_true(secret_locked_bytes() >= before + large[i]);
		assert_int_equal(proc_kb("VmLck:") - before_kb,
		                 (secret_locked_bytes() - before) >> 10);
		secret_release(p);
		/* The smaller one may be kept for the next that asks; more than 1 MiB never is. */
		if (large[i] > 1 << 20)
			assert_int_equal(secret_locked_bytes(), before);
		assert_int_equal(proc_kb("VmLck:") - before_kb,
		                 (secret_locked_bytes() - before) >> 10);
	}
}

static void what_is_kept_for_later_is_bounded(void **state)
{
	size_t before = secret_locked_bytes();
	void *p[40];

	(void)state;
	for (size_t i = 0; i < 40; i++)
		assert_non_null(p[i] = secret_alloc(20000 + i * 8192));
	for (size_t i = 0; i < 40; i++)
		secret_release(p[i]);
	assert_true(secret_locked_bytes() <= before + (1 << 20));
}

static void memory_is_kept_out_of_dumps_and_children(void **state)
{
	uint8_t *small = secret_alloc(32), *large = secret_alloc(40000);
	char flags[FLAGS_MAX];

	(void)state;
	vm_flags(small, flags);
	assert_non_null(strstr(flags, " lo"));
	assert_non_null(strstr(flags, " dd"));
	assert_non_null(strstr(flags, " wf"));
	vm_flags(large, flags);
	assert_non_null(strstr(flags, " lo"));
	assert_non_null(strstr(flags, " dd"));
	assert_non_null(strstr(flags, " wf"));
	secret_release(small);
	secret_release(large);
}

static uint8_t *inherited;

static int look_at_inherited(void)
{
	return all_zero(inherited, 32) ? 0 : 1;
}

static void a_forked_child_sees_zeros(void **state)
{
	(void)state;
	inherited = secret_alloc(32);
	memset(inherited, 0x77, 32);
	assert_int_equal(child_exited(look_at_inherited), 0);
	assert_int_equal(inherited[31], 0x77);
	secret_release(inherited);
}

/* ------------------------------------------------------------ what must stop the process */

static int run_over(void)
{
	volatile uint8_t *p = secret_alloc(20480);

	p[20480] = 1;
	return 0;
}

static int run_under(void)
{
	volatile uint8_t *p = secret_alloc(20480);

	p[-1] = 1;
	return 0;
}

static int release_twice(void)
{
	void *keep = secret_alloc(100), *p = secret_alloc(100);

	(void)keep;
	secret_release(p);
	secret_release(p);
	return 0;
}

static int release_last_twice(void)
{
	void *p = secret_alloc(15000);

	secret_release(p);
	secret_release(p);
	return 0;
}

static int release_large_twice(void)
{
	void *p = secret_alloc(200000);

	secret_release(p);
	secret_release(p);
	return 0;
}

static int release_inside(void)
{
	uint8_t *p = secret_alloc(128);

	secret_release(p + 16);
	return 0;
}

static int release_inside_large(void)
{
	uint8_t *p = secret_alloc(200000);

	secret_release(p + 64);
	return 0;
}

static int release_foreign(void)
{
	int x = 0;

	secret_release(&x);
	return x;
}

static int use_after_free(void)
{
	struct secret *s, *t;

	if (secret_new(16, &s) != ST_OK)
		return 1;
	t = s;
	secret_free(&s);
	return (int)secret_len(t);
}

static void guard_pages_stop_overruns(void **state)
{
	(void)state;
	assert_int_equal(child_signal(run_over), SIGSEGV);
	assert_int_equal(child_signal(run_under), SIGSEGV);
}

static void misuse_aborts(void **state)
{
	(void)state;
	assert_int_equal(child_signal(release_twice), SIGABRT);
	assert_int_equal(child_signal(release_last_twice), SIGABRT);
	assert_int_equal(child_signal(release_large_twice), SIGABRT);
	assert_int_equal(child_signal(release_inside), SIGABRT);
	assert_int_equal(child_signal(release_inside_large), SIGABRT);
	assert_int_equal(child_signal(release_foreign), SIGABRT);
	assert_int_equal(child_signal(use_after_free), SIGABRT);
}

/* ------------------------------------------------------------ many, and from threads */

#define HELD 200

/* Takes and gives back in a mixed order, and checks that nobody else wrote into what it holds. */
static void *churn(void *arg)
{
	unsigned char tag = *(unsigned char *)arg;
	uint8_t *held[HELD] = {0};
	size_t n[HELD] = {0};
	uintptr_t bad = 0;
	uint32_t x = tag;

	for (unsigned turn = 0; turn < 20000; turn++) {
		size_t i;

		x = x * 1664525 + 1013904223;
		i = (x >> 8) % HELD;
		if (held[i] == NULL) {
			n[i] = sizes[(x >> 16) % (SIZES - 4)];
			held[i] = secret_alloc(n[i]);
			bad |= held[i] == NULL || !all_zero(held[i], n[i]);
			if (held[i] != NULL)
				memset(held[i], tag, n[i]);
			continue;
		}
		for (size_t j = 0; j < n[i]; j++)
			bad |= held[i][j] != tag;
		secret_release(held[i]);
		held[i] = NULL;
	}
	for (size_t i = 0; i < HELD; i++)
		secret_release(held[i]);
	return (void *)bad;
}

static void threads_share_the_memory(void **state)
{
	unsigned char tags[4] = {1, 2, 3, 4};
	pthread_t threads[4];
	void *bad;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, &tags[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
}

static void given_back_memory_serves_other_sizes(void **state)
{
	enum { N = 1000 };
	static void *p[N];
	size_t peak;

	(void)state;
	for (size_t i = 0; i < N; i++)
		assert_non_null(p[i] = secret_alloc(1024));
	peak = secret_locked_bytes();
	for (size_t i = 0; i < N; i++)
		secret_release(p[i]);
	for (size_t i = 0; i < N; i++)
		assert_non_null(p[i] = secret_alloc(i % 2 == 0 ? 64 : 512));
	assert_true(secret_locked_bytes() <= peak);
	for (size_t i = 0; i < N; i++)
		secret_release(p[i]);
}

/* ------------------------------------------------------------ struct secret */

static void secrets_keep_their_bytes(void **state)
{
	const uint8_t bytes[] = {1, 2, 3, 4, 5};
	struct secret *s = NULL, *empty = NULL;

	(void)state;
	assert_int_equal(secret_from(span_of(bytes, sizeof bytes), &s), ST_OK);
	assert_int_equal(secret_len(s), sizeof bytes);
	assert_memory_equal(secret_bytes(s), bytes, sizeof bytes);
	assert_true(span_eq(secret_span(s), span_of(bytes, sizeof bytes)));
	secret_free(&s);
	assert_null(s);
	secret_free(&s);

	assert_int_equal(secret_new(48, &s), ST_OK);
	assert_true(all_zero(secret_bytes(s), 48));
	secret_free(&s);

	assert_int_equal(secret_from((struct span){NULL, 0}, &empty), ST_OK);
	assert_int_equal(secret_len(empty), 0);
	secret_free(&empty);
}

static void a_secret_too_large_leaves_the_output_alone(void **state)
{
	struct secret *s = NULL;

	(void)state;
	assert_int_equal(secret_new(SIZE_MAX, &s), ST_NOMEM);
	assert_int_equal(secret_new(SIZE_MAX - 100, &s), ST_NOMEM);
	assert_null(s);
}

static void a_freed_secret_is_wiped(void **state)
{
	struct secret *s = NULL, *keep = NULL;
	const uint8_t *p;

	(void)state;
	assert_int_equal(secret_new(32, &keep), ST_OK);
	assert_int_equal(secret_new(32, &s), ST_OK);
	memset(secret_bytes(s), 0xee, 32);
	p = secret_bytes(s);
	secret_free(&s);
	assert_true(all_zero(p, 32));
	secret_free(&keep);
}

/* ------------------------------------------------------------ arenas */

static void arena_hands_out_what_does_not_move(void **state)
{
	struct arena a = {0};
	uint8_t *p[300];

	(void)state;
	for (size_t i = 0; i < 300; i++) {
		p[i] = arena_alloc(&a, i * 7 + 1);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		assert_true(all_zero(p[i], i * 7 + 1));
		memset(p[i], (int)(i & 0xff), i * 7 + 1);
	}
	for (size_t i = 0; i < 300; i++)
		for (size_t j = 0; j < i * 7 + 1; j++)
			assert_int_equal(p[i][j], i & 0xff);
	assert_int_equal(a.used, 300 * 299 / 2 * 7 + 300);
	arena_free(&a);
	assert_null(a.first);
	assert_int_equal(a.used, 0);
	arena_free(&a);
}

static void arena_reset_wipes_and_keeps_one_small_block(void **state)
{
	size_t before, held;
	struct arena a = {0};
	uint8_t *p, *q;

	(void)state;
	arena_reset(&a);
	p = arena_alloc(&a, 100);
	assert_non_null(p);
	before = secret_locked_bytes();
	memset(p, 0x5a, 100);
	q = arena_alloc(&a, 3000000);
	assert_non_null(q);
	assert_true(all_zero(q, 3000000));
	assert_true(secret_locked_bytes() >= before + 3000000);
	arena_reset(&a);
	held = secret_locked_bytes();
	assert_int_equal(held, before);
	assert_int_equal(a.used, 0);
	assert_true(all_zero(p, 100));
	assert_ptr_equal(arena_alloc(&a, 10), p);
	arena_free(&a);

	/* Nor is a large first value kept. */
	p = arena_alloc(&a, 3000000);
	assert_non_null(p);
	arena_reset(&a);
	assert_true(secret_locked_bytes() <= held);
	arena_free(&a);
}

/* In the first block and in later ones, whatever was given before; what is given does not overlap. */
static void arena_aligns_when_asked(void **state)
{
	uint8_t *p[300];
	struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < 300; i++) {
		assert_non_null(arena_alloc(&a, i % 50 + 1));
		p[i] = arena_alloc64(&a, 1000 + i);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 64, 0);
		memset(p[i], (int)i, 1000 + i);
	}
	for (size_t i = 0; i < 300; i++)
		for (size_t j = 0; j < 1000 + i; j++)
			assert_int_equal(p[i][j], (uint8_t)i);
	arena_reset(&a);
	assert_null(arena_alloc64(&a, SIZE_MAX));
	assert_null(arena_alloc64(&a, SIZE_MAX - 48));
	arena_free(&a);
}

static void arena_without_memory_says_so(void **state)
{
	struct arena a = {0};

	(void)state;
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 40));
	assert_null(arena_alloc(&a, (size_t)1 << 46));
	assert_non_null(arena_alloc(&a, 0));
	arena_free(&a);
}

/* ------------------------------------------------------------ OpenSSL */

static void openssl_lives_in_locked_memory(void **state)
{
	uint8_t *p = OPENSSL_malloc(40), *grown;
	char flags[FLAGS_MAX];

	(void)state;
	assert_non_null(p);
	vm_flags(p, flags);
	assert_non_null(strstr(flags, " lo"));
	for (uint8_t i = 0; i < 40; i++)
		p[i] = (uint8_t)(i + 1);
	grown = OPENSSL_realloc(p, 5000);
	assert_non_null(grown);
	assert_ptr_not_equal(grown, p);
	for (uint8_t i = 0; i < 40; i++)
		assert_int_equal(grown[i], i + 1);
	assert_true(all_zero(p, 40));
	OPENSSL_free(grown);
	assert_true(all_zero(grown, 5000));
	assert_null(OPENSSL_malloc(0));
	OPENSSL_free(NULL);
	grown = OPENSSL_realloc(NULL, 10);
	assert_non_null(grown);
	assert_null(OPENSSL_realloc(grown, 0));
}

static void openssl_works_in_it(void **state)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	char flags[FLAGS_MAX];

	(void)state;
	assert_non_null(key);
	vm_flags(key, flags);
	assert_non_null(strstr(flags, " lo"));
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(setup_refuses_after_openssl_was_used),
	    cmocka_unit_test(setup_names_the_limit_when_memory_cannot_be_locked),
	    cmocka_unit_test(setup_raises_the_soft_limit_to_the_hard_one),
	    cmocka_unit_test(memory_that_cannot_be_locked_is_not_handed_out),
	    cmocka_unit_test(what_is_kept_for_later_gives_way),
	    cmocka_unit_test(setup_switches_dumps_off),
	    cmocka_unit_test(alloc_gives_zeroed_aligned_memory),
	    cmocka_unit_test(alloc_refuses_sizes_that_cannot_be),
	    cmocka_unit_test(released_memory_is_wiped),
	    cmocka_unit_test(memory_is_locked_and_counted),
	    cmocka_unit_test(what_is_kept_for_later_is_bounded),
	    cmocka_unit_test(memory_is_kept_out_of_dumps_and_children),
	    cmocka_unit_test(a_forked_child_sees_zeros),
	    cmocka_unit_test(guard_pages_stop_overruns),
	    cmocka_unit_test(misuse_aborts),
	    cmocka_unit_test(threads_share_the_memory),
	    cmocka_unit_test(given_back_memory_serves_other_sizes),
	    cmocka_unit_test(secrets_keep_their_bytes),
	    cmocka_unit_test(a_secret_too_large_leaves_the_output_alone),
	    cmocka_unit_test(a_freed_secret_is_wiped),
	    cmocka_unit_test(arena_hands_out_what_does_not_move),
	    cmocka_unit_test(arena_reset_wipes_and_keeps_one_small_block),
	    cmocka_unit_test(arena_aligns_when_asked),
	    cmocka_unit_test(arena_without_memory_says_so),
	    cmocka_unit_test(openssl_lives_in_locked_memory),
	    cmocka_unit_test(openssl_works_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
