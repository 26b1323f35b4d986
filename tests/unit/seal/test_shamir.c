/*
 * Shamir's sharing: all subsets of small ones, chosen ones of large ones; compared with a slow field arithmetic written
 * here from the definition (GF(2^8) with x^8 + x^4 + x^3 + x + 1, FIPS 197, 4.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/ct.h"
#include "seal/shamir.h"

#define SECRET_MAX 64

static struct random_seeded seeded;

static int setup(void **state)
{
	struct err err = {0};

	(void)state;
	random_seeded_init(&seeded, 20260102);
	if (secret_setup((size_t)1 << 20, &err) == ST_OK)
		return 0;
	(void)fprintf(stderr, "%s\n", err.text);
	return -1;
}

/* ---- the slow reference ---- */

static uint8_t slow_mul(uint8_t a, uint8_t b)
{
	unsigned product = 0;

	for (unsigned bit = 0; bit < 8; bit++)
		if ((b >> bit & 1) != 0)
			product ^= (unsigned)a << bit;
	for (unsigned bit = 14; bit >= 8; bit--)
		if ((product >> bit & 1) != 0)
			product ^= 0x11bU << (bit - 8);
	return (uint8_t)product;
}

static uint8_t slow_inv(uint8_t a)
{
	for (unsigned b = 1; b < 256; b++)
		if (slow_mul(a, (uint8_t)b) == 1)
			return (uint8_t)b;
	return 0;
}

/* The value at `where` of the polynomial of the least degree through the n points. */
static uint8_t slow_value(const uint8_t *x, const uint8_t *y, unsigned n, uint8_t where)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		uint8_t term = y[i];

		for (unsigned j = 0; j < n; j++) {
			if (j == i)
				continue;
			term = slow_mul(term, (uint8_t)(where ^ x[j]));
			term = slow_mul(term, slow_inv((uint8_t)(x[i] ^ x[j])));
		}
		sum ^= term;
	}
	return sum;
}

static void slow_reference_itself(void **state)
{
	(void)state;
	assert_int_equal(slow_mul(0x57, 0x83), 0xc1); /* FIPS 197, 4.2 */
	assert_int_equal(slow_mul(0x57, 0x13), 0xfe);
	assert_int_equal(slow_inv(0x53), 0xca);
	for (unsigned a = 1; a < 256; a++)
		assert_int_equal(slow_mul((uint8_t)a, slow_inv((uint8_t)a)), 1);
}

/* ---- secrets and shares ---- */

static struct secret *bytes(const void *p, size_t n)
{
	struct secret *s = NULL;

	assert_int_equal(secret_from(span_of(p, n), &s), ST_OK);
	return s;
}

static struct secret *any_secret(size_t n)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new(n, &s), ST_OK);
	random_fill(&seeded.random, secret_bytes(s), n);
	return s;
}

static void split(const struct secret *whole, unsigned n, unsigned k, struct secret **ret)
{
	memset(ret, 0, n * sizeof *ret);
	assert_int_equal(shamir_split(whole, n, k, &seeded.random, ret), ST_OK);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(secret_len(ret[i]), secret_len(whole) + 1);
}

static void free_all(struct secret **shares, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		secret_free(&shares[i]);
}

static uint8_t x_of(const struct secret *share)
{
	return secret_span(share).p[secret_len(share) - 1];
}

static bool joins_to(struct secret *const *shares, unsigned n, const struct secret *whole)
{
	struct secret *got = NULL;
	bool same;

	assert_int_equal(secret_new(secret_len(whole), &got), ST_OK);
	assert_int_equal(shamir_join(shares, n, got), ST_OK);
	same = ct_equal(secret_span(got), secret_span(whole));
	secret_free(&got);
	return same;
}

/* ---- known answers ---- */

/*
 * By hand, f(x) = 2a + 53 x: f(01) = 2a ^ 53 = 79; f(ca) = 2a ^ 53 * ca = 2a ^ 01 = 2b; f(02) = 2a ^ a6 = 8c.
 * The values come first, then x.
 */
static void by_hand_one_byte(void **state)
{
	static const uint8_t points[3][2] = {{0x79, 0x01}, {0x2b, 0xca}, {0x8c, 0x02}};
	struct secret *whole = bytes("\x2a", 1);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (size_t j = 0; j < 3; j++) {
			if (i == j)
				continue;
			struct secret *shares[2] = {bytes(points[i], 2), bytes(points[j], 2)};

			assert_true(joins_to(shares, 2, whole));
			free_all(shares, 2);
		}
	}
	secret_free(&whole);
}

/* Two bytes, three shares: f(x) = 68 + 57 x + 01 x^2, g(x) = 69 + 00 x + 83 x^2, at 01, 02, 03 (x^2: 01, 04, 05). */
static void by_hand_two_bytes(void **state)
{
	static const uint8_t points[3][3] = {
	    {0x68 ^ 0x57 ^ 0x01, 0x69 ^ 0x83, 0x01},
	    {0x68 ^ 0xae ^ 0x04, 0x69 ^ 0x3a, 0x02}, /* 57 * 02 = ae; 83 * 04 = 3a */
	    {0x68 ^ 0xf9 ^ 0x05, 0x69 ^ 0xb9, 0x03}, /* 57 * 03 = f9; 83 * 05 = 3a ^ 83 = b9 */
	};
	struct secret *whole = bytes("hi", 2);
	struct secret *shares[3] = {bytes(points[2], 3), bytes(points[0], 3), bytes(points[1], 3)};

	(void)state;
	assert_int_equal(slow_mul(0x83, 0x04), 0x3a);
	assert_true(joins_to(shares, 3, whole));
	assert_false(joins_to(shares, 2, whole));
	free_all(shares, 3);
	secret_free(&whole);
}

struct constant_random {
	struct random random; /* first member */
	uint8_t value;
};

static void fill_constant(const struct random *r, uint8_t *p, size_t n)
{
	memset(p, ((const struct constant_random *)(const void *)r)->value, n);
}

/* With every random byte b, a share's value is s + b x + b x^2 ...: all coefficients are random, the constant is the secret. */
static void split_by_hand(void **state)
{
	static const uint8_t text[4] = {0x00, 0x2a, 0x80, 0xff};
	struct secret *whole = bytes(text, sizeof text), *shares[5];

	(void)state;
	for (unsigned b = 0; b < 256; b++) {
		struct constant_random r = {{fill_constant}, (uint8_t)b};

		assert_int_equal(shamir_split(whole, 5, 3, &r.random, shares), ST_OK);
		for (unsigned i = 0; i < 5; i++) {
			uint8_t x = x_of(shares[i]), sum;

			sum = (uint8_t)(slow_mul((uint8_t)b, x) ^
			                slow_mul((uint8_t)b, slow_mul(x, x)));
			for (size_t at = 0; at < sizeof text; at++)
				assert_int_equal(secret_span(shares[i]).p[at], text[at] ^ sum);
		}
		free_all(shares, 5);
	}
	secret_free(&whole);
}

/* Every share lies on the polynomial through any k of them, whose value at 0 is the secret: by the slow arithmetic. */
static void shares_lie_on_a_polynomial(void **state)
{
	static const unsigned cases[][2] = {{2, 2}, {5, 3}, {9, 8}, {30, 7}};

	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		unsigned n = cases[c][0], k = cases[c][1];
		struct secret *whole = any_secret(5), *shares[30];
		uint8_t x[30], y[30];

		split(whole, n, k, shares);
		for (size_t at = 0; at < 5; at++) {
			for (unsigned i = 0; i < n; i++) {
				x[i] = x_of(shares[i]);
				y[i] = secret_span(shares[i]).p[at];
			}
			assert_int_equal(slow_value(x, y, k, 0), secret_span(whole).p[at]);
			for (unsigned i = k; i < n; i++)
				assert_int_equal(slow_value(x, y, k, x[i]), y[i]);
		}
		free_all(shares, n);
		secret_free(&whole);
	}
}

/* ---- properties ---- */

/* All subsets of all sharings of up to six: at least k shares join to the secret, fewer do not. */
static void all_subsets(void **state)
{
	(void)state;
	for (unsigned n = 2; n <= 6; n++) {
		for (unsigned k = 2; k <= n; k++) {
			struct secret *whole = any_secret(32), *shares[6], *some[6];

			split(whole, n, k, shares);
			for (unsigned set = 1; set < 1U << n; set++) {
				unsigned m = 0;

				for (unsigned i = 0; i < n; i++)
					if ((set >> i & 1) != 0)
						some[m++] = shares[i];
				assert_true(joins_to(some, m, whole) == (m >= k));
			}
			free_all(shares, n);
			secret_free(&whole);
		}
	}
}

static void every_order(void **state)
{
	struct secret *whole = any_secret(32), *shares[3], *some[3];

	(void)state;
	split(whole, 3, 3, shares);
	for (unsigned a = 0; a < 3; a++) {
		for (unsigned b = 0; b < 3; b++) {
			if (a == b)
				continue;
			some[0] = shares[a];
			some[1] = shares[b];
			some[2] = shares[3 - a - b];
			assert_true(joins_to(some, 3, whole));
		}
	}
	free_all(shares, 3);
	secret_free(&whole);
}

static void mix(struct secret **shares, unsigned n)
{
	for (unsigned i = n - 1; i > 0; i--) {
		uint32_t r;
		struct secret *swap;

		random_fill(&seeded.random, (uint8_t *)&r, sizeof r);
		r %= i + 1;
		swap = shares[i];
		shares[i] = shares[r];
		shares[r] = swap;
	}
}

static void large_sharings(void **state)
{
	static const unsigned cases[][2] = {{255, 255}, {255, 128}, {255, 2},
	                                    {254, 253}, {100, 50},  {128, 127}};
	struct secret *shares[SHAMIR_SHARES_MAX];

	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		unsigned n = cases[c][0], k = cases[c][1];
		struct secret *whole = any_secret(32);

		split(whole, n, k, shares);
		for (unsigned round = 0; round < 3; round++) {
			mix(shares, n);
			assert_true(joins_to(shares, k, whole));
			assert_false(joins_to(shares, k - 1, whole));
		}
		assert_true(joins_to(shares, n, whole));
		free_all(shares, n);
		secret_free(&whole);
	}
}

static void lengths(void **state)
{
	static const size_t sizes[] = {1, 2, 16, 31, 33, SECRET_MAX};
	struct secret *shares[4];

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct secret *whole = any_secret(sizes[i]);

		split(whole, 4, 2, shares);
		assert_true(joins_to(shares + 1, 2, whole));
		free_all(shares, 4);
		secret_free(&whole);
	}
}

/* x: 1 to 255, each once; not in order, so that a share does not tell when it was made. */
static void coordinates(void **state)
{
	struct secret *shares[SHAMIR_SHARES_MAX], *whole = any_secret(1);
	bool seen[256] = {false}, ordered = true;

	(void)state;
	split(whole, SHAMIR_SHARES_MAX, 2, shares);
	for (unsigned i = 0; i < SHAMIR_SHARES_MAX; i++) {
		uint8_t x = x_of(shares[i]);

		assert_int_not_equal(x, 0);
		assert_false(seen[x]);
		seen[x] = true;
		ordered &= x == i + 1;
	}
	assert_false(ordered);
	free_all(shares, SHAMIR_SHARES_MAX);
	secret_free(&whole);
}

/* A secret shared twice gives other shares; and no share holds the secret. */
static void shares_are_random(void **state)
{
	struct secret *whole = any_secret(32), *first[3], *second[3];

	(void)state;
	split(whole, 3, 2, first);
	split(whole, 3, 2, second);
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned j = 0; j < 3; j++)
			assert_memory_not_equal(secret_span(first[i]).p, secret_span(second[j]).p,
			                        32);
		assert_memory_not_equal(secret_span(first[i]).p, secret_span(whole).p, 32);
	}
	free_all(first, 3);
	free_all(second, 3);
	secret_free(&whole);
}

/* One share of two says nothing: each value of the secret goes with it, by exactly one second share at a given x. */
static void one_share_fits_every_secret(void **state)
{
	bool seen[256] = {false};
	const uint8_t known[2] = {0x5a, 0x11};

	(void)state;
	for (unsigned value = 0; value < 256; value++) {
		const uint8_t other[2] = {(uint8_t)value, 0x47};
		struct secret *shares[2] = {bytes(known, 2), bytes(other, 2)}, *got = NULL;

		assert_int_equal(secret_new(1, &got), ST_OK);
		assert_int_equal(shamir_join(shares, 2, got), ST_OK);
		assert_false(seen[secret_span(got).p[0]]);
		seen[secret_span(got).p[0]] = true;
		secret_free(&got);
		free_all(shares, 2);
	}
}

/* A share that is wrong in one byte spoils that byte of the secret and no other. */
static void one_wrong_byte(void **state)
{
	struct secret *whole = any_secret(32), *shares[3], *got = NULL;

	(void)state;
	assert_int_equal(secret_new(32, &got), ST_OK);
	split(whole, 3, 3, shares);
	for (size_t at = 0; at < 32; at++) {
		secret_bytes(shares[1])[at] ^= 0x40;
		assert_int_equal(shamir_join(shares, 3, got), ST_OK);
		secret_bytes(shares[1])[at] ^= 0x40;
		for (size_t i = 0; i < 32; i++)
			assert_true((secret_span(got).p[i] == secret_span(whole).p[i]) ==
			            (i != at));
	}
	secret_free(&got);
	free_all(shares, 3);
	secret_free(&whole);
}

/* ---- refused ---- */

static void assert_refused(struct secret *const *shares, unsigned n, size_t len)
{
	struct secret *got = NULL;

	assert_int_equal(secret_new(len, &got), ST_OK);
	assert_int_equal(shamir_join(shares, n, got), ST_INVALID);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(secret_span(got).p[i], 0);
	secret_free(&got);
}

static void refused_coordinates(void **state)
{
	struct secret *whole = any_secret(8), *shares[4];

	(void)state;
	split(whole, 4, 3, shares);
	for (unsigned i = 0; i < 3; i++) {
		uint8_t x = x_of(shares[i]);

		secret_bytes(shares[i])[8] = 0;
		assert_refused(shares, 3, 8);
		secret_bytes(shares[i])[8] = x_of(shares[(i + 1) % 3]);
		assert_refused(shares, 3, 8);
		secret_bytes(shares[i])[8] = x;
	}
	struct secret *twice[3] = {shares[0], shares[1], shares[0]};

	assert_refused(twice, 3, 8);
	assert_true(joins_to(shares, 3, whole));
	free_all(shares, 4);
	secret_free(&whole);
}

static void refused_lengths(void **state)
{
	struct secret *whole = any_secret(8), *shares[3], *others[3];

	(void)state;
	split(whole, 3, 2, shares);
	for (size_t n = 1; n <= 12; n++) {
		struct secret *odd = any_secret(n), *pair[2] = {shares[0], odd};

		secret_bytes(odd)[n - 1] = x_of(shares[1]);
		if (n != 9)
			assert_refused(pair, 2, 8);
		pair[0] = odd;
		pair[1] = shares[0];
		if (n != 9)
			assert_refused(pair, 2, 8);
		secret_free(&odd);
	}
	assert_refused(shares, 2, 7);
	assert_refused(shares, 2, 9);
	secret_free(&whole);
	whole = any_secret(9);
	split(whole, 3, 2, others);
	struct secret *mixed[2] = {shares[0], others[1]};

	assert_refused(mixed, 2, 8);
	assert_refused(mixed, 2, 9);
	free_all(shares, 3);
	free_all(others, 3);
	secret_free(&whole);
}

/* ---- programmers' errors ---- */

static int split_signal(unsigned n, unsigned k)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		struct secret *whole = NULL, *shares[SHAMIR_SHARES_MAX + 1];

		(void)close(STDERR_FILENO);
		(void)signal(SIGABRT, SIG_DFL);
		if (secret_new(4, &whole) != ST_OK)
			_exit(1);
		_exit(shamir_split(whole, n, k, &seeded.random, shares) == ST_OK ? 0 : 2);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void bounds(void **state)
{
	(void)state;
	assert_int_equal(split_signal(3, 2), 0);
	assert_int_equal(split_signal(3, 1), SIGABRT);
	assert_int_equal(split_signal(3, 0), SIGABRT);
	assert_int_equal(split_signal(3, 4), SIGABRT);
	assert_int_equal(split_signal(256, 2), SIGABRT);
	assert_int_equal(split_signal(1, 1), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slow_reference_itself),
	    cmocka_unit_test(by_hand_one_byte),
	    cmocka_unit_test(by_hand_two_bytes),
	    cmocka_unit_test(split_by_hand),
	    cmocka_unit_test(shares_lie_on_a_polynomial),
	    cmocka_unit_test(all_subsets),
	    cmocka_unit_test(every_order),
	    cmocka_unit_test(large_sharings),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(coordinates),
	    cmocka_unit_test(shares_are_random),
	    cmocka_unit_test(one_share_fits_every_secret),
	    cmocka_unit_test(one_wrong_byte),
	    cmocka_unit_test(refused_coordinates),
	    cmocka_unit_test(refused_lengths),
	    cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
