/*
 * record: a stored record that somebody changed.  Input: one byte of kind, a path and a plaintext (a byte of length each), then changes.
 *   - kind odd: the rest is the record as it is: never more than ST_CORRUPT, and what was to receive the plaintext is zero;
 *   - kind even: the record is sealed by us, then changed (fuzz_mutate); unchanged it opens to the plaintext, changed, or under another path
 *     or key, it is ST_CORRUPT.
 * record_term and record_plain_len agree with the bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "barrier/record.h"
#include "crypto/kdf.h"
#include "fuzz.h"

#define ROOM 1024

/* `key` is made from the whole input: the fuzzer learns the records that it is shown, but no input can hold one under its own key. */
static struct aead_key *key, *other;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char bytes[33] = "another one, that must not open.";

	(void)argc;
	(void)argv;
	fuzz_process();
	MUST(aead_key_new(AEAD_AES256_GCM, span_of(bytes, 32), &other) == ST_OK);
	return 0;
}

/* want: what must come out, or NULL: ST_CORRUPT. */
static void check(const struct aead_key *k, struct span path, struct span stored,
                  const struct span *want)
{
	uint8_t *exact = fuzz_copy(stored), *out;
	struct span s = span_of(exact, stored.n);
	uint32_t term = 0xdead;

	if (record_term(s, &term) != ST_OK) {
		MUST(stored.n < RECORD_OVERHEAD && want == NULL && term == 0xdead);
		free(exact);
		return;
	}
	MUST(stored.n >= RECORD_OVERHEAD && record_plain_len(s) == stored.n - RECORD_OVERHEAD);
	MUST(term ==
	     ((uint32_t)s.p[0] << 24 | (uint32_t)s.p[1] << 16 | (uint32_t)s.p[2] << 8 | s.p[3]));
	size_t n = record_plain_len(s);
	out = malloc(n > 0 ? n : 1);
	MUST(out != NULL);
	memset(out, 0xee, n);
	enum status st = record_open(k, path, s, out);
	MUST(st == (want != NULL ? ST_OK : ST_CORRUPT));
	MUST(want == NULL || span_eq(span_of(out, n), *want));
	for (size_t i = 0; want == NULL && i < n; i++)
		MUST(out[i] == 0);
	free(out);
	free(exact);
}

static void sealed_and_changed(struct cursor *c, struct span path, struct span plain, uint8_t kind)
{
	struct random_seeded random;
	struct builder sealed = {0};
	uint8_t changed[ROOM], path_buf[256 + 8];
	bool same;

	random_seeded_init(&random, kind);
	MUST(record_seal(kind, key, &random.random, path, plain, &sealed) == ST_OK);
	MUST(sealed.n == plain.n + RECORD_OVERHEAD && sealed.n <= sizeof changed);
	check(key, path, builder_span(&sealed), &plain);
	check(other, path, builder_span(&sealed), NULL);
	memcpy(changed, sealed.p, sealed.n);
	size_t n = fuzz_mutate(c, changed, sizeof changed, sealed.n);
	/* the term is a hint where the key is; it is not what is authenticated */
	same = n == sealed.n && memcmp(changed + 4, sealed.p + 4, n - 4) == 0;
	check(key, path, span_of(changed, n), same ? &plain : NULL);
	if (path.n > 0)
		memcpy(path_buf, path.p, path.n);
	n = fuzz_mutate(c, path_buf, sizeof path_buf, path.n);
	same = span_eq(span_of(path_buf, n), path);
	check(key, span_of(path_buf, n), builder_span(&sealed), same ? &plain : NULL);
	builder_free(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span all = span_of(data, n);
	struct cursor c = cursor_of(all);
	uint8_t kind = fuzz_u8(&c), digest[SHA256_LEN];
	struct span path = fuzz_lv(&c);

	sha256(&all, 1, digest);
	MUST(aead_key_new(AEAD_AES256_GCM, span_of(digest, sizeof digest), &key) == ST_OK);
	if (kind % 2 == 1)
		check(key, path, fuzz_rest(&c), NULL);
	else
		sealed_and_changed(&c, path, fuzz_lv(&c), kind);
	aead_key_free(&key);
	return 0;
}
