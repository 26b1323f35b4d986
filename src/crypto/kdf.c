/*
 * HMAC-SHA-256, HKDF and argon2id.
 *
 * This one file uses OpenSSL's SHA256_* functions, deprecated in 3.0 but stable: a state is a plain struct, so a prepared key
 * lies in guarded memory, is copied by assignment and needs no allocation per call (EVP_MAC allocates for each). They use
 * the SHA extensions of the processor like EVP does.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/kdf.h"

#include <errno.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <string.h>

#define BLOCK_LEN  64
#define HMAC_MAGIC 0x4a3c0de5U

_Static_assert(SHA256_LEN == SHA256_DIGEST_LENGTH, "one digest length");
_Static_assert(PASSWORD_HASH_MAX >= crypto_pwhash_STRBYTES, "an encoded hash must fit");

/* The states after the key's inner and outer block (FIPS 198-1, steps 4 to 8). */
struct hmac_state {
	SHA256_CTX inner, outer;
};

struct hmac_key {
	uint32_t magic;
	struct hmac_state state;
};

static void sha256_parts(SHA256_CTX *ctx, const struct span *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (parts[i].n > 0)
			MUST(SHA256_Update(ctx, parts[i].p, parts[i].n) == 1);
}

void sha256(const struct span *parts, size_t n, uint8_t digest[static SHA256_LEN])
{
	SHA256_CTX ctx;

	MUST(SHA256_Init(&ctx) == 1);
	sha256_parts(&ctx, parts, n);
	MUST(SHA256_Final(digest, &ctx) == 1);
	wipe(&ctx, sizeof ctx);
}

/* ------------------------------------------------------------ HMAC */

static void hmac_state_init(struct hmac_state *h, struct span key)
{
	uint8_t block[BLOCK_LEN] = {0};

	if (key.n > BLOCK_LEN)
		sha256(&key, 1, block);
	else if (key.n > 0)
		memcpy(block, key.p, key.n);
	for (size_t i = 0; i < BLOCK_LEN; i++)
		block[i] ^= 0x36;
	MUST(SHA256_Init(&h->inner) == 1 && SHA256_Update(&h->inner, block, BLOCK_LEN) == 1);
	for (size_t i = 0; i < BLOCK_LEN; i++)
		block[i] ^= 0x36 ^ 0x5c;
	MUST(SHA256_Init(&h->outer) == 1 && SHA256_Update(&h->outer, block, BLOCK_LEN) == 1);
	wipe(block, sizeof block);
}

static void hmac_state_mac(const struct hmac_state *h, const struct span *parts, size_t n,
                           uint8_t mac[static SHA256_LEN])
{
	SHA256_CTX ctx = h->inner;
	uint8_t digest[SHA256_LEN];

	sha256_parts(&ctx, parts, n);
	MUST(SHA256_Final(digest, &ctx) == 1);
	ctx = h->outer;
	MUST(SHA256_Update(&ctx, digest, sizeof digest) == 1);
	MUST(SHA256_Final(mac, &ctx) == 1);
	wipe(&ctx, sizeof ctx);
	wipe(digest, sizeof digest);
}

enum status hmac_key_new(struct span key, struct hmac_key **ret)
{
	struct hmac_key *k = secret_alloc(sizeof(struct hmac_key));

	if (k == NULL)
		return ST_NOMEM;
	k->magic = HMAC_MAGIC;
	hmac_state_init(&k->state, key);
	*ret = k;
	return ST_OK;
}

void hmac_key_free(struct hmac_key **k)
{
	if (*k == NULL)
		return;
	MUST((*k)->magic == HMAC_MAGIC);
	secret_release(*k);
	*k = NULL;
}

void hmac_sha256(const struct hmac_key *k, const struct span *parts, size_t n,
                 uint8_t mac[static SHA256_LEN])
{
	MUST(k->magic == HMAC_MAGIC);
	hmac_state_mac(&k->state, parts, n, mac);
}

/* ------------------------------------------------------------ HKDF */

/* RFC 5869, 2.3: T(i) = HMAC(PRK, T(i-1) | info | i), concatenated and cut. */
static void hkdf_expand(const struct hmac_state *prk, struct span info, uint8_t *out, size_t n)
{
	uint8_t t[SHA256_LEN], i = 0;

	for (size_t made = 0; made < n;) {
		size_t k = n - made < SHA256_LEN ? n - made : SHA256_LEN;
		struct span parts[3] = {span_of(t, i == 0 ? 0 : SHA256_LEN), info, {NULL, 0}};

		i++;
		parts[2] = span_of(&i, 1);
		hmac_state_mac(prk, parts, 3, t);
		memcpy(out + made, t, k);
		made += k;
	}
	wipe(t, sizeof t);
}

void hkdf_sha256(struct span ikm, struct span salt, struct span info, struct secret *ret)
{
	uint8_t prk[SHA256_LEN];
	struct hmac_state h;

	MUST(secret_len(ret) <= 255 * (size_t)SHA256_LEN);
	/* No salt means 32 zero bytes, which as an HMAC key is the same as none. */
	hmac_state_init(&h, salt);
	hmac_state_mac(&h, &ikm, 1, prk);
	hmac_state_init(&h, span_of(prk, sizeof prk));
	hkdf_expand(&h, info, secret_bytes(ret), secret_len(ret));
	wipe(prk, sizeof prk);
	wipe(&h, sizeof h);
}

/* ------------------------------------------------------------ passwords */

/* 64 MiB and 3 passes: the second recommended option of RFC 9106 section 4, with the one lane that libsodium computes. */
#define PASSWORD_PASSES 3U
#define PASSWORD_BYTES  ((size_t)64 << 20)

enum status password_hash(struct span password, char ret[static PASSWORD_HASH_MAX])
{
	char hash[crypto_pwhash_STRBYTES];
	const char *p = password.n == 0 ? "" : (const char *)password.p;

	if (sodium_init() < 0)
		return ST_UNAVAILABLE;
	if (password.n > crypto_pwhash_PASSWD_MAX)
		return ST_LIMIT;
	if (crypto_pwhash_str_alg(hash, p, password.n, PASSWORD_PASSES, PASSWORD_BYTES,
	                          crypto_pwhash_ALG_ARGON2ID13) != 0)
		return ST_NOMEM;
	memcpy(ret, hash, sizeof hash);
	wipe(hash, sizeof hash);
	return ST_OK;
}

enum status password_verify(const char *hash, struct span password)
{
	const char *p = password.n == 0 ? "" : (const char *)password.p;

	if (sodium_init() < 0)
		return ST_UNAVAILABLE;
	if (!span_starts(span_str(hash), span_str(crypto_pwhash_argon2id_STRPREFIX)))
		return ST_INVALID;
	/* It decodes the whole text; -1 means that it could not. */
	if (crypto_pwhash_str_needs_rehash(hash, PASSWORD_PASSES, PASSWORD_BYTES) < 0)
		return ST_INVALID;
	if (password.n > crypto_pwhash_PASSWD_MAX)
		return ST_DENIED;
	errno = 0;
	if (crypto_pwhash_str_verify(hash, p, password.n) == 0)
		return ST_OK;
	/* EINVAL is how libsodium marks a mismatch; anything else means that it could not compute. */
	return errno == EINVAL ? ST_DENIED : ST_NOMEM;
}
