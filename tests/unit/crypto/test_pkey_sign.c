/*
 * Signing: every way to sign with every key, verified by us and by OpenSSL; what does not belong is denied; what cannot be done is refused; threads share
 * keys.  Published vectors, against verifying: test_vectors_sign.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>

#include "crypto/pkey_sign.h"
#include "crypto/pkey_text.h"
#include "pkeys.h"

#define TEXT span_str("What is signed.")

static bool is_rsa(enum pkey_alg alg)
{
	return pkey_info(alg)->kind == PKEY_KIND_RSA;
}

/* The k-th way to sign with a key of this kind; false when there are no more. */
static bool way(enum pkey_alg alg, unsigned k, struct pkey_how *ret)
{
	static const int salts[] = {PKEY_SALT_AUTO, PKEY_SALT_HASH, PKEY_SALT_NONE, 1, 20, 63};
	const unsigned forms = alg == PKEY_ED25519 ? 1 : is_rsa(alg) ? 7 : 2;
	const unsigned digests = alg == PKEY_ED25519 ? 1 : DIGEST_ALG_COUNT;
	const unsigned form = k / digests;

	*ret = (struct pkey_how){.digest = k % digests};
	if (form >= forms)
		return false;
	if (pkey_info(alg)->kind == PKEY_KIND_EC)
		ret->form = form == 0 ? PKEY_ASN1 : PKEY_JWS;
	else if (form == 6)
		ret->padding = PKEY_PKCS1;
	else if (is_rsa(alg))
		ret->salt = salts[form];
	return true;
}

static size_t sig_len(enum pkey_alg alg, const struct pkey_how *how, size_t n)
{
	if (alg == PKEY_ED25519)
		return 64;
	if (is_rsa(alg))
		return pkey_info(alg)->len;
	return how->form == PKEY_JWS ? 2 * pkey_info(alg)->len : n;
}

/* ------------------------------------------------------------ OpenSSL's opinion */

static EVP_PKEY *theirs(enum pkey_alg alg)
{
	struct builder der = {0};
	const uint8_t *p;
	EVP_PKEY *k;

	assert_int_equal(pkey_spki(pkeys[alg], &der), ST_OK);
	p = der.p;
	k = d2i_PUBKEY(NULL, &p, (long)der.n);
	assert_non_null(k);
	assert_ptr_equal(p, der.p + der.n);
	builder_free(&der);
	return k;
}

static void check_by_openssl(EVP_PKEY *key, enum pkey_alg alg, const struct pkey_how *how,
                             struct span text, struct span sig)
{
	static const char *const digests[] = {"SHA1",     "SHA224",   "SHA256",
	                                      "SHA384",   "SHA512",   "SHA3-224",
	                                      "SHA3-256", "SHA3-384", "SHA3-512"};
	const EVP_MD *md = alg == PKEY_ED25519 ? NULL : EVP_get_digestbyname(digests[how->digest]);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *p = NULL;

	assert_non_null(c);
	assert_int_equal(EVP_DigestVerifyInit(c, &p, md, NULL, key), 1);
	if (is_rsa(alg) && how->padding == PKEY_PSS) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING), 1);
		if (how->salt == PKEY_SALT_NONE || how->salt > 0)
			assert_int_equal(
			    EVP_PKEY_CTX_set_rsa_pss_saltlen(p, how->salt < 0 ? 0 : how->salt), 1);
		if (how->salt == PKEY_SALT_HASH)
			assert_int_equal(
			    EVP_PKEY_CTX_set_rsa_pss_saltlen(p, RSA_PSS_SALTLEN_DIGEST), 1);
		if (how->salt == PKEY_SALT_AUTO)
			assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(p, RSA_PSS_SALTLEN_MAX),
			                 1);
	}
	assert_int_equal(EVP_DigestVerify(c, sig.p, sig.n, text.p, text.n), 1);
	EVP_MD_CTX_free(c);
}

/* ------------------------------------------------------------ every way */

static void check_way(EVP_PKEY *key, enum pkey_alg alg, const struct pkey_how *how)
{
	uint8_t sig[PKEY_SIG_MAX + 1], hash[DIGEST_LEN_MAX];
	struct pkey *public = pkeys_public(alg);
	struct pkey_how prehashed = *how;
	const struct span text = TEXT;
	size_t n = 0;

	memset(sig, 0xcc, sizeof sig);
	assert_int_equal(pkey_sign(pkeys[alg], how, text, sig, &n), ST_OK);
	assert_int_equal(n, sig_len(alg, how, n));
	assert_int_equal(sig[PKEY_SIG_MAX], 0xcc);
	assert_int_equal(pkey_verify(public, how, text, span_of(sig, n)), ST_OK);
	assert_int_equal(pkey_verify(public, how, span_str("What is signed,"), span_of(sig, n)),
	                 ST_DENIED);
	if (how->form == PKEY_ASN1)
		check_by_openssl(key, alg, how, text, span_of(sig, n));
	prehashed.input = PKEY_PREHASHED;
	if (alg != PKEY_ED25519) {
		const size_t len = digest_len(how->digest);

		assert_int_equal(digest_of(how->digest, &text, 1, hash), ST_OK);
		assert_int_equal(
		    pkey_verify(public, &prehashed, span_of(hash, len), span_of(sig, n)), ST_OK);
		assert_int_equal(pkey_sign(pkeys[alg], &prehashed, span_of(hash, len), sig, &n),
		                 ST_OK);
		assert_int_equal(pkey_verify(public, how, text, span_of(sig, n)), ST_OK);
	}
	pkey_unref(&public);
}

static void every_way(void **state)
{
	struct pkey_how how;

	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		EVP_PKEY *key = theirs(alg);
		unsigned ways = 0;

		for (; way(alg, ways, &how); ways++)
			check_way(key, alg, &how);
		assert_int_equal(ways, alg == PKEY_ED25519 ? 1 : is_rsa(alg) ? 63 : 18);
		EVP_PKEY_free(key);
	}
}

static void without_a_digest(void **state)
{
	struct pkey_how how = {.digest = PKEY_DIGEST_NONE, .padding = PKEY_PKCS1};
	static uint8_t text[512];
	uint8_t sig[PKEY_SIG_MAX];
	size_t n = 0;

	(void)state;
	for (enum pkey_alg alg = PKEY_RSA2048; alg < PKEY_ALG_COUNT; alg++) {
		const size_t len = pkey_info(alg)->len, most = len - 11;
		const size_t lens[] = {1, 20, 35, most};

		for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
			const struct span t = span_of(text, lens[i]);

			how.input = i % 2 == 0 ? PKEY_MESSAGE : PKEY_PREHASHED;
			assert_int_equal(pkey_sign(pkeys[alg], &how, t, sig, &n), ST_OK);
			assert_int_equal(pkey_verify(pkeys[alg], &how, t, span_of(sig, n)), ST_OK);
			assert_int_equal(pkey_verify(pkeys[alg], &how, span_of(text, lens[i] - 1),
			                             span_of(sig, n)),
			                 ST_DENIED);
		}
		assert_int_equal(pkey_sign(pkeys[alg], &how, span_of(text, most + 1), sig, &n),
		                 ST_INVALID);
	}
	for (enum pkey_alg alg = PKEY_P256; alg < PKEY_ALG_COUNT; alg++) {
		how.padding = PKEY_PSS;
		assert_int_equal(pkey_sign(pkeys[alg], &how, span_of(text, 32), sig, &n),
		                 ST_UNSUPPORTED);
		assert_int_equal(pkey_verify(pkeys[alg], &how, span_of(text, 32), span_of(sig, n)),
		                 ST_UNSUPPORTED);
	}
}

/* ------------------------------------------------------------ wrong signatures */

static void changed_signatures_are_denied(void **state)
{
	uint8_t sig[PKEY_SIG_MAX + 8], other[PKEY_SIG_MAX];
	struct pkey_how how;
	size_t n = 0;

	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		for (unsigned k = 2; way(alg, k == 2 ? 0 : k, &how); k += DIGEST_ALG_COUNT) {
			memset(sig, 0, sizeof sig);
			assert_int_equal(pkey_sign(pkeys[alg], &how, TEXT, sig, &n), ST_OK);
			for (size_t bit = 0; bit < n * 8; bit += 7) {
				sig[bit / 8] ^= (uint8_t)(1U << bit % 8);
				assert_int_equal(
				    pkey_verify(pkeys[alg], &how, TEXT, span_of(sig, n)),
				    ST_DENIED);
				sig[bit / 8] ^= (uint8_t)(1U << bit % 8);
			}
			for (size_t cut = 0; cut < n; cut += 1 + cut / 30)
				assert_int_equal(
				    pkey_verify(pkeys[alg], &how, TEXT, span_of(sig, cut)),
				    ST_DENIED);
			for (size_t more = 1; more <= 8; more++)
				assert_int_equal(
				    pkey_verify(pkeys[alg], &how, TEXT, span_of(sig, n + more)),
				    ST_DENIED);
			assert_int_equal(pkey_verify(pkeys[alg], &how, TEXT, span_of(NULL, 0)),
			                 ST_DENIED);
			assert_int_equal(pkey_verify(pkeys[alg], &how, TEXT, span_of(sig, n)),
			                 ST_OK);
			memset(other, 0xff, n);
			assert_int_equal(pkey_verify(pkeys[alg], &how, TEXT, span_of(other, n)),
			                 ST_DENIED);
			memset(other, 0, n);
			assert_int_equal(pkey_verify(pkeys[alg], &how, TEXT, span_of(other, n)),
			                 ST_DENIED);
			if (alg == PKEY_ED25519)
				break;
		}
	}
}

static void another_way_is_denied(void **state)
{
	uint8_t sig[PKEY_SIG_MAX];
	struct pkey_how a, b;
	size_t n = 0;

	(void)state;
	for (enum pkey_alg alg = PKEY_P256; alg <= PKEY_RSA2048; alg++) {
		for (unsigned i = 0; way(alg, i, &a); i += 2) {
			assert_int_equal(pkey_sign(pkeys[alg], &a, TEXT, sig, &n), ST_OK);
			for (unsigned j = 0; way(alg, j, &b); j++) {
				/* AUTO finds any salt, its own too. */
				const bool same = a.digest == b.digest && a.form == b.form &&
				                  a.padding == b.padding &&
				                  (a.salt == b.salt ||
				                   (is_rsa(alg) && b.padding == PKEY_PSS &&
				                    (b.salt == PKEY_SALT_AUTO ||
				                     (a.salt == 20 && b.salt == PKEY_SALT_HASH &&
				                      digest_len(a.digest) == 20) ||
				                     (b.salt == 20 && a.salt == PKEY_SALT_HASH &&
				                      digest_len(a.digest) == 20))));

				assert_int_equal(pkey_verify(pkeys[alg], &b, TEXT, span_of(sig, n)),
				                 same ? ST_OK : ST_DENIED);
			}
		}
	}
}

static void another_key_is_denied(void **state)
{
	const struct pkey_how how = {.digest = DIGEST_SHA2_256};
	uint8_t sig[PKEY_SIG_MAX];
	size_t n = 0;

	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		assert_int_equal(pkey_sign(pkeys[alg], &how, TEXT, sig, &n), ST_OK);
		for (enum pkey_alg other = 0; other < PKEY_ALG_COUNT; other++)
			assert_int_equal(pkey_verify(pkeys[other], &how, TEXT, span_of(sig, n)),
			                 alg == other ? ST_OK : ST_DENIED);
	}
}

/* ------------------------------------------------------------ what cannot be done */

static void public_keys_do_not_sign(void **state)
{
	const struct pkey_how how = {.digest = DIGEST_SHA2_256};
	uint8_t sig[PKEY_SIG_MAX];
	size_t n = 7;

	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		struct pkey *k = pkeys_public(alg);

		assert_int_equal(pkey_sign(k, &how, TEXT, sig, &n), ST_UNAVAILABLE);
		assert_int_equal(n, 7);
		pkey_unref(&k);
	}
}

static void prehashed_inputs_have_a_length(void **state)
{
	struct pkey_how how = {.input = PKEY_PREHASHED};
	uint8_t sig[PKEY_SIG_MAX] = {0}, hash[80] = {0};
	size_t n = 0;

	(void)state;
	for (enum pkey_alg alg = PKEY_P256; alg < PKEY_ALG_COUNT; alg++) {
		for (how.digest = 0; how.digest < DIGEST_ALG_COUNT; how.digest++) {
			const size_t len = digest_len(how.digest);
			const size_t bad[] = {0, 1, len - 1, len + 1, sizeof hash};

			for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
				const struct span input = span_of(hash, bad[i]);

				assert_int_equal(pkey_sign(pkeys[alg], &how, input, sig, &n),
				                 ST_INVALID);
				assert_int_equal(
				    pkey_verify(pkeys[alg], &how, input, span_of(sig, 64)),
				    ST_INVALID);
			}
		}
	}
	how.digest = DIGEST_SHA2_512;
	assert_int_equal(pkey_sign(pkeys[PKEY_ED25519], &how, span_of(hash, 64), sig, &n),
	                 ST_UNSUPPORTED);
	assert_int_equal(
	    pkey_verify(pkeys[PKEY_ED25519], &how, span_of(hash, 64), span_of(sig, 64)),
	    ST_UNSUPPORTED);
}

static void salts_must_fit(void **state)
{
	struct pkey_how how = {.digest = DIGEST_SHA2_512};
	uint8_t sig[PKEY_SIG_MAX];
	size_t n = 0;

	(void)state;
	for (enum pkey_alg alg = PKEY_RSA2048; alg < PKEY_ALG_COUNT; alg++) {
		/* RFC 8017, 9.1.1, step 3. */
		const int most = (int)pkey_info(alg)->len - 64 - 2;
		const int bad[] = {most + 1,  PKEY_SIG_MAX, PKEY_SIG_MAX + 1,
		                   INT32_MAX, -3,           INT32_MIN};

		how.salt = most;
		assert_int_equal(pkey_sign(pkeys[alg], &how, TEXT, sig, &n), ST_OK);
		assert_int_equal(pkey_verify(pkeys[alg], &how, TEXT, span_of(sig, n)), ST_OK);
		for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
			how.salt = bad[i];
			assert_int_equal(pkey_sign(pkeys[alg], &how, TEXT, sig, &n), ST_INVALID);
		}
		/* What was refused has spoilt nothing. */
		how.salt = PKEY_SALT_AUTO;
		assert_int_equal(pkey_verify(pkeys[alg], &how, TEXT, span_of(sig, n)), ST_OK);
	}
}

/* ------------------------------------------------------------ threads */

static void *sign_and_verify(void *arg)
{
	const enum pkey_alg *alg = arg;
	uint8_t sig[PKEY_SIG_MAX];
	struct pkey_how how;
	uintptr_t bad = 0;
	size_t n = 0;

	for (unsigned i = 0; i < 40; i++) {
		struct pkey *k = pkey_ref(pkeys[*alg]);

		/* Ever other ways, so that contexts are exchanged; some fail. */
		if (!way(*alg, i, &how))
			(void)way(*alg, 0, &how);
		bad |= pkey_sign(k, &how, TEXT, sig, &n) != ST_OK;
		bad |= pkey_verify(k, &how, TEXT, span_of(sig, n)) != ST_OK;
		sig[n / 2] ^= 1;
		bad |= pkey_verify(k, &how, TEXT, span_of(sig, n)) != ST_DENIED;
		pkey_unref(&k);
	}
	return (void *)bad;
}

static void threads_share_a_key(void **state)
{
	enum { N = 12 };

	(void)state;
	for (enum pkey_alg alg = 0; alg <= PKEY_RSA2048; alg++) {
		pthread_t threads[N];
		void *bad;

		for (size_t i = 0; i < N; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, sign_and_verify, &alg),
			                 0);
		for (size_t i = 0; i < N; i++) {
			assert_int_equal(pthread_join(threads[i], &bad), 0);
			assert_null(bad);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_way),
	    cmocka_unit_test(without_a_digest),
	    cmocka_unit_test(changed_signatures_are_denied),
	    cmocka_unit_test(another_way_is_denied),
	    cmocka_unit_test(another_key_is_denied),
	    cmocka_unit_test(public_keys_do_not_sign),
	    cmocka_unit_test(prehashed_inputs_have_a_length),
	    cmocka_unit_test(salts_must_fit),
	    cmocka_unit_test(threads_share_a_key),
	};

	return cmocka_run_group_tests(tests, pkeys_setup, pkeys_teardown);
}
