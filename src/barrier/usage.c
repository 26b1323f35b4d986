/* Record: 4 zero | 1 version 1 | 4 term | 8 encryptions | 8 records | 8 seen | 32 HMAC over path and all before. */
#include "barrier/usage.h"

#include <stdio.h>

#include "crypto/ct.h"

#define USAGE_VERSION  1
#define USAGE_BODY_LEN (4 + 1 + 4 + 8 + 8 + 8)

static struct span usage_path(uint32_t term, char buf[static 32])
{
	snprintf(buf, 32, USAGE_PATH, term);
	return span_str(buf);
}

static void usage_mac(const struct hmac_key *mac, struct span path, struct span body,
                      uint8_t ret[static SHA256_LEN])
{
	struct span parts[2] = {path, body};

	hmac_sha256(mac, parts, 2, ret);
}

void usage_encode(const struct hmac_key *mac, uint32_t term, const struct usage *u,
                  struct builder *out)
{
	uint8_t sum[SHA256_LEN];
	char path[32];

	MUST(out->n == 0);
	builder_u32(out, 0);
	builder_u8(out, USAGE_VERSION);
	builder_u32(out, term);
	builder_u64(out, u->encryptions);
	builder_u64(out, u->records);
	builder_u64(out, (uint64_t)u->seen_ns);
	usage_mac(mac, usage_path(term, path), builder_span(out), sum);
	builder_add(out, span_of(sum, sizeof sum));
}

enum status usage_load(struct storage_txn *t, const struct hmac_key *mac, uint32_t term,
                       struct usage *ret, struct err *err)
{
	char path[32];
	struct span record;
	struct cursor c;
	struct usage u;
	uint8_t version, sum[SHA256_LEN];
	uint32_t zero, number;
	uint64_t seen;
	enum status st = t->storage->driver->get(t, usage_path(term, path), &record, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (st == ST_NOT_FOUND || record.n != USAGE_BODY_LEN + SHA256_LEN)
		goto damaged;
	usage_mac(mac, span_str(path), span_of(record.p, USAGE_BODY_LEN), sum);
	if (!ct_equal(span_from(record, USAGE_BODY_LEN), span_of(sum, sizeof sum)))
		goto damaged;
	c = cursor_of(record);
	if (cursor_u32(&c, &zero) != ST_OK || cursor_u8(&c, &version) != ST_OK ||
	    cursor_u32(&c, &number) != ST_OK || cursor_u64(&c, &u.encryptions) != ST_OK ||
	    cursor_u64(&c, &u.records) != ST_OK || cursor_u64(&c, &seen) != ST_OK ||
	    version != USAGE_VERSION || number != term)
		goto damaged;
	u.seen_ns = (int64_t)seen;
	*ret = u;
	return ST_OK;
damaged:
	return err_set(err, ST_CORRUPT, "the usage record of term %u is missing or damaged", term);
}
