/*
 * DER and PEM of keys: ours read by OpenSSL, OpenSSL's read by us, equal bytes where the form leaves no choice; forms that others write; everything
 * that is cut, changed or contradicts itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/ct.h"
#include "crypto/der.h"
#include "crypto/pem.h"
#include "crypto/pkey_text.h"
#include "pkeys.h"

/* A copy of its own size, so that a step past its end is seen. */
static uint8_t *copy_of(struct span s)
{
	uint8_t *p = malloc(s.n > 0 ? s.n : 1);

	assert_non_null(p);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

static struct secret *pkcs8_of(enum pkey_alg alg)
{
	struct secret *der = NULL;

	assert_int_equal(pkey_pkcs8(pkeys[alg], &der), ST_OK);
	return der;
}

static EVP_PKEY *theirs(enum pkey_alg alg)
{
	struct secret *der = pkcs8_of(alg);
	const uint8_t *p = secret_bytes(der);
	EVP_PKEY *k = d2i_AutoPrivateKey(NULL, &p, (long)secret_len(der));

	assert_non_null(k);
	assert_ptr_equal(p, secret_bytes(der) + secret_len(der));
	secret_free(&der);
	return k;
}

static struct span bio_span(BIO *b)
{
	char *p = NULL;
	long n = BIO_get_mem_data(b, &p);

	return span_of(p, (size_t)n);
}

/* ------------------------------------------------------------ public keys */

static void public_keys_as_openssl_writes_them(void **state)
{
	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		EVP_PKEY *k = theirs(alg);
		struct builder der = {0}, pem = {0};
		struct pkey *back = NULL;
		uint8_t *want = NULL;
		int n = i2d_PUBKEY(k, &want);
		BIO *bio = BIO_new(BIO_s_mem());

		assert_true(n > 0 && bio != NULL);
		assert_int_equal(pkey_spki(pkeys[alg], &der), ST_OK);
		assert_true(span_eq(builder_span(&der), span_of(want, (size_t)n)));
		assert_int_equal(PEM_write_bio_PUBKEY(bio, k), 1);
		assert_int_equal(pkey_spki_pem(pkeys[alg], &pem), ST_OK);
		assert_true(span_eq(builder_span(&pem), bio_span(bio)));
		assert_int_equal(pkey_from_spki(builder_span(&der), &back), ST_OK);
		assert_int_equal(pkey_match(back, pkeys[alg]), ST_OK);
		assert_false(pkey_has_private(back));
		pkey_unref(&back);
		assert_int_equal(pkey_from_spki_pem(builder_span(&pem), &back), ST_OK);
		assert_int_equal(pkey_match(back, pkeys[alg]), ST_OK);
		pkey_unref(&back);
		BIO_free(bio);
		OPENSSL_free(want);
		EVP_PKEY_free(k);
		builder_free(&der);
		builder_free(&pem);
	}
}

/* ------------------------------------------------------------ private keys */

static void private_keys_as_openssl_writes_them(void **state)
{
	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		EVP_PKEY *k = theirs(alg);
		struct secret *der = pkcs8_of(alg), *pem = NULL;
		struct pkey *back = NULL;
		PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(k);
		uint8_t *want = NULL;
		int n = i2d_PKCS8_PRIV_KEY_INFO(info, &want);
		BIO *bio = BIO_new(BIO_s_mem());

		assert_true(n > 0 && bio != NULL);
		assert_true(span_eq(secret_span(der), span_of(want, (size_t)n)));
		assert_int_equal(PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info), 1);
		assert_int_equal(pkey_pkcs8_pem(pkeys[alg], &pem), ST_OK);
		assert_true(span_eq(secret_span(pem), bio_span(bio)));
		for (enum pkey_trust t = PKEY_CHECKED; t <= PKEY_TRUSTED; t++) {
			assert_int_equal(pkey_from_pkcs8(secret_span(der), t, &back), ST_OK);
			assert_int_equal(pkey_alg(back), alg);
			assert_true(pkey_has_private(back));
			assert_int_equal(pkey_match(back, pkeys[alg]), ST_OK);
			pkey_unref(&back);
		}
		BIO_free(bio);
		OPENSSL_free(want);
		PKCS8_PRIV_KEY_INFO_free(info);
		EVP_PKEY_free(k);
		secret_free(&der);
		secret_free(&pem);
	}
}

static void exported_as_the_vault_api_does(void **state)
{
	(void)state;
	for (enum pkey_alg alg = PKEY_P256; alg < PKEY_ALG_COUNT; alg++) {
		const char *label = pkey_info(alg)->kind == PKEY_KIND_EC
		                        ? "-----BEGIN EC PRIVATE KEY-----\n"
		                        : "-----BEGIN RSA PRIVATE KEY-----\n";
		EVP_PKEY *k = theirs(alg);
		BIO *bio = BIO_new(BIO_s_mem());
		struct secret *text = NULL;

		assert_non_null(bio);
		assert_int_equal(
		    PEM_write_bio_PrivateKey_traditional(bio, k, NULL, NULL, 0, NULL, NULL), 1);
		assert_int_equal(pkey_export(pkeys[alg], &text), ST_OK);
		assert_true(span_starts(secret_span(text), span_str(label)));
		assert_true(span_eq(secret_span(text), bio_span(bio)));
		secret_free(&text);
		BIO_free(bio);
		EVP_PKEY_free(k);
	}
}

static void ed25519_exported_as_the_vault_api_does(void **state)
{
	struct secret *text = NULL;
	struct pkey_parts p;
	uint8_t both[64];
	size_t n = 0;

	(void)state;
	assert_int_equal(pkey_export(pkeys[PKEY_ED25519], &text), ST_OK);
	assert_int_equal(ct_unbase64(secret_span(text), both, sizeof both, &n), ST_OK);
	assert_int_equal(n, 64);
	assert_int_equal(pkey_parts(pkeys[PKEY_ED25519], &p), ST_OK);
	assert_memory_equal(both, p.d.p, 32);
	assert_memory_equal(both + 32, p.x.p, 32);
	pkey_parts_free(&p);
	secret_free(&text);
}

static void public_keys_have_no_private_text(void **state)
{
	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		struct pkey *k = pkeys_public(alg);
		struct secret *text = NULL;
		struct builder b = {0};

		assert_int_equal(pkey_pkcs8(k, &text), ST_UNAVAILABLE);
		assert_int_equal(pkey_pkcs8_pem(k, &text), ST_UNAVAILABLE);
		assert_int_equal(pkey_export(k, &text), ST_UNAVAILABLE);
		assert_null(text);
		assert_int_equal(pkey_spki_pem(k, &b), ST_OK);
		builder_free(&b);
		pkey_unref(&k);
	}
}

static void a_full_builder_is_its_failure(void **state)
{
	char room[60];
	struct builder b;

	(void)state;
	builder_init_fixed(&b, room, sizeof room);
	assert_int_equal(pkey_spki(pkeys[PKEY_RSA2048], &b), ST_LIMIT);
	builder_init_fixed(&b, room, sizeof room);
	assert_int_equal(pkey_spki_pem(pkeys[PKEY_P256], &b), ST_LIMIT);
}

/* ------------------------------------------------------------ what others write */

/* Writes PKCS#8 around a private key: version, algorithm with parameters, the key, and a tail. */
struct shape {
	uint8_t version;
	struct span algorithm; /* DER of the SEQUENCE */
	struct span key;       /* inside the OCTET STRING */
	struct span tail;
};

static struct span shaped(const struct shape *s, uint8_t *buf, size_t cap)
{
	struct der_writer w;
	size_t mark;

	der_writer_init(&w, buf, cap);
	mark = der_mark(&w);
	der_raw(&w, s->tail);
	der_put(&w, DER_OCTETS, s->key);
	der_raw(&w, s->algorithm);
	der_put_uint(&w, span_of(&s->version, 1));
	der_close(&w, mark, DER_SEQUENCE);
	return der_written(&w);
}

/* The shape of a key of ours. */
static struct shape shape_of(struct span der)
{
	struct cursor c = cursor_of(der), body;
	struct shape s = {0};
	struct span alg;
	const uint8_t *start;

	assert_int_equal(der_enter(&c, DER_SEQUENCE, &body), ST_OK);
	assert_int_equal(der_version(&body, 1, &s.version), ST_OK);
	start = body.p;
	assert_int_equal(der_read(&body, DER_SEQUENCE, &alg), ST_OK);
	s.algorithm = span_of(start, (size_t)(body.p - start));
	assert_int_equal(der_read(&body, DER_OCTETS, &s.key), ST_OK);
	return s;
}

static struct span unhex(const char *text, uint8_t *buf, size_t cap)
{
	struct builder b;

	builder_init_fixed(&b, buf, cap);
	assert_int_equal(builder_unhex(&b, span_str(text)), ST_OK);
	return builder_span(&b);
}

static void check_shape(const struct shape *s, enum pkey_alg alg, enum status want)
{
	static uint8_t buf[4096];
	struct pkey *k = NULL;

	assert_int_equal(pkey_from_pkcs8(shaped(s, buf, sizeof buf), PKEY_CHECKED, &k), want);
	if (want == ST_OK) {
		assert_int_equal(pkey_match(k, pkeys[alg]), ST_OK);
		pkey_unref(&k);
	}
	assert_null(k);
}

static void rsa_algorithms(void **state)
{
	static const struct {
		const char *algorithm;
		enum status want;
	} cases[] = {
	    {"300d06092a864886f70d0101010500", ST_OK},                  /* as ours */
	    {"300b06092a864886f70d010101", ST_OK},                      /* no NULL */
	    {"300b06092a864886f70d01010a", ST_OK},                      /* RSA-PSS, no parameters */
	    {"300d06092a864886f70d01010a3000", ST_OK},                  /* RSA-PSS with some */
	    {"300f06092a864886f70d01010105000500", ST_INVALID},         /* two of them */
	    {"300e06092a864886f70d010101050100", ST_INVALID},           /* NULL with contents */
	    {"300d06092a864886f70d0101013000", ST_INVALID},             /* not NULL */
	    {"300d06092a864886f70d0101070500", ST_INVALID},             /* RSAES-OAEP */
	    {"300d06092a864886f70d01010b0500", ST_INVALID},             /* sha256WithRSA */
	    {"301306072a8648ce3d020106082a8648ce3d030107", ST_INVALID}, /* EC */
	    {"300506032b6570", ST_INVALID},                             /* Ed25519 */
	    {"3000", ST_INVALID},
	    {"0500", ST_INVALID},
	};
	struct secret *der = pkcs8_of(PKEY_RSA2048);
	struct shape s = shape_of(secret_span(der));
	uint8_t buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		s.algorithm = unhex(cases[i].algorithm, buf, sizeof buf);
		check_shape(&s, PKEY_RSA2048, cases[i].want);
	}
	secret_free(&der);
}

/* Attributes are passed over; the public key of version 1 must be the key's. */
static void tails(void **state)
{
	struct secret *der = pkcs8_of(PKEY_ED25519);
	struct shape s = shape_of(secret_span(der));
	uint8_t public[2 + 33] = {0x81, 33, 0}, both[2 + 35] = {0xa0, 0};
	struct pkey_parts p;

	(void)state;
	assert_int_equal(pkey_parts(pkeys[PKEY_ED25519], &p), ST_OK);
	memcpy(public + 3, p.x.p, 32);
	memcpy(both + 2, public, sizeof public);
	s.tail = span_of(both, 2);
	check_shape(&s, PKEY_ED25519, ST_OK);
	s.tail = span_of(both, sizeof both);
	check_shape(&s, PKEY_ED25519, ST_INVALID); /* version 0 has none */
	s.version = 1;
	check_shape(&s, PKEY_ED25519, ST_OK);
	s.tail = span_of(public, sizeof public);
	check_shape(&s, PKEY_ED25519, ST_OK);
	public[10] ^= 1;
	check_shape(&s, PKEY_ED25519, ST_INVALID);
	public[10] ^= 1;
	public[2] = 1; /* unused bits */
	check_shape(&s, PKEY_ED25519, ST_INVALID);
	s.tail = span_of("\x05\x00", 2);
	check_shape(&s, PKEY_ED25519, ST_INVALID);
	s.tail = span_of("\x81\x01\x00", 3);
	check_shape(&s, PKEY_ED25519, ST_INVALID);
	pkey_parts_free(&p);
	secret_free(&der);
}

/* RFC 5915 with and without the parts that may be missing. */
static void sec1_shapes(void **state)
{
	static const uint8_t p256[] = {0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86,
	                               0x48, 0xce, 0x3d, 0x03, 0x01, 0x07},
	                     p384[] = {0xa0, 0x07, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
	struct secret *der = pkcs8_of(PKEY_P256);
	struct shape s = shape_of(secret_span(der));
	struct pkey_parts p;
	const struct {
		uint8_t version;
		const uint8_t *curve;
		size_t curve_n, zeros;
		enum status want;
	} cases[] = {
	    {1, NULL, 0, 0, ST_OK},
	    {1, p256, sizeof p256, 0, ST_OK},
	    {1, p384, sizeof p384, 0, ST_INVALID},
	    {1, NULL, 0, 5, ST_OK}, /* zeros before the number */
	    {0, NULL, 0, 0, ST_INVALID},
	    {2, NULL, 0, 0, ST_INVALID},
	};

	(void)state;
	assert_int_equal(pkey_parts(pkeys[PKEY_P256], &p), ST_OK);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint8_t key[256], d[64] = {0};
		struct der_writer w;
		size_t mark;

		memcpy(d + cases[i].zeros, p.d.p, p.d.n);
		der_writer_init(&w, key, sizeof key);
		mark = der_mark(&w);
		der_raw(&w, span_of(cases[i].curve, cases[i].curve_n));
		der_put(&w, DER_OCTETS, span_of(d, p.d.n + cases[i].zeros));
		der_put_uint(&w, span_of(&cases[i].version, 1));
		der_close(&w, mark, DER_SEQUENCE);
		s.key = der_written(&w);
		check_shape(&s, PKEY_P256, cases[i].want);
	}
	pkey_parts_free(&p);
	secret_free(&der);
}

/* A curve that is called Ed25519, as NSS writes it. */
static void ed25519_as_a_curve(void **state)
{
	static const struct {
		const char *algorithm;
		enum status want;
	} cases[] = {
	    {"301406072a8648ce3d020106092b06010401da470f01", ST_OK},
	    {"300e06072a8648ce3d020106032b6570", ST_OK},
	    {"300e06072a8648ce3d020106032b656e", ST_INVALID}, /* X25519 */
	};
	uint8_t key[64], buf[64];
	struct shape s = {0};
	struct pkey_parts p;
	struct der_writer w;
	const uint8_t one = 1;
	size_t mark;

	(void)state;
	assert_int_equal(pkey_parts(pkeys[PKEY_ED25519], &p), ST_OK);
	der_writer_init(&w, key, sizeof key);
	mark = der_mark(&w);
	der_put(&w, DER_OCTETS, p.d);
	der_put_uint(&w, span_of(&one, 1));
	der_close(&w, mark, DER_SEQUENCE);
	s.key = der_written(&w);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		s.algorithm = unhex(cases[i].algorithm, buf, sizeof buf);
		check_shape(&s, PKEY_ED25519, cases[i].want);
	}
	pkey_parts_free(&p);
}

/* Keys that OpenSSL makes and the table does not have. */
static void other_keys_are_refused(void **state)
{
	EVP_PKEY *const others[] = {EVP_RSA_gen(1024),
	                            EVP_RSA_gen(2056),
	                            EVP_EC_gen("P-224"),
	                            EVP_EC_gen("secp256k1"),
	                            EVP_EC_gen("brainpoolP256r1"),
	                            EVP_PKEY_Q_keygen(NULL, NULL, "X25519"),
	                            EVP_PKEY_Q_keygen(NULL, NULL, "ED448")};

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		uint8_t *spki = NULL, *pkcs8 = NULL;
		PKCS8_PRIV_KEY_INFO *info;
		struct pkey *k = NULL;
		int n, m;

		assert_non_null(others[i]);
		n = i2d_PUBKEY(others[i], &spki);
		info = EVP_PKEY2PKCS8(others[i]);
		m = i2d_PKCS8_PRIV_KEY_INFO(info, &pkcs8);
		assert_true(n > 0 && m > 0);
		assert_int_equal(pkey_from_spki(span_of(spki, (size_t)n), &k), ST_INVALID);
		assert_int_equal(pkey_from_pkcs8(span_of(pkcs8, (size_t)m), PKEY_CHECKED, &k),
		                 ST_INVALID);
		assert_int_equal(pkey_from_pkcs8(span_of(pkcs8, (size_t)m), PKEY_TRUSTED, &k),
		                 ST_INVALID);
		assert_null(k);
		OPENSSL_free(spki);
		OPENSSL_free(pkcs8);
		PKCS8_PRIV_KEY_INFO_free(info);
		EVP_PKEY_free(others[i]);
	}
}

/* A curve that is spelt out, even one that has a name. */
static void explicit_curves_are_refused(void **state)
{
	EVP_PKEY *k = theirs(PKEY_P256);
	uint8_t *spki = NULL;
	struct pkey *back = NULL;
	int n;

	(void)state;
	assert_int_equal(EVP_PKEY_set_utf8_string_param(k, OSSL_PKEY_PARAM_EC_ENCODING,
	                                                OSSL_PKEY_EC_ENCODING_EXPLICIT),
	                 1);
	n = i2d_PUBKEY(k, &spki);
	assert_true(n > 150);
	assert_int_equal(pkey_from_spki(span_of(spki, (size_t)n), &back), ST_INVALID);
	OPENSSL_free(spki);
	EVP_PKEY_free(k);
}

/* ------------------------------------------------------------ cut and changed */

typedef enum status read_fn(struct span der, struct pkey **ret);

static enum status read_checked(struct span der, struct pkey **ret)
{
	return pkey_from_pkcs8(der, PKEY_CHECKED, ret);
}

static enum status read_trusted(struct span der, struct pkey **ret)
{
	return pkey_from_pkcs8(der, PKEY_TRUSTED, ret);
}

/* Refused, or a key that works as well as any. */
static void try_read(read_fn *read, struct span text)
{
	uint8_t *p = copy_of(text);
	struct pkey *k = NULL;
	enum status s = read(span_of(p, text.n), &k);

	assert_true(s == ST_OK ? k != NULL : s == ST_INVALID && k == NULL);
	pkey_unref(&k);
	free(p);
}

static void cut_and_change(read_fn *read, struct span text, size_t step)
{
	uint8_t *p = copy_of(text);
	struct pkey *k = NULL;

	for (size_t n = 0; n < text.n; n++) {
		assert_int_equal(read(span_of(p, n), &k), ST_INVALID);
		assert_null(k);
	}
	for (size_t bit = 0; bit < text.n * 8; bit += step) {
		p[bit / 8] ^= (uint8_t)(1U << bit % 8);
		try_read(read, span_of(p, text.n));
		p[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t at = 0; at < text.n; at += step) {
		const uint8_t was = p[at];

		p[at] = 0xff;
		try_read(read, span_of(p, text.n));
		p[at] = 0;
		try_read(read, span_of(p, text.n));
		p[at] = was;
	}
	assert_int_equal(read(span_of(p, text.n), &k), ST_OK);
	pkey_unref(&k);
	free(p);
}

static void with_one_byte_more(read_fn *read, struct span text)
{
	uint8_t *p = malloc(text.n + 1);
	struct pkey *k = NULL;

	assert_non_null(p);
	memcpy(p, text.p, text.n);
	p[text.n] = 0;
	assert_int_equal(read(span_of(p, text.n + 1), &k), ST_INVALID);
	assert_null(k);
	free(p);
}

static void hostile_public_keys(void **state)
{
	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		struct builder der = {0};

		assert_int_equal(pkey_spki(pkeys[alg], &der), ST_OK);
		cut_and_change(pkey_from_spki, builder_span(&der), alg >= PKEY_P384 ? 5 : 1);
		with_one_byte_more(pkey_from_spki, builder_span(&der));
		builder_free(&der);
	}
}

static void hostile_private_keys(void **state)
{
	(void)state;
	for (enum pkey_alg alg = 0; alg <= PKEY_RSA2048; alg++) {
		const bool slow = alg == PKEY_P384 || alg == PKEY_P521 || alg == PKEY_RSA2048;
		struct secret *der = pkcs8_of(alg);

		cut_and_change(read_checked, secret_span(der), slow ? 11 : 1);
		cut_and_change(read_trusted, secret_span(der), slow ? 3 : 1);
		with_one_byte_more(read_checked, secret_span(der));
		secret_free(&der);
	}
}

/* ------------------------------------------------------------ PEM */

static void check_pem(const char *before, struct span pem, const char *after, enum status want)
{
	struct builder b = {0};
	struct pkey *k = NULL;

	builder_str(&b, before);
	builder_add(&b, pem);
	builder_str(&b, after);
	assert_int_equal(pkey_from_spki_pem(builder_span(&b), &k), want);
	if (want == ST_OK)
		assert_int_equal(pkey_match(k, pkeys[PKEY_P256]), ST_OK);
	pkey_unref(&k);
	builder_free(&b);
}

static void pem_around(void **state)
{
	struct builder pem = {0}, crlf = {0}, other = {0};
	struct span text;

	(void)state;
	assert_int_equal(pkey_spki_pem(pkeys[PKEY_P256], &pem), ST_OK);
	text = builder_span(&pem);
	check_pem("", text, "", ST_OK);
	check_pem("\n\n", text, "\n \n", ST_OK);
	check_pem("Some words before.\n", text, "and after.", ST_OK);
	check_pem("-----BEGIN PUBLIC KEY-----", text, "", ST_INVALID);
	check_pem("-----BEGIN CERTIFICATE-----\n", text, "", ST_INVALID);
	check_pem("", text, "-----BEGIN PUBLIC KEY-----\n", ST_INVALID);
	assert_int_equal(pkey_spki_pem(pkeys[PKEY_P384], &other), ST_OK);
	builder_u8(&other, 0);
	check_pem("", text, (const char *)other.p, ST_INVALID); /* two keys */
	check_pem("", span_of(text.p, text.n - 1), "", ST_OK);  /* no line end */
	check_pem("", span_of(text.p, text.n - 2), "", ST_INVALID);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\n')
			builder_str(&crlf, " \r");
		builder_u8(&crlf, text.p[i]);
	}
	check_pem("", builder_span(&crlf), "", ST_OK);
	builder_free(&pem);
	builder_free(&crlf);
	builder_free(&other);
}

static void hostile_pem(void **state)
{
	static const char *const bad[] = {
	    "",
	    "-----BEGIN PUBLIC KEY-----",
	    "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
	    "-----BEGIN PUBLIC KEY-----\nAAAA\n",
	    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY----\n",
	    "-----BEGIN PUBLIC KEY-----\nAAA\n-----END PUBLIC KEY-----\n",
	    "-----BEGIN PUBLIC KEY-----\nAA!A\n-----END PUBLIC KEY-----\n",
	    "-----BEGIN PUBLIC KEY-----\nA: b\n\nAAAA\n-----END PUBLIC KEY-----\n",
	    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	    "-----BEGIN -----\nAAAA\n-----END -----\n",
	};
	struct builder pem = {0};
	struct pkey *k = NULL;
	uint8_t *p;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(pkey_from_spki_pem(span_str(bad[i]), &k), ST_INVALID);
	assert_int_equal(pkey_spki_pem(pkeys[PKEY_P256], &pem), ST_OK);
	p = copy_of(builder_span(&pem));
	for (size_t n = 0; n < pem.n - 1; n++)
		assert_int_equal(pkey_from_spki_pem(span_of(p, n), &k), ST_INVALID);
	for (size_t at = 0; at < pem.n; at++) {
		for (unsigned v = 0; v < 256; v += 5) {
			p[at] = (uint8_t)v;
			try_read(pkey_from_spki_pem, span_of(p, pem.n));
		}
		p[at] = pem.p[at];
	}
	free(p);
	builder_free(&pem);
}

/* All lengths of contents: as OpenSSL writes them, and back. */
static void pem_lengths(void **state)
{
	uint8_t bytes[200];
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t n = 1; n <= sizeof bytes; n++) {
		BIO *bio = BIO_new(BIO_s_mem());
		const size_t len = pem_len("LABEL", n);
		struct builder back = {0};
		struct cursor c;

		assert_non_null(bio);
		assert_true(len < sizeof text);
		text[len] = '#';
		pem_write("LABEL", span_of(bytes, n), text);
		assert_int_equal(text[len], '#');
		assert_true(PEM_write_bio(bio, "LABEL", "", bytes, (long)n) > 0);
		assert_true(span_eq(span_of(text, len), bio_span(bio)));
		c = cursor_of(span_of(text, len));
		assert_int_equal(pem_next(&c, "LABEL", &back), ST_OK);
		assert_true(span_eq(builder_span(&back), span_of(bytes, n)));
		assert_int_equal(pem_next(&c, "LABEL", &back), ST_NOT_FOUND);
		builder_free(&back);
		BIO_free(bio);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(public_keys_as_openssl_writes_them),
	    cmocka_unit_test(private_keys_as_openssl_writes_them),
	    cmocka_unit_test(exported_as_the_vault_api_does),
	    cmocka_unit_test(ed25519_exported_as_the_vault_api_does),
	    cmocka_unit_test(public_keys_have_no_private_text),
	    cmocka_unit_test(a_full_builder_is_its_failure),
	    cmocka_unit_test(rsa_algorithms),
	    cmocka_unit_test(tails),
	    cmocka_unit_test(sec1_shapes),
	    cmocka_unit_test(ed25519_as_a_curve),
	    cmocka_unit_test(other_keys_are_refused),
	    cmocka_unit_test(explicit_curves_are_refused),
	    cmocka_unit_test(hostile_public_keys),
	    cmocka_unit_test(hostile_private_keys),
	    cmocka_unit_test(pem_around),
	    cmocka_unit_test(hostile_pem),
	    cmocka_unit_test(pem_lengths),
	};

	return cmocka_run_group_tests(tests, pkeys_setup, pkeys_teardown);
}
