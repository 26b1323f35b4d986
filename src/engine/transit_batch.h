/* The items of a request: one, or a batch; shared by what works on items.  Private to engine/transit*. */
#ifndef ENGINE_TRANSIT_BATCH_H
#define ENGINE_TRANSIT_BATCH_H

#include "engine/transit_crypt.h"

/* Items of one call at most. */
#define BATCH_MAX 50000u

struct batch {
	struct crypt_item *items; /* the thread's memory; their texts lie in the request */
	size_t n;
	bool many;                         /* the answer has a list of results */
	const struct crypt_opened *opened; /* RSA: n of them, of the request's slow work */
};

/* What each item must have. */
enum batch_text { BATCH_PLAINTEXT, BATCH_CIPHERTEXT, BATCH_ANY };
/* The member that names the version to encrypt under; of a rewrap it is the manner's (transit_manner.to). */
#define BATCH_VERSION "key_version"
/* batch_item(o, version, i, err): a JSON object as an item; version: the member that names one.  ST_INVALID: a member of another type. */
MUST_USE enum status batch_item(const struct json_value *o, const char *version,
                                struct crypt_item *i, struct err *err);
/* batch_read(op, need, b, err): ST_INVALID, ST_NOMEM.  batch_single(r, version, i, err): the members of a request that is one item. */
MUST_USE enum status batch_read(struct op *op, enum batch_text need, struct batch *b,
                                struct err *err);
MUST_USE enum status batch_single(const struct request *r, const char *version,
                                  struct crypt_item *i, struct err *err);
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
