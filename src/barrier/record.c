#include "barrier/record.h"

enum status record_seal(uint32_t term, const struct aead_key *key, const struct random *random,
                        struct span path, struct span plain, struct builder *out)
{
	uint8_t nonce[AEAD_GCM_NONCE_LEN];
	size_t sealed_len;
	uint8_t *sealed;
	enum status st;

	if (!size_add(plain.n, AEAD_TAG_LEN, &sealed_len))
		return ST_LIMIT;
	random_fill(random, nonce, sizeof nonce);
	builder_u32(out, term);
	builder_u8(out, RECORD_VERSION);
	builder_add(out, span_of(nonce, sizeof nonce));
	sealed = builder_room(out, sealed_len);
	if (sealed == NULL)
		return builder_status(out);
	st = aead_seal(key, span_of(nonce, sizeof nonce), path, plain, sealed);
	if (st == ST_OK)
		builder_took(out, sealed_len);
	return st;
}

enum status record_term(struct span stored, uint32_t *ret)
{
	struct cursor c = cursor_of(stored);

	if (stored.n < RECORD_OVERHEAD)
		return ST_CORRUPT;
	return cursor_u32(&c, ret);
}

enum status record_stamp(struct span stored, uint8_t ret[static RECORD_STAMP_LEN])
{
	struct builder b;

	if (stored.n < RECORD_OVERHEAD)
		return ST_CORRUPT;
	builder_init_fixed(&b, ret, RECORD_STAMP_LEN);
	builder_add(&b,
	            span_of(stored.p + RECORD_HEAD_LEN - AEAD_GCM_NONCE_LEN, AEAD_GCM_NONCE_LEN));
	builder_add(&b, span_from(stored, stored.n - AEAD_TAG_LEN));
	return builder_status(&b);
}

size_t record_plain_len(struct span stored)
{
	MUST(stored.n >= RECORD_OVERHEAD);
	return stored.n - RECORD_OVERHEAD;
}

enum status record_open(const struct aead_key *key, struct span path, struct span stored,
                        uint8_t *ret)
{
	struct cursor c = cursor_of(stored);
	struct span nonce;
	uint32_t term;
	uint8_t version;

	if (stored.n < RECORD_OVERHEAD)
		return ST_CORRUPT;
	if (cursor_u32(&c, &term) != ST_OK || cursor_u8(&c, &version) != ST_OK ||
	    version != RECORD_VERSION || cursor_span(&c, AEAD_GCM_NONCE_LEN, &nonce) != ST_OK) {
		wipe(ret, record_plain_len(stored));
		return ST_CORRUPT;
	}
	return aead_open(key, nonce, path, span_of(c.p, c.left), ret);
}
