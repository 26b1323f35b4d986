/*
 * Calls that sign, verify, MAC or hash: their items, and the work on them.  The work has what it needs in memory of its own and holds references of the
 * versions, so that it can be done on the loop where the call arrived or, where it would hold that up, on the pool.  Private to engine/transit*.
 *
 *   signing_asks -> signing_call: a kind's begin decodes what each item has, and finds its version; its work is done, here or on the pool; its put answers
 */
#ifndef ENGINE_TRANSIT_SIGNING_H
#define ENGINE_TRANSIT_SIGNING_H

#include "crypto/pkey_sign.h"
#include "engine/transit_impl.h"

/* What one item asks for, as it stands in the request; p NULL: absent. */
struct signing_ask {
	struct span input, context, signature, hmac, reference;
};

/* The items of a request: batch_input, or (list NULL) the one that the request itself is. */
struct signing_asks {
	const struct request *req;
	const struct json_value *list;
	size_t n;
	/* where signing_next stands */
	const struct json_value *at;
	size_t i;
};
/*
 * signing_asks(op, ret, err): ST_INVALID: batch_input is none.  signing_next(a, ret, err): the next of the n items; ST_INVALID.  signing_rewind(a): again from the
 * first.
 */
MUST_USE enum status signing_asks(const struct op *op, struct signing_asks *ret, struct err *err);
MUST_USE enum status signing_next(struct signing_asks *a, struct signing_ask *ret, struct err *err);
void signing_rewind(struct signing_asks *a);

/* Bytes of one of the work's two builders. */
struct signing_part {
	size_t at, n;
};

/* One item of the work. */
struct signing_item {
	const struct key_version *version;  /* a reference; NULL: it needs none, or fails before */
	struct signing_part input, context; /* in `in` */
	struct signing_part given;          /* in `in`: the signature or MAC to verify */
	struct signing_part made;           /* in `out` */
	struct signing_part public_key;     /* in `out` */
	bool valid;
	struct item_error error; /* text NULL: none */
};

/* How the caller wants it done. */
struct signing_how {
	enum digest_alg digest;
	bool hex; /* a hash: not base64 */
	/* signatures */
	struct pkey_how pkey;
	bool any_digest; /* the input is a digest, of whatever algorithm */
	bool asn1;       /* the form that ECDSA has */
	bool url;        /* written in base64url */
};

struct signing {
	struct slow slow; /* first */
	const struct signing_kind *kind;
	const struct transit *transit;
	/* Of transit when it was made: when there are more, the pool ends the work, so that a store that closes waits for one item and not for all. */
	uint64_t drops;
	bool cut_short;
	struct key_id id; /* of the key */
	bool many;        /* the items are those of a batch */
	struct signing_how how;
	struct builder in, out;
	/* The version found last, as long as the items refer to it. */
	const struct key_version *last;
	uint64_t cost_ns; /* what the work will take, about; decides where it is done */
	bool for_pool;    /* not on a loop, whatever it takes */
	char text[96];    /* of an error that is not constant */
	size_t n;
	struct signing_item items[];
};

/* What is done to the items of a call.  The texts are what the caller is told of a version that must not be used. */
struct signing_kind {
	/* `negative` NULL: the call verifies, and min_decryption_version bounds it; else it makes something, version 0 is the latest, min_encryption_version bounds it. */
	const char *negative, *above, *below, *disabled;
	/*
	 * begin(op, p, k, a, s, err): s->how and s->cost_ns, and for each item of a its parts and its version, or its error.  What it returns ends the call: ST_INVALID
	 * and the like.
	 */
	enum status (*begin)(struct op *op, const struct key_place *p, const struct named_key *k,
	                     struct signing_asks *a, struct signing *s, struct err *err);
	/* work(s, i): sets i->made or i->valid, or i->error.  On the loop or the pool: all it may look at is s (not s->transit). */
	void (*work)(struct signing *s, struct signing_item *i);
	/* put(s, i, out): an item that went well, as members of a JSON object without its braces. */
	void (*put)(const struct signing *s, const struct signing_item *i, struct builder *out);
	/* What stands before "error" in the object of an item of a batch that did not go well. */
	const char *on_error;
};

/*
 * signing_call(op, p, k, kind, a, err): the whole call, and its status: ST_PENDING while the pool works.  More than a worker should do for one call is refused (ST_INVALID).
 * What the pool made is not given out when its version must no longer be used by then.  A batch is answered well, whatever became of its items; of a single one the error is the call's.  k NULL: a call without a key.
 */
enum status signing_call(struct op *op, const struct key_place *p, const struct named_key *k,
                         const struct signing_kind *kind, struct signing_asks *a, struct err *err);

/*
 * For begin; each sets i->error when it returns ST_INVALID.
 * signing_decode(s, text, bad, ret, i): base64 onto s->in; bad: the error's text when it is malformed.
 * signing_version(p, k, s, number, i): i->version, which is thereby used today.
 * signing_error(e, err): an item's error as the call's: ST_INVALID or ST_IO.
 * signing_digest_name(op, ret, err): of a call that signs or verifies: what the path, hash_algorithm or algorithm says; else "sha2-256".
 * signing_digest_cost(alg, n): ns that a digest of n bytes takes, about.
 */
MUST_USE enum status signing_decode(struct signing *s, struct span text, const char *bad,
                                    struct signing_part *ret, struct signing_item *i);
MUST_USE enum status signing_version(const struct key_place *p, const struct named_key *k,
                                     struct signing *s, int64_t number, struct signing_item *i);
enum status signing_error(const struct item_error *e, struct err *err);
MUST_USE enum status signing_digest_name(const struct op *op, struct span *ret, struct err *err);
uint64_t signing_digest_cost(enum digest_alg alg, size_t n);

/* For work: signing_bytes(b, part): until b changes.  signing_no_memory(i): its error.  For put, of calls that verify: signing_put_valid. */
struct span signing_bytes(const struct builder *b, struct signing_part part);
void signing_no_memory(struct signing_item *i);
void signing_put_valid(const struct signing *s, const struct signing_item *i, struct builder *out);

/* transit_mac.c: transit_verify_mac(op, a): verify, where it is given MACs. */
enum status transit_verify_mac(struct op *op, struct signing_asks *a);

#endif
