/* Keys: generating, references, numbers in and out, and every inconsistency that must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <signal.h>
#include <string.h>

#include "child.h"
#include "crypto/pkey_sign.h"
#include "pkeys.h"

#define LEN_MAX ((size_t)512)

static const struct pkey_how how = {.digest = DIGEST_SHA2_256};

/* All spans of parts, in one order. */
static size_t spans_of(struct pkey_parts *p, struct span *ret[8])
{
	struct span *const all[] = {&p->d, &p->x, &p->y, &p->n, &p->e, &p->p, &p->q, &p->dp};
	size_t n = 0;

	for (size_t i = 0; i < 8; i++)
		if (all[i]->n > 0)
			ret[n++] = all[i];
	return n;
}

static struct pkey_parts parts_of(enum pkey_alg alg)
{
	struct pkey_parts p;

	assert_int_equal(pkey_parts(pkeys[alg], &p), ST_OK);
	return p;
}

static void check_refused(enum pkey_alg alg, const struct pkey_parts *p)
{
	struct pkey *k = NULL;

	assert_int_equal(pkey_from_parts(alg, p, PKEY_CHECKED, &k), ST_INVALID);
	assert_null(k);
}

static void check_taken(enum pkey_alg alg, const struct pkey_parts *p, enum pkey_trust trust)
{
	uint8_t sig[PKEY_SIG_MAX];
	struct pkey *k = NULL;
	size_t n = 0;

	assert_int_equal(pkey_from_parts(alg, p, trust, &k), ST_OK);
	assert_int_equal(pkey_alg(k), alg);
	assert_int_equal(pkey_match(k, pkeys[alg]), ST_OK);
	assert_true(pkey_has_private(k));
	assert_int_equal(pkey_sign(k, &how, span_str("x"), sig, &n), ST_OK);
	assert_int_equal(pkey_verify(pkeys[alg], &how, span_str("x"), span_of(sig, n)), ST_OK);
	pkey_unref(&k);
}

/* ------------------------------------------------------------ the table, life */

static void the_table(void **state)
{
	static const struct {
		const char *name;
		enum pkey_kind kind;
		size_t len;
	} want[PKEY_ALG_COUNT] = {
	    [PKEY_ED25519] = {"ed25519", PKEY_KIND_ED25519, 32},
	    [PKEY_P256] = {"ecdsa-p256", PKEY_KIND_EC, 32},
	    [PKEY_P384] = {"ecdsa-p384", PKEY_KIND_EC, 48},
	    [PKEY_P521] = {"ecdsa-p521", PKEY_KIND_EC, 66},
	    [PKEY_RSA2048] = {"rsa-2048", PKEY_KIND_RSA, 256},
	    [PKEY_RSA3072] = {"rsa-3072", PKEY_KIND_RSA, 384},
	    [PKEY_RSA4096] = {"rsa-4096", PKEY_KIND_RSA, 512},
	};

	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		assert_string_equal(pkey_info(alg)->name, want[alg].name);
		assert_int_equal(pkey_info(alg)->kind, want[alg].kind);
		assert_int_equal(pkey_info(alg)->len, want[alg].len);
		assert_int_equal(pkey_alg(pkeys[alg]), alg);
		assert_true(pkey_has_private(pkeys[alg]));
	}
}

static void generated_keys_differ(void **state)
{
	(void)state;
	for (enum pkey_alg alg = 0; alg <= PKEY_RSA2048; alg++) {
		struct pkey *k = NULL;

		assert_int_equal(pkey_generate(alg, &k), ST_OK);
		assert_int_equal(pkey_match(k, pkeys[alg]), ST_CONFLICT);
		assert_int_equal(pkey_match(k, pkeys[(alg + 1) % PKEY_ALG_COUNT]), ST_CONFLICT);
		assert_int_equal(pkey_match(k, k), ST_OK);
		pkey_unref(&k);
		assert_null(k);
		pkey_unref(&k);
	}
}

static void the_last_reference_wipes(void **state)
{
	struct pkey *a = NULL, *b, *keep = NULL;
	const uint8_t *p;
	uint8_t seed[32];
	struct pkey_parts parts = {.d = {seed, 32}};

	(void)state;
	memset(seed, 0x99, sizeof seed);
	assert_int_equal(pkey_from_parts(PKEY_ED25519, &parts, PKEY_CHECKED, &keep), ST_OK);
	assert_int_equal(pkey_from_parts(PKEY_ED25519, &parts, PKEY_CHECKED, &a), ST_OK);
	p = (const uint8_t *)a;
	b = pkey_ref(a);
	assert_ptr_equal(a, b);
	pkey_unref(&a);
	assert_null(a);
	assert_int_equal(pkey_alg(b), PKEY_ED25519);
	pkey_unref(&b);
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(p[i], 0);
	pkey_unref(&keep);
}

/* ------------------------------------------------------------ numbers */

static void numbers_go_in_and_out(void **state)
{
	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		struct pkey_parts p = parts_of(alg), again;
		struct pkey *k = NULL;

		if (pkey_info(alg)->kind == PKEY_KIND_RSA)
			assert_int_equal(p.n.n, pkey_info(alg)->len);
		else
			assert_true(p.d.n == pkey_info(alg)->len && p.x.n == p.d.n);
		check_taken(alg, &p, PKEY_CHECKED);
		check_taken(alg, &p, PKEY_TRUSTED);
		assert_int_equal(pkey_from_parts(alg, &p, PKEY_CHECKED, &k), ST_OK);
		assert_int_equal(pkey_parts(k, &again), ST_OK);
		assert_true(span_eq(p.d, again.d) && span_eq(p.x, again.x) &&
		            span_eq(p.y, again.y) && span_eq(p.n, again.n) &&
		            span_eq(p.e, again.e) && span_eq(p.p, again.p) &&
		            span_eq(p.q, again.q) && span_eq(p.dp, again.dp) &&
		            span_eq(p.dq, again.dq) && span_eq(p.qinv, again.qinv));
		pkey_parts_free(&again);
		assert_null(again.home);
		pkey_parts_free(&again);
		pkey_parts_free(&p);
		pkey_unref(&k);
	}
}

static void public_halves_alone(void **state)
{
	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		struct pkey *k = pkeys_public(alg);
		struct pkey_parts p;

		assert_false(pkey_has_private(k));
		assert_int_equal(pkey_match(k, pkeys[alg]), ST_OK);
		assert_int_equal(pkey_parts(k, &p), ST_OK);
		assert_int_equal(p.d.n + p.p.n + p.q.n + p.dp.n + p.dq.n + p.qinv.n, 0);
		pkey_parts_free(&p);
		pkey_unref(&k);
	}
}

static void leading_zeros_do_not_matter(void **state)
{
	static uint8_t room[8][LEN_MAX + 3];

	(void)state;
	for (enum pkey_alg alg = PKEY_P256; alg < PKEY_ALG_COUNT; alg++) {
		struct pkey_parts p = parts_of(alg), padded = p;
		struct span *all[8];
		size_t n = spans_of(&padded, all);

		for (size_t i = 0; i < n; i++) {
			memset(room[i], 0, 3);
			memcpy(room[i] + 3, all[i]->p, all[i]->n);
			*all[i] = span_of(room[i], all[i]->n + 3);
		}
		check_taken(alg, &padded, PKEY_CHECKED);
		pkey_parts_free(&p);
	}
}

/* What follows from the rest may be left out. */
static void what_can_be_computed_is(void **state)
{
	struct pkey_parts p, part;

	(void)state;
	for (enum pkey_alg alg = PKEY_ED25519; alg <= PKEY_P521; alg++) {
		p = parts_of(alg);
		part = (struct pkey_parts){.d = p.d};
		check_taken(alg, &part, PKEY_CHECKED);
		check_taken(alg, &part, PKEY_TRUSTED);
		pkey_parts_free(&p);
	}
	p = parts_of(PKEY_RSA2048);
	part = p;
	part.dp = part.dq = part.qinv = span_of(NULL, 0);
	check_taken(PKEY_RSA2048, &part, PKEY_CHECKED);
	part.dp = p.dq;
	part.dq = p.e;
	part.qinv = p.n;
	check_taken(PKEY_RSA2048, &part, PKEY_CHECKED);
	/* The primes in the other order. */
	part.p = p.q;
	part.q = p.p;
	check_taken(PKEY_RSA2048, &part, PKEY_CHECKED);
	pkey_parts_free(&p);
}

/* ------------------------------------------------------------ refusals */

/* One bit of one number, anywhere. */
static void changed_numbers_are_refused(void **state)
{
	static uint8_t changed[LEN_MAX];

	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		struct pkey_parts p = parts_of(alg), bad = p;
		struct span *all[8];
		size_t n = spans_of(&bad, all);

		/* dp is computed, whatever stands there. */
		if (pkey_info(alg)->kind == PKEY_KIND_RSA)
			n--;
		for (size_t i = 0; i < n; i++) {
			const struct span good = *all[i];

			for (size_t bit = 0; bit < good.n * 8; bit += 1 + good.n / 8) {
				memcpy(changed, good.p, good.n);
				changed[bit / 8] ^= (uint8_t)(1U << bit % 8);
				*all[i] = span_of(changed, good.n);
				check_refused(alg, &bad);
			}
			*all[i] = good;
		}
		pkey_parts_free(&p);
	}
}

static void missing_numbers_are_refused(void **state)
{
	const struct pkey_parts none = {0};
	struct pkey_parts p, bad;

	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++)
		check_refused(alg, &none);
	p = parts_of(PKEY_P256);
	bad = (struct pkey_parts){.x = p.x};
	check_refused(PKEY_P256, &bad);
	bad = (struct pkey_parts){.d = p.d, .y = p.y};
	check_refused(PKEY_P256, &bad);
	pkey_parts_free(&p);
	p = parts_of(PKEY_RSA2048);
	for (size_t i = 0; i < 5; i++) {
		struct span *all[8];

		bad = p;
		assert_true(spans_of(&bad, all) >= 6);
		*all[i] = span_of(NULL, 0); /* d, n, e, p, q */
		check_refused(PKEY_RSA2048, &bad);
	}
	pkey_parts_free(&p);
}

static void other_sizes_are_refused(void **state)
{
	static uint8_t longer[33];
	struct pkey_parts p, bad;

	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		p = parts_of(alg);
		for (enum pkey_alg other = 0; other < PKEY_ALG_COUNT; other++)
			if (other != alg && !(alg == PKEY_ED25519 && other == PKEY_P256))
				check_refused(other, &p);
		pkey_parts_free(&p);
	}
	p = parts_of(PKEY_ED25519);
	for (size_t n = 0; n <= 33; n++) {
		memcpy(longer, p.d.p, 32);
		bad = (struct pkey_parts){.d = span_of(longer, n)};
		if (n != 32)
			check_refused(PKEY_ED25519, &bad);
		bad = (struct pkey_parts){.x = span_of(longer, n)};
		if (n != 32)
			check_refused(PKEY_ED25519, &bad);
	}
	pkey_parts_free(&p);
}

static struct span number_hex(const char *text, uint8_t *buf, size_t cap)
{
	struct builder b;

	builder_init_fixed(&b, buf, cap);
	assert_int_equal(builder_unhex(&b, span_str(text)), ST_OK);
	return builder_span(&b);
}

/* The private number is from 1 to the order less one (SP 800-186: the order of P-256); coordinates are below the prime. */
static void ranges_of_a_curve(void **state)
{
	static const char *const bad[] = {
	    "00",
	    "0000000000000000000000000000000000000000000000000000000000000000",
	    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
	    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552",
	    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	    "010000000000000000000000000000000000000000000000000000000000000001"};
	uint8_t buf[40], x[40], y[40];
	struct pkey_parts p;
	struct pkey *k = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		p = (struct pkey_parts){.d = number_hex(bad[i], buf, sizeof buf)};
		check_refused(PKEY_P256, &p);
	}
	p.d = number_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550", buf,
	                 sizeof buf);
	assert_int_equal(pkey_from_parts(PKEY_P256, &p, PKEY_CHECKED, &k), ST_OK);
	pkey_unref(&k);
	/* x = 5 is on the curve with this y, and so would be x = 5 + p, if it were one. */
	p = (struct pkey_parts){
	    .x = number_hex("05", x, sizeof x),
	    .y = number_hex("459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc", y,
	                    sizeof y)};
	assert_int_equal(pkey_from_parts(PKEY_P256, &p, PKEY_CHECKED, &k), ST_OK);
	pkey_unref(&k);
	p.x = number_hex("ffffffff00000001000000000000000000000001000000000000000000000004", x,
	                 sizeof x);
	check_refused(PKEY_P256, &p);
	/* No point: (0, 0) and the point at infinity have no place here. */
	p.x = p.y = number_hex("00", x, sizeof x);
	check_refused(PKEY_P256, &p);
}

/* The exponent: odd, above 1, below 2^31; a private key whose d fits another one. */
static void exponents_of_rsa(void **state)
{
	static const char *const bad[] = {"00",     "01",       "02",        "04",
	                                  "010000", "80000001", "0100000001"};
	static const char *const good[] = {"03", "05", "010001", "7fffffff"};
	struct pkey_parts p = parts_of(PKEY_RSA2048), public = {.n = p.n};
	uint8_t buf[8];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		public.e = number_hex(bad[i], buf, sizeof buf);
		check_refused(PKEY_RSA2048, &public);
	}
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct pkey *k = NULL;

		public.e = number_hex(good[i], buf, sizeof buf);
		assert_int_equal(pkey_from_parts(PKEY_RSA2048, &public, PKEY_CHECKED, &k), ST_OK);
		pkey_unref(&k);
	}
	p.e = number_hex("03", buf, sizeof buf);
	check_refused(PKEY_RSA2048, &p);
	pkey_parts_free(&p);
}

/*
 * A key made of two numbers as if they were primes: n is their product, and d the inverse of 65537 modulo (p - 1)(q - 1).  False when there is
 * no such d, or n has other than 2,048 bits.
 */
static bool made_of(const BIGNUM *p, const BIGNUM *q, uint8_t room[4][256], struct pkey_parts *ret)
{
	static const uint8_t e_bytes[] = {1, 0, 1};
	BIGNUM *e = BN_bin2bn(e_bytes, 3, NULL), *n = BN_new(), *d = BN_new(), *p1 = BN_dup(p),
	       *q1 = BN_dup(q);
	BN_CTX *ctx = BN_CTX_new();
	bool made;

	assert_true(e != NULL && n != NULL && d != NULL && p1 != NULL && q1 != NULL && ctx != NULL);
	assert_true(BN_mul(n, p, q, ctx) == 1 && BN_sub_word(p1, 1) == 1 &&
	            BN_sub_word(q1, 1) == 1);
	assert_int_equal(BN_mul(p1, p1, q1, ctx), 1);
	made = BN_num_bits(n) == 2048 && BN_mod_inverse(d, e, p1, ctx) != NULL;
	if (made) {
		const BIGNUM *const all[] = {n, d, p, q};
		struct span *const spans[] = {&ret->n, &ret->d, &ret->p, &ret->q};

		for (size_t i = 0; i < 4; i++) {
			assert_int_equal(BN_bn2binpad(all[i], room[i], 256), 256);
			*spans[i] = span_of(room[i], 256);
		}
		ret->e = span_of(e_bytes, 3);
	}
	BN_free(e);
	BN_free(n);
	BN_free(d);
	BN_free(p1);
	BN_free(q1);
	BN_CTX_free(ctx);
	return made;
}

static void primes_of_rsa(void **state)
{
	static uint8_t room[4][256];
	struct pkey_parts p = parts_of(PKEY_RSA2048), bad = p;
	BIGNUM *a = BN_bin2bn(p.p.p, (int)p.p.n, NULL), *b = BN_bin2bn(p.q.p, (int)p.q.n, NULL);
	const uint8_t one = 1;
	unsigned tried = 0;

	(void)state;
	assert_true(a != NULL && b != NULL);
	bad.p = p.n;
	bad.q = span_of(&one, 1);
	check_refused(PKEY_RSA2048, &bad);
	bad = (struct pkey_parts){0};
	assert_true(made_of(a, b, room, &bad));
	check_taken(PKEY_RSA2048, &bad, PKEY_CHECKED);
	/* The same prime twice. */
	if (made_of(b, b, room, &bad))
		check_refused(PKEY_RSA2048, &bad);
	/* Numbers that fit in all but being prime. */
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(BN_sub_word(b, 2), 1);
		if (BN_check_prime(b, NULL, NULL) == 0 && made_of(a, b, room, &bad)) {
			check_refused(PKEY_RSA2048, &bad);
			tried++;
		}
	}
	assert_true(tried > 0);
	/* Primes of other lengths: 2^15 p and the rest is no pair of halves. */
	assert_true(BN_bin2bn(p.p.p, (int)p.p.n, a) != NULL &&
	            BN_bin2bn(p.q.p, (int)p.q.n, b) != NULL);
	assert_true(BN_rshift(a, a, 16) == 1 && BN_lshift(b, b, 16) == 1);
	assert_true(BN_set_bit(a, 0) == 1 && BN_set_bit(b, 0) == 1);
	if (made_of(a, b, room, &bad))
		check_refused(PKEY_RSA2048, &bad);
	BN_free(a);
	BN_free(b);
	pkey_parts_free(&p);
}

/* Trusted or not, what is computed for RSA has a length. */
static void trusted_numbers_have_a_length(void **state)
{
	struct pkey_parts p = parts_of(PKEY_RSA2048);
	struct span *const computed[] = {&p.dp, &p.dq, &p.qinv};
	struct pkey *k = NULL;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct span good = *computed[i];

		*computed[i] = p.n;
		assert_int_equal(pkey_from_parts(PKEY_RSA2048, &p, PKEY_TRUSTED, &k), ST_INVALID);
		*computed[i] = span_of(NULL, 0);
		assert_int_equal(pkey_from_parts(PKEY_RSA2048, &p, PKEY_TRUSTED, &k), ST_INVALID);
		*computed[i] = good;
	}
	assert_int_equal(pkey_from_parts(PKEY_RSA2048, &p, PKEY_TRUSTED, &k), ST_OK);
	pkey_unref(&k);
	pkey_parts_free(&p);
}

/* ------------------------------------------------------------ misuse */

static int unknown_alg(void)
{
	return (int)pkey_info(PKEY_ALG_COUNT)->len;
}

static int generate_unknown(void)
{
	struct pkey *k = NULL;

	return (int)pkey_generate(PKEY_ALG_COUNT, &k);
}

static void misuse_aborts(void **state)
{
	(void)state;
	assert_int_equal(child_signal(unknown_alg), SIGABRT);
	assert_int_equal(child_signal(generate_unknown), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_table),
	    cmocka_unit_test(generated_keys_differ),
	    cmocka_unit_test(the_last_reference_wipes),
	    cmocka_unit_test(numbers_go_in_and_out),
	    cmocka_unit_test(public_halves_alone),
	    cmocka_unit_test(leading_zeros_do_not_matter),
	    cmocka_unit_test(what_can_be_computed_is),
	    cmocka_unit_test(changed_numbers_are_refused),
	    cmocka_unit_test(missing_numbers_are_refused),
	    cmocka_unit_test(other_sizes_are_refused),
	    cmocka_unit_test(ranges_of_a_curve),
	    cmocka_unit_test(exponents_of_rsa),
	    cmocka_unit_test(primes_of_rsa),
	    cmocka_unit_test(trusted_numbers_have_a_length),
	    cmocka_unit_test(misuse_aborts),
	};

	return cmocka_run_group_tests(tests, pkeys_setup, pkeys_teardown);
}
