/*
 * The table of digests, and HMAC over it.
 *
 * SHA-1 and SHA-2 run on OpenSSL's plain structs, as in kdf.c and for the same reasons: no allocation, nothing that can fail.  SHA-3 has
 * none, so it takes an EVP context for each call.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/digest.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <string.h>

#include "crypto/digest_evp.h"
#include "crypto/scratch.h"

/* That of SHA3-224. */
#define BLOCK_MAX 144

union state {
	SHA_CTX sha1;
	SHA256_CTX sha256;
	SHA512_CTX sha512;
	EVP_MD_CTX *evp;
};

/* A family of digests that share their state and code. */
struct family {
	/* ST_NOMEM: nothing was begun.  begin may follow end. */
	enum status (*begin)(union state *s, enum digest_alg alg);
	void (*add)(union state *s, struct span part);
	/* Writes the digest; nothing of the state stays. */
	void (*end)(union state *s, uint8_t *ret);
};

/* ------------------------------------------------------------ the families */

static enum status sha1_begin(union state *s, enum digest_alg alg)
{
	(void)alg;
	MUST(SHA1_Init(&s->sha1) == 1);
	return ST_OK;
}

static void sha1_add(union state *s, struct span part)
{
	MUST(SHA1_Update(&s->sha1, part.p, part.n) == 1);
}

static void sha1_end(union state *s, uint8_t *ret)
{
	MUST(SHA1_Final(ret, &s->sha1) == 1);
	wipe(&s->sha1, sizeof s->sha1);
}

static enum status sha256_begin(union state *s, enum digest_alg alg)
{
	if (alg == DIGEST_SHA2_224)
		MUST(SHA224_Init(&s->sha256) == 1);
	else
		MUST(SHA256_Init(&s->sha256) == 1);
	return ST_OK;
}

static void sha256_add(union state *s, struct span part)
{
	MUST(SHA256_Update(&s->sha256, part.p, part.n) == 1);
}

static void sha256_end(union state *s, uint8_t *ret)
{
	MUST(SHA256_Final(ret, &s->sha256) == 1);
	wipe(&s->sha256, sizeof s->sha256);
}

static enum status sha512_begin(union state *s, enum digest_alg alg)
{
	if (alg == DIGEST_SHA2_384)
		MUST(SHA384_Init(&s->sha512) == 1);
	else
		MUST(SHA512_Init(&s->sha512) == 1);
	return ST_OK;
}

static void sha512_add(union state *s, struct span part)
{
	MUST(SHA512_Update(&s->sha512, part.p, part.n) == 1);
}

static void sha512_end(union state *s, uint8_t *ret)
{
	MUST(SHA512_Final(ret, &s->sha512) == 1);
	wipe(&s->sha512, sizeof s->sha512);
}

static enum status sha3_begin(union state *s, enum digest_alg alg)
{
	const EVP_MD *md = digest_evp(alg);
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (md == NULL || c == NULL || EVP_DigestInit_ex2(c, md, NULL) != 1) {
		EVP_MD_CTX_free(c);
		ERR_clear_error();
		return ST_NOMEM;
	}
	s->evp = c;
	return ST_OK;
}

static void sha3_add(union state *s, struct span part)
{
	MUST(EVP_DigestUpdate(s->evp, part.p, part.n) == 1);
}

static void sha3_end(union state *s, uint8_t *ret)
{
	MUST(EVP_DigestFinal_ex(s->evp, ret, NULL) == 1);
	EVP_MD_CTX_free(s->evp);
	s->evp = NULL;
}

static const struct family sha1_family = {sha1_begin, sha1_add, sha1_end};
static const struct family sha256_family = {sha256_begin, sha256_add, sha256_end};
static const struct family sha512_family = {sha512_begin, sha512_add, sha512_end};
static const struct family sha3_family = {sha3_begin, sha3_add, sha3_end};

/* ------------------------------------------------------------ the table */

static const struct digest_info {
	const char *name;
	size_t len, block_len;
	const struct family *family;
} infos[DIGEST_ALG_COUNT] = {
    [DIGEST_SHA1] = {"sha1", 20, 64, &sha1_family},
    [DIGEST_SHA2_224] = {"sha2-224", 28, 64, &sha256_family},
    [DIGEST_SHA2_256] = {"sha2-256", 32, 64, &sha256_family},
    [DIGEST_SHA2_384] = {"sha2-384", 48, 128, &sha512_family},
    [DIGEST_SHA2_512] = {"sha2-512", 64, 128, &sha512_family},
    [DIGEST_SHA3_224] = {"sha3-224", 28, 144, &sha3_family},
    [DIGEST_SHA3_256] = {"sha3-256", 32, 136, &sha3_family},
    [DIGEST_SHA3_384] = {"sha3-384", 48, 104, &sha3_family},
    [DIGEST_SHA3_512] = {"sha3-512", 64, 72, &sha3_family},
};

static const struct digest_info *info_of(enum digest_alg alg)
{
	MUST((unsigned)alg < DIGEST_ALG_COUNT);
	return &infos[alg];
}

const char *digest_name(enum digest_alg alg)
{
	return info_of(alg)->name;
}

size_t digest_len(enum digest_alg alg)
{
	return info_of(alg)->len;
}

enum status digest_find(struct span name, enum digest_alg *ret)
{
	for (enum digest_alg alg = 0; alg < DIGEST_ALG_COUNT; alg++) {
		if (span_eq_str(name, infos[alg].name)) {
			*ret = alg;
			return ST_OK;
		}
	}
	return ST_NOT_FOUND;
}

/* ------------------------------------------------------------ one shot */

static enum status run(union state *s, enum digest_alg alg, struct span head,
                       const struct span *parts, size_t n, uint8_t *ret)
{
	const struct family *f = infos[alg].family;
	enum status st = f->begin(s, alg);

	if (st != ST_OK)
		return st;
	if (head.n > 0)
		f->add(s, head);
	for (size_t i = 0; i < n; i++)
		if (parts[i].n > 0)
			f->add(s, parts[i]);
	f->end(s, ret);
	return ST_OK;
}

enum status digest_of(enum digest_alg alg, const struct span *parts, size_t n, uint8_t *ret)
{
	uint8_t out[DIGEST_LEN_MAX];
	union state s;
	enum status st;

	MUST((unsigned)alg < DIGEST_ALG_COUNT);
	/* Not into ret at once: it may be one of the parts. */
	st = run(&s, alg, span_of(NULL, 0), parts, n, out);
	if (st == ST_OK)
		memcpy(ret, out, infos[alg].len);
	wipe(out, sizeof out);
	return st;
}

struct mac_scratch {
	union state state;
	uint8_t block[BLOCK_MAX], inner[DIGEST_LEN_MAX], outer[DIGEST_LEN_MAX];
};
_Static_assert(sizeof(struct mac_scratch) <= SCRATCH_BYTES, "fits the scratch memory");

static void block_xor(struct mac_scratch *m, size_t n, uint8_t pad)
{
	for (size_t i = 0; i < n; i++)
		m->block[i] ^= pad;
}

/* FIPS 198-1, table 1. */
static enum status mac_in(struct mac_scratch *m, enum digest_alg alg, struct span key,
                          const struct span *parts, size_t n)
{
	const size_t block_len = infos[alg].block_len, len = infos[alg].len;
	enum status st;

	if (key.n > block_len) {
		st = run(&m->state, alg, key, NULL, 0, m->block);
		if (st != ST_OK)
			return st;
	} else if (key.n > 0) {
		memcpy(m->block, key.p, key.n);
	}
	block_xor(m, block_len, 0x36);
	st = run(&m->state, alg, span_of(m->block, block_len), parts, n, m->inner);
	if (st != ST_OK)
		return st;
	block_xor(m, block_len, 0x36 ^ 0x5c);
	return run(&m->state, alg, span_of(m->block, block_len), &(struct span){m->inner, len}, 1,
	           m->outer);
}

enum status digest_mac(enum digest_alg alg, struct span key, const struct span *parts, size_t n,
                       uint8_t *ret)
{
	struct mac_scratch *m = scratch_get();
	enum status st;

	MUST((unsigned)alg < DIGEST_ALG_COUNT);
	if (m == NULL)
		return ST_NOMEM;
	/* The scratch memory is zero, which is what pads a short key. */
	st = mac_in(m, alg, key, parts, n);
	if (st == ST_OK)
		memcpy(ret, m->outer, infos[alg].len);
	wipe(m, sizeof *m);
	return st;
}
