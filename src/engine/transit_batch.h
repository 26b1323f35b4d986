/* The items of a request: one, or a batch; shared by what works on items.  Private to engine/transit*. */
#ifndef ENGINE_TRANSIT_BATCH_H
#define ENGINE_TRANSIT_BATCH_H

#include "engine/transit_crypt.h"

/* Items of one call at most. */
#define BATCH_MAX 50000u

struct batch {
	struct crypt_item *items; /* the thread's memory; their texts lie in the request */
	size_t n;
	bool many;                         /* the answer has batch_results */
	const struct crypt_opened *opened; /* RSA: n of them, of the request's slow work */
};

/* What each item must have. */
enum batch_text { BATCH_PLAINTEXT, BATCH_CIPHERTEXT, BATCH_ANY };
/* batch_item(o, i, err): a JSON object as an item.  ST_INVALID: a member of another type. */
MUST_USE enum status batch_item(const struct json_value *o, struct crypt_item *i, struct err *err);
/* batch_read(op, need, b, err): ST_INVALID, ST_NOMEM.  batch_single(r, i, err): the members of a request that is one item. */
MUST_USE enum status batch_read(struct op *op, enum batch_text need, struct batch *b,
                                struct err *err);
MUST_USE enum status batch_single(const struct request *r, struct crypt_item *i, struct err *err);
/*
 * batch_text(r, name, ret, err): a text of a request that is one item; a number is taken by its digits, as the reference does.  ST_OK and *ret as it was: there is none; one
 * that is empty has p not NULL.  ST_INVALID.
 */
MUST_USE enum status batch_text(const struct request *r, const char *name, struct span *ret,
                                struct err *err);

/*
 * rsa_open(op, k, b, err): the plaintexts of a batch under an RSA key, which the pool works out: ST_PENDING the first time (op->slow is set), then ST_OK and
 * b->opened.
 */
MUST_USE enum status rsa_open(struct op *op, const struct named_key *k, struct batch *b,
                              struct err *err);

#endif
