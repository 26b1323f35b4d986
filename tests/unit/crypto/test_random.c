/* Random bytes: they differ between calls, threads and forks; the seeded source repeats; text is fair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/random.h"

#define BLOCK 32

static void system_bytes_differ(void **state)
{
	uint8_t a[BLOCK], b[BLOCK];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		random_fill(&random_system, a, sizeof a);
		random_fill(&random_system, b, sizeof b);
		assert_memory_not_equal(a, b, BLOCK);
	}
}

/* Every byte of the length asked for is written, whatever the length, and nothing beside it. */
static void system_fills_every_length(void **state)
{
	static uint8_t buf[5000];

	(void)state;
	for (size_t n = 0; n < 4100; n += n < 70 ? 1 : 333) {
		static uint8_t seen[5000];

		memset(seen, 0, sizeof seen);
		for (unsigned round = 0; round < 12; round++) {
			memset(buf, 0, sizeof buf);
			random_fill(&random_system, buf + 8, n);
			for (size_t i = 0; i < n; i++)
				seen[8 + i] |= buf[8 + i];
			for (size_t i = 0; i < 8; i++) {
				assert_int_equal(buf[i], 0);
				assert_int_equal(buf[8 + n + i], 0);
			}
		}
		/* A written byte stays 0 in twelve rounds once in 2^96. */
		for (size_t i = 0; i < n; i++)
			assert_int_not_equal(seen[8 + i], 0);
	}
}

/* 3 MiB, over several seeds: no block comes twice and each byte value is about as frequent as it should be. */
static void system_bytes_are_spread(void **state)
{
	static uint8_t buf[3 << 20];
	size_t count[256] = {0};

	(void)state;
	random_fill(&random_system, buf, sizeof buf);
	for (size_t i = 0; i < sizeof buf; i++)
		count[buf[i]]++;
	/* Expected 12,288, standard deviation 111: more than 10 of these off is no accident. */
	for (size_t v = 0; v < 256; v++)
		assert_in_range(count[v], 12288 - 1110, 12288 + 1110);
	for (size_t i = BLOCK; i < sizeof buf; i += BLOCK)
		assert_memory_not_equal(buf, buf + i, BLOCK);
}

static void a_forked_child_gets_other_bytes(void **state)
{
	uint8_t mine[BLOCK], its[BLOCK];
	int ends[2], status;
	pid_t pid;

	(void)state;
	random_fill(&random_system, mine, 5);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		random_fill(&random_system, its, BLOCK);
		_exit(write(ends[1], its, BLOCK) == BLOCK ? 0 : 1);
	}
	random_fill(&random_system, mine, BLOCK);
	assert_int_equal(read(ends[0], its, BLOCK), BLOCK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_memory_not_equal(mine, its, BLOCK);
	for (unsigned i = 0; i < 4; i++)
		assert_memory_not_equal(its + i * 8, (uint8_t[8]){0}, 8);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void *fill_block(void *arg)
{
	for (unsigned i = 0; i < 2000; i++)
		random_fill(&random_system, arg, BLOCK);
	return NULL;
}

static void threads_get_other_bytes(void **state)
{
	uint8_t blocks[4][BLOCK];
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fill_block, blocks[i]), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(blocks[i], blocks[j], BLOCK);
}

static void a_seed_repeats(void **state)
{
	struct random_seeded a, b, c;
	uint8_t x[100], y[100], z[100], first[100];

	(void)state;
	random_seeded_init(&a, 42);
	random_seeded_init(&b, 42);
	random_seeded_init(&c, 43);
	random_fill(&a.random, first, sizeof first);
	random_fill(&b.random, y, sizeof y);
	random_fill(&c.random, z, sizeof z);
	assert_memory_equal(first, y, sizeof y);
	assert_memory_not_equal(first, z, sizeof z);
	random_fill(&a.random, x, sizeof x);
	random_fill(&b.random, y, sizeof y);
	assert_memory_equal(x, y, sizeof y);
	assert_memory_not_equal(x, first, sizeof x);
	random_fill(&a.random, x, 0);
}

static void text_is_fair_and_from_its_alphabet(void **state)
{
	static char text[62 * 1000];
	size_t count[128] = {0};

	(void)state;
	random_text(&random_system, random_base62, text, sizeof text);
	for (size_t i = 0; i < sizeof text; i++) {
		assert_non_null(memchr(random_base62, text[i], 62));
		count[(unsigned char)text[i]]++;
	}
	/* Expected 1,000, standard deviation 31.  Without rejection the first 8 letters would come 1,211 times. */
	for (size_t i = 0; i < 62; i++)
		assert_in_range(count[(unsigned char)random_base62[i]], 1000 - 175, 1000 + 175);
	assert_int_equal(strlen(random_base62), 62);
}

static void text_writes_only_its_length(void **state)
{
	char out[8] = "zzzzzzz";

	(void)state;
	random_text(&random_system, "a", out, 3);
	assert_string_equal(out, "aaazzzz");
	random_text(&random_system, "a", out, 0);
	assert_string_equal(out, "aaazzzz");
}

static void uuids_have_their_form(void **state)
{
	char a[UUID_LEN + 1] = {0}, b[UUID_LEN + 1] = {0};

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		a[UUID_LEN] = 'x';
		random_uuid(&random_system, a);
		assert_int_equal(a[UUID_LEN], 'x');
		for (size_t i = 0; i < UUID_LEN; i++) {
			if (i == 8 || i == 13 || i == 18 || i == 23)
				assert_int_equal(a[i], '-');
			else
				assert_non_null(memchr("0123456789abcdef", a[i], 16));
		}
		assert_int_equal(a[14], '4');
		assert_non_null(memchr("89ab", a[19], 4));
		assert_memory_not_equal(a, b, UUID_LEN);
		memcpy(b, a, UUID_LEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(system_bytes_differ),
	    cmocka_unit_test(system_fills_every_length),
	    cmocka_unit_test(system_bytes_are_spread),
	    cmocka_unit_test(a_forked_child_gets_other_bytes),
	    cmocka_unit_test(threads_get_other_bytes),
	    cmocka_unit_test(a_seed_repeats),
	    cmocka_unit_test(text_is_fair_and_from_its_alphabet),
	    cmocka_unit_test(text_writes_only_its_length),
	    cmocka_unit_test(uuids_have_their_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
