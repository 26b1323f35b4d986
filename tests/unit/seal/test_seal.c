/* The seal: making shares, unsealing with them in any way, closing; shares and records that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "barrier/txn.h"
#include "crypto/ct.h"
#include "lib/solo.h"
#include "seal/seal.h"

#define SHARES_MAX 16

struct rig {
	struct solo solo;
	struct seal *seal;
	struct secret *shares[SHARES_MAX];
	unsigned n;
};

static void rig_new(struct rig *r, uint64_t seed)
{
	memset(r, 0, sizeof *r);
	solo_init(&r->solo, seed);
	assert_int_equal(seal_new(r->solo.writer, &r->solo.random.random, &r->seal, NULL), ST_OK);
	solo_start(&r->solo);
}

/* The writer and the seal end and begin anew, over the same store. */
static void rig_restart(struct rig *r)
{
	solo_restart(&r->solo);
	seal_free(&r->seal);
	assert_null(r->seal);
	assert_int_equal(seal_new(r->solo.writer, &r->solo.random.random, &r->seal, NULL), ST_OK);
	solo_start(&r->solo);
}

static void rig_free(struct rig *r)
{
	solo_free(&r->solo);
	seal_free(&r->seal);
	seal_free(&r->seal); /* of none */
	for (unsigned i = 0; i < r->n; i++)
		secret_free(&r->shares[i]);
}

/* ---- calls, each a control job ---- */

struct call {
	struct rig *rig;
	unsigned shares, threshold;
	struct span share;
	enum status populate, load; /* what these two answer */
	struct secret **ret;
};

static enum status populate(void *ctx, struct txn *t, struct err *err)
{
	const struct call *c = ctx;

	if (c->populate != ST_OK)
		return err_set(err, c->populate, "populate says so");
	return txn_put(t, span_str("a/value"), span_str("of the store"), err);
}

static enum status load(void *ctx, struct txn *t, const struct world **ret, struct err *err)
{
	const struct call *c = ctx;

	if (c->load != ST_OK)
		return err_set(err, c->load, "load says so");
	return solo_load(NULL, t, ret, err);
}

static enum status init_job(void *arg, struct txn *t, struct err *err)
{
	struct call *c = arg;

	(void)t;
	return seal_init(c->rig->seal, c->shares, c->threshold, populate, c, c->ret, err);
}

static enum status offer_job(void *arg, struct txn *t, struct err *err)
{
	struct call *c = arg;

	(void)t;
	return seal_offer(c->rig->seal, c->share, load, c, err);
}

static enum status reset_job(void *arg, struct txn *t, struct err *err)
{
	struct call *c = arg;

	(void)t;
	(void)err;
	seal_reset(c->rig->seal);
	return ST_OK;
}

static enum status close_job(void *arg, struct txn *t, struct err *err)
{
	struct call *c = arg;

	(void)t;
	(void)err;
	seal_close(c->rig->seal);
	return ST_OK;
}

static enum status init(struct rig *r, unsigned shares, unsigned threshold, struct err *err)
{
	struct call c = {.rig = r, .shares = shares, .threshold = threshold, .ret = r->shares};
	enum status st;

	assert_int_equal(r->n, 0);
	st = solo_control(&r->solo, init_job, &c, err);
	if (st == ST_OK)
		r->n = shares;
	return st;
}

static enum status offer_span(struct rig *r, struct span share, struct err *err)
{
	struct call c = {.rig = r, .share = share};

	return solo_control(&r->solo, offer_job, &c, err);
}

static enum status offer(struct rig *r, unsigned i)
{
	return offer_span(r, secret_span(r->shares[i]), NULL);
}

static void reset(struct rig *r)
{
	struct call c = {.rig = r};

	assert_int_equal(solo_control(&r->solo, reset_job, &c, NULL), ST_OK);
}

static void close_seal(struct rig *r)
{
	struct call c = {.rig = r};

	assert_int_equal(solo_control(&r->solo, close_job, &c, NULL), ST_OK);
}

static enum status value_job(void *arg, struct txn *t, struct err *err)
{
	struct span value;
	enum status st = txn_get(t, span_str("a/value"), &value, err);

	(void)arg;
	if (st == ST_OK)
		assert_true(span_eq_str(value, "of the store"));
	return st;
}

static void assert_state(const struct rig *r, enum seal_state state, unsigned progress)
{
	struct seal_status s;

	seal_status(r->seal, &s);
	assert_int_equal(s.state, state);
	assert_int_equal(s.progress, progress);
	assert_true((s.nonce[0] != '\0') == (state == SEAL_UNSEALING));
}

/* Open indeed: what was stored can be read, and only then. */
static void assert_open(struct rig *r)
{
	assert_state(r, SEAL_OPEN, 0);
	assert_int_equal(solo_write(&r->solo, value_job, NULL, NULL), ST_OK);
}

static void assert_sealed(struct rig *r)
{
	assert_state(r, SEAL_SEALED, 0);
	assert_int_equal(solo_write(&r->solo, value_job, NULL, NULL), ST_SEALED);
}

static void offer_all(struct rig *r, unsigned threshold)
{
	for (unsigned i = 0; i < threshold; i++)
		assert_int_equal(offer(r, i), ST_OK);
}

static void made(struct rig *r, unsigned shares, unsigned threshold)
{
	rig_new(r, 7);
	assert_int_equal(init(r, shares, threshold, NULL), ST_OK);
}

/* ---- making ---- */

static void before_init(void **state)
{
	static const uint8_t share[33] = {1};
	struct rig r;
	struct seal_status s;
	struct err err = {0};

	(void)state;
	rig_new(&r, 1);
	seal_status(r.seal, &s);
	assert_int_equal(s.state, SEAL_ABSENT);
	assert_int_equal(s.shares, 0);
	assert_int_equal(s.threshold, 0);
	assert_int_equal(s.progress, 0);
	assert_string_equal(s.nonce, "");
	assert_int_equal(offer_span(&r, span_of(share, sizeof share), &err), ST_UNAVAILABLE);
	assert_string_equal(err.text, "server is not yet initialized");
	reset(&r);
	close_seal(&r);
	assert_state(&r, SEAL_ABSENT, 0);
	rig_free(&r);
}

static void shares_made(void **state)
{
	struct rig r;
	struct seal_status s;

	(void)state;
	made(&r, 5, 3);
	seal_status(r.seal, &s);
	assert_int_equal(s.shares, 5);
	assert_int_equal(s.threshold, 3);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(secret_len(r.shares[i]), SEAL_SHARE_MAX);
		for (unsigned j = 0; j < i; j++)
			assert_false(ct_equal(secret_span(r.shares[i]), secret_span(r.shares[j])));
	}
	assert_sealed(&r);
	rig_free(&r);
}

/* One share is the key itself. */
static void one_share(void **state)
{
	struct rig r;

	(void)state;
	made(&r, 1, 1);
	assert_int_equal(secret_len(r.shares[0]), SEAL_KEY_LEN);
	assert_sealed(&r);
	assert_int_equal(offer(&r, 0), ST_OK);
	assert_open(&r);
	close_seal(&r);
	assert_sealed(&r);
	secret_bytes(r.shares[0])[31] ^= 1;
	assert_int_equal(offer(&r, 0), ST_INVALID);
	assert_sealed(&r);
	rig_free(&r);
}

static void twice(void **state)
{
	struct rig r;
	struct secret *other[3] = {0};
	struct call c = {.rig = &r, .shares = 3, .threshold = 2, .ret = other};
	struct err err = {0};

	(void)state;
	made(&r, 5, 3);
	assert_int_equal(solo_control(&r.solo, init_job, &c, &err), ST_EXISTS);
	assert_string_equal(err.text, "Vault is already initialized");
	for (size_t i = 0; i < 3; i++)
		assert_null(other[i]);
	offer_all(&r, 3);
	assert_open(&r);
	assert_int_equal(solo_control(&r.solo, init_job, &c, &err), ST_EXISTS);
	assert_open(&r);
	rig_free(&r);
}

static void numbers(void **state)
{
	static const struct {
		int64_t shares, threshold;
		const char *why;
	} bad[] = {
	    {0, 1, "shares must be at least one"},
	    {-1, 1, "shares must be at least one"},
	    {INT64_MIN, 1, "shares must be at least one"},
	    {256, 3, "shares must be less than 256"},
	    {INT64_MAX, 3, "shares must be less than 256"},
	    {3, 0, "threshold must be at least one"},
	    {3, -5, "threshold must be at least one"},
	    {3, 4, "threshold cannot be larger than shares"},
	    {1, 2, "threshold cannot be larger than shares"},
	    {3, 1, "threshold must be greater than one for multiple shares"},
	    {255, 1, "threshold must be greater than one for multiple shares"},
	};
	struct rig r;

	(void)state;
	rig_new(&r, 1);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err err = {0};

		assert_int_equal(seal_check(bad[i].shares, bad[i].threshold, &err), ST_INVALID);
		assert_non_null(strstr(err.text, bad[i].why));
		if (bad[i].shares < 0 || bad[i].shares > 300 || bad[i].threshold < 0)
			continue;
		assert_int_equal(
		    init(&r, (unsigned)bad[i].shares, (unsigned)bad[i].threshold, &err),
		    ST_INVALID);
		assert_non_null(strstr(err.text, bad[i].why));
		assert_state(&r, SEAL_ABSENT, 0);
	}
	assert_int_equal(seal_check(1, 1, NULL), ST_OK);
	assert_int_equal(seal_check(2, 2, NULL), ST_OK);
	assert_int_equal(seal_check(255, 2, NULL), ST_OK);
	assert_int_equal(seal_check(255, 255, NULL), ST_OK);
	assert_int_equal(init(&r, 2, 2, NULL), ST_OK);
	rig_free(&r);
}

/* A store that could not be filled was not made: nothing of it is left, and no share. */
static void populate_fails(void **state)
{
	struct rig r;
	struct call c = {.rig = &r, .shares = 3, .threshold = 2, .populate = ST_FULL};
	struct builder all = {0};
	struct err err = {0};

	(void)state;
	rig_new(&r, 1);
	c.ret = r.shares;
	assert_int_equal(solo_control(&r.solo, init_job, &c, &err), ST_FULL);
	assert_non_null(strstr(err.text, "populate says so"));
	for (size_t i = 0; i < 3; i++)
		assert_null(r.shares[i]);
	assert_state(&r, SEAL_ABSENT, 0);
	solo_raw_all(&r.solo, &all);
	assert_int_equal(all.n, 0);
	rig_restart(&r);
	assert_state(&r, SEAL_ABSENT, 0);
	assert_int_equal(init(&r, 3, 2, NULL), ST_OK);
	offer_all(&r, 2);
	assert_open(&r);
	builder_free(&all);
	rig_free(&r);
}

/* No share, and not the key, lies in the storage. */
static void shares_are_not_stored(void **state)
{
	static const unsigned sizes[][2] = {{1, 1}, {3, 2}};

	(void)state;
	for (size_t c = 0; c < 2; c++) {
		struct rig r;
		struct builder all = {0};

		made(&r, sizes[c][0], sizes[c][1]);
		offer_all(&r, sizes[c][1]);
		assert_open(&r);
		close_seal(&r);
		solo_raw_all(&r.solo, &all);
		assert_true(all.n > 100);
		for (unsigned i = 0; i < r.n; i++) {
			struct span s = secret_span(r.shares[i]);

			for (size_t at = 0; at + 8 <= s.n; at++)
				assert_null(memmem(all.p, all.n, s.p + at, 8));
		}
		builder_free(&all);
		rig_free(&r);
	}
}

/* ---- unsealing ---- */

static void any_three_of_five(void **state)
{
	struct rig r;

	(void)state;
	made(&r, 5, 3);
	for (unsigned a = 0; a < 5; a++) {
		for (unsigned b = 0; b < 5; b++) {
			for (unsigned c = 0; c < 5; c++) {
				if (a == b || b == c || a == c)
					continue;
				assert_int_equal(offer(&r, a), ST_OK);
				assert_state(&r, SEAL_UNSEALING, 1);
				assert_int_equal(offer(&r, b), ST_OK);
				assert_state(&r, SEAL_UNSEALING, 2);
				assert_int_equal(offer(&r, c), ST_OK);
				assert_open(&r);
				close_seal(&r);
				assert_sealed(&r);
			}
		}
	}
	rig_free(&r);
}

static void duplicates_do_not_count(void **state)
{
	struct rig r;

	(void)state;
	made(&r, 5, 3);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(offer(&r, 2), ST_OK);
		assert_state(&r, SEAL_UNSEALING, 1);
	}
	assert_int_equal(offer(&r, 4), ST_OK);
	assert_int_equal(offer(&r, 2), ST_OK);
	assert_int_equal(offer(&r, 4), ST_OK);
	assert_state(&r, SEAL_UNSEALING, 2);
	assert_int_equal(offer(&r, 0), ST_OK);
	assert_open(&r);
	rig_free(&r);
}

/* A wrong share shows only with the last one; all must be offered again, and the right ones open. */
static void wrong_shares(void **state)
{
	struct rig r;
	uint8_t wrong[SEAL_SHARE_MAX];
	struct err err = {0};

	(void)state;
	made(&r, 5, 3);
	for (size_t at = 0; at < SEAL_SHARE_MAX; at += 4) {
		memcpy(wrong, secret_span(r.shares[1]).p, sizeof wrong);
		wrong[at] ^= 0x80;
		for (unsigned place = 0; place < 3; place++) {
			enum status st = ST_OK;

			for (unsigned i = 0; i < 3; i++) {
				assert_state(&r, i == 0 ? SEAL_SEALED : SEAL_UNSEALING, i);
				assert_int_equal(st, ST_OK);
				st = i == place
				         ? offer_span(&r, span_of(wrong, sizeof wrong), &err)
				         : offer_span(&r, secret_span(r.shares[i == 1 ? 3 : i]),
				                      &err);
			}
			assert_int_equal(st, ST_INVALID);
			assert_true(err.text[0] != '\0');
			assert_sealed(&r);
		}
	}
	offer_all(&r, 3);
	assert_open(&r);
	rig_free(&r);
}

/* Of another store, made in the same way. */
static void foreign_shares(void **state)
{
	struct rig r, other;
	struct err err = {0};

	(void)state;
	made(&r, 3, 2);
	rig_new(&other, 8);
	assert_int_equal(init(&other, 3, 2, NULL), ST_OK);
	assert_int_equal(offer_span(&r, secret_span(other.shares[0]), NULL), ST_OK);
	assert_int_equal(offer_span(&r, secret_span(other.shares[1]), &err), ST_INVALID);
	assert_non_null(strstr(err.text, "not those of this store"));
	assert_sealed(&r);
	offer_all(&r, 2);
	assert_open(&r);
	rig_free(&other);
	rig_free(&r);
}

/* Two with the same x, one of x 0, one of another length: they do not fit together. */
static void shares_that_do_not_join(void **state)
{
	struct rig r;
	uint8_t odd[SEAL_SHARE_MAX];
	struct err err = {0};

	(void)state;
	made(&r, 3, 2);
	memcpy(odd, secret_span(r.shares[0]).p, sizeof odd);
	odd[0] ^= 1;
	assert_int_equal(offer(&r, 0), ST_OK);
	assert_int_equal(offer_span(&r, span_of(odd, sizeof odd), &err), ST_INVALID);
	assert_non_null(strstr(err.text, "do not fit together"));
	assert_sealed(&r);
	odd[SEAL_KEY_LEN] = 0;
	assert_int_equal(offer_span(&r, span_of(odd, sizeof odd), NULL), ST_OK);
	assert_int_equal(offer(&r, 1), ST_INVALID);
	assert_sealed(&r);
	for (size_t n = SEAL_SHARE_MIN; n < SEAL_SHARE_MAX; n++) {
		assert_int_equal(offer(&r, 0), ST_OK);
		assert_int_equal(offer_span(&r, span_of(secret_span(r.shares[1]).p, n), NULL),
		                 ST_INVALID);
		assert_sealed(&r);
	}
	offer_all(&r, 2);
	assert_open(&r);
	rig_free(&r);
}

/* What cannot be a share leaves the progress alone. */
static void short_and_long(void **state)
{
	struct rig r;
	uint8_t text[64] = {1, 2, 3};
	struct err err = {0};

	(void)state;
	made(&r, 3, 3);
	for (unsigned progress = 0; progress < 3; progress++) {
		enum seal_state s = progress == 0 ? SEAL_SEALED : SEAL_UNSEALING;

		for (size_t n = 0; n < SEAL_SHARE_MIN; n++) {
			assert_int_equal(offer_span(&r, span_of(text, n), &err), ST_INVALID);
			assert_non_null(strstr(err.text, "shorter than minimum 16 bytes"));
			assert_state(&r, s, progress);
		}
		for (size_t n = SEAL_SHARE_MAX + 1; n <= sizeof text; n++) {
			assert_int_equal(offer_span(&r, span_of(text, n), &err), ST_INVALID);
			assert_non_null(strstr(err.text, "longer than maximum 33 bytes"));
			assert_state(&r, s, progress);
		}
		assert_int_equal(offer(&r, progress), ST_OK);
	}
	assert_open(&r);
	rig_free(&r);
}

static void already_open(void **state)
{
	static const uint8_t junk[SEAL_SHARE_MAX] = {9};
	struct rig r;

	(void)state;
	made(&r, 3, 2);
	offer_all(&r, 2);
	assert_int_equal(offer(&r, 2), ST_OK);
	assert_int_equal(offer_span(&r, span_of(junk, sizeof junk), NULL), ST_OK);
	reset(&r);
	assert_open(&r);
	rig_free(&r);
}

static void one_nonce_an_unsealing(void **state)
{
	struct rig r;
	struct seal_status first, second;

	(void)state;
	made(&r, 5, 3);
	assert_int_equal(offer(&r, 0), ST_OK);
	seal_status(r.seal, &first);
	assert_int_equal(offer(&r, 1), ST_OK);
	seal_status(r.seal, &second);
	assert_string_equal(first.nonce, second.nonce);
	rig_free(&r);
}

/* Whatever becomes of an unsealing, its shares and keys are released: locked memory does not grow. */
static void nothing_is_kept(void **state)
{
	struct rig r;
	uint8_t wrong[SEAL_SHARE_MAX];
	size_t before = 0;

	(void)state;
	made(&r, 5, 3);
	memcpy(wrong, secret_span(r.shares[2]).p, sizeof wrong);
	wrong[0] ^= 1;
	for (unsigned round = 0; round < 2500; round++) {
		if (round == 40)
			before = secret_locked_bytes();
		offer_all(&r, 2);
		assert_int_equal(offer_span(&r, span_of(wrong, sizeof wrong), NULL), ST_INVALID);
		offer_all(&r, 2);
		reset(&r);
		offer_all(&r, 3);
		assert_open(&r);
		close_seal(&r);
	}
	assert_int_equal(secret_locked_bytes(), before);
	rig_free(&r);
}

static void reset_forgets(void **state)
{
	struct rig r;
	struct seal_status first, same, second;

	(void)state;
	made(&r, 3, 2);
	reset(&r);
	assert_sealed(&r);
	assert_int_equal(offer(&r, 0), ST_OK);
	seal_status(r.seal, &first);
	assert_int_equal(strlen(first.nonce), UUID_LEN);
	assert_int_equal(offer(&r, 0), ST_OK);
	seal_status(r.seal, &same);
	assert_string_equal(first.nonce, same.nonce);
	reset(&r);
	assert_sealed(&r);
	assert_int_equal(offer(&r, 1), ST_OK);
	assert_state(&r, SEAL_UNSEALING, 1);
	seal_status(r.seal, &second);
	assert_string_not_equal(first.nonce, second.nonce);
	assert_int_equal(offer(&r, 2), ST_OK);
	assert_open(&r);
	rig_free(&r);
}

/* The upper floor refuses: the store stays sealed, and may be unsealed again. */
static void load_fails(void **state)
{
	struct rig r;
	struct call c = {.rig = &r, .load = ST_CORRUPT};
	struct err err = {0};

	(void)state;
	made(&r, 3, 2);
	assert_int_equal(offer(&r, 0), ST_OK);
	c.share = secret_span(r.shares[1]);
	assert_int_equal(solo_control(&r.solo, offer_job, &c, &err), ST_CORRUPT);
	assert_non_null(strstr(err.text, "load says so"));
	assert_sealed(&r);
	offer_all(&r, 2);
	assert_open(&r);
	rig_free(&r);
}

/* ---- closing and starting again ---- */

static void closing(void **state)
{
	struct rig r;
	struct seal_status s;

	(void)state;
	made(&r, 5, 3);
	close_seal(&r); /* of a sealed one */
	assert_sealed(&r);
	assert_int_equal(offer(&r, 0), ST_OK);
	close_seal(&r); /* while unsealing: nothing was open */
	assert_state(&r, SEAL_UNSEALING, 1);
	reset(&r);
	for (unsigned round = 0; round < 3; round++) {
		offer_all(&r, 3);
		assert_open(&r);
		close_seal(&r);
		assert_sealed(&r);
		seal_status(r.seal, &s);
		assert_int_equal(s.shares, 5);
		assert_int_equal(s.threshold, 3);
		/* The keys are gone: fewer shares do not open it. */
		assert_int_equal(offer(&r, 0), ST_OK);
		assert_int_equal(offer(&r, 1), ST_OK);
		assert_state(&r, SEAL_UNSEALING, 2);
		assert_int_equal(solo_write(&r.solo, value_job, NULL, NULL), ST_SEALED);
		reset(&r);
	}
	rig_free(&r);
}

static void starting_again(void **state)
{
	struct rig r;
	struct seal_status s;

	(void)state;
	made(&r, 5, 3);
	rig_restart(&r);
	seal_status(r.seal, &s);
	assert_int_equal(s.shares, 5);
	assert_int_equal(s.threshold, 3);
	assert_sealed(&r);
	offer_all(&r, 2);
	rig_restart(&r); /* progress does not survive */
	assert_sealed(&r);
	offer_all(&r, 3);
	assert_open(&r);
	rig_restart(&r); /* an open one comes up sealed */
	assert_sealed(&r);
	offer_all(&r, 3);
	assert_open(&r);
	rig_free(&r);
}

/* ---- damaged records ---- */

static enum status new_seal_over(struct rig *r, struct span config, struct err *err)
{
	struct seal *s = NULL;
	enum status st;

	solo_restart(&r->solo);
	solo_raw_put(&r->solo, SEAL_CONFIG_PATH, config);
	st = seal_new(r->solo.writer, &r->solo.random.random, &s, err);
	assert_true((s != NULL) == (st == ST_OK));
	seal_free(&s);
	return st;
}

static void damaged_config(void **state)
{
	static const struct {
		uint8_t record[5];
		size_t n;
	} bad[] = {
	    {{0}, 0},       {{1}, 1},       {{1, 5}, 2},      {{1, 5, 3, 0}, 4},
	    {{0, 5, 3}, 3}, {{2, 5, 3}, 3}, {{255, 5, 3}, 3}, {{1, 5, 0}, 3},
	    {{1, 0, 0}, 3}, {{1, 2, 3}, 3}, {{1, 0, 1}, 3},   {{1, 5, 3, 9, 9}, 5},
	};
	static const uint8_t good[3] = {1, 5, 3};
	struct rig r;

	(void)state;
	made(&r, 5, 3);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err err = {0};

		assert_int_equal(new_seal_over(&r, span_of(bad[i].record, bad[i].n), &err),
		                 ST_CORRUPT);
		assert_non_null(strstr(err.text, "configuration"));
	}
	assert_int_equal(new_seal_over(&r, span_of(good, sizeof good), NULL), ST_OK);
	rig_restart(&r);
	offer_all(&r, 3);
	assert_open(&r);
	rig_free(&r);
}

/* Whoever changes the threshold in the storage gains nothing: fewer shares join to another key. */
static void lowered_threshold(void **state)
{
	static const uint8_t lowered[3] = {1, 5, 2}, good[3] = {1, 5, 3};
	struct rig r;

	(void)state;
	made(&r, 5, 3);
	assert_int_equal(new_seal_over(&r, span_of(lowered, sizeof lowered), NULL), ST_OK);
	rig_restart(&r);
	assert_int_equal(offer(&r, 0), ST_OK);
	assert_int_equal(offer(&r, 1), ST_INVALID);
	assert_sealed(&r);
	assert_int_equal(new_seal_over(&r, span_of(good, sizeof good), NULL), ST_OK);
	rig_restart(&r);
	offer_all(&r, 3);
	assert_open(&r);
	rig_free(&r);
}

static void put_root(struct rig *r, struct span record)
{
	solo_raw_put(&r->solo, SEAL_ROOT_PATH, record);
}

static void assert_root_refused(struct rig *r, enum status why)
{
	struct err err = {0};

	assert_int_equal(offer(r, 0), ST_OK);
	assert_int_equal(offer_span(r, secret_span(r->shares[1]), &err), why);
	assert_true(err.text[0] != '\0');
	assert_sealed(r);
}

static void damaged_root(void **state)
{
	struct rig r;
	struct builder record = {0};

	(void)state;
	made(&r, 3, 2);
	solo_raw_get(&r.solo, SEAL_ROOT_PATH, &record);
	assert_int_equal(record.n, 4 + 1 + 12 + 32 + 16);
	for (size_t at = 0; at < record.n; at++) {
		record.p[at] ^= 0x10;
		put_root(&r, builder_span(&record));
		record.p[at] ^= 0x10;
		assert_root_refused(&r, at == 4 ? ST_CORRUPT : ST_INVALID); /* 4: the version */
	}
	for (size_t n = 0; n < record.n; n++) {
		put_root(&r, span_of(record.p, n));
		assert_root_refused(&r, ST_CORRUPT);
	}
	put_root(&r, builder_span(&record));
	offer_all(&r, 2);
	assert_open(&r);
	close_seal(&r);
	builder_u8(&record, 0);
	put_root(&r, builder_span(&record));
	assert_root_refused(&r, ST_CORRUPT);
	builder_free(&record);
	rig_free(&r);
}

static void missing_root(void **state)
{
	struct rig r;
	struct builder record = {0};
	struct err err = {0};

	(void)state;
	made(&r, 3, 2);
	solo_raw_get(&r.solo, SEAL_ROOT_PATH, &record);
	solo_raw_delete(&r.solo, SEAL_ROOT_PATH);
	assert_int_equal(offer(&r, 0), ST_OK);
	assert_int_equal(offer_span(&r, secret_span(r.shares[1]), &err), ST_CORRUPT);
	assert_non_null(strstr(err.text, "missing"));
	assert_sealed(&r);
	put_root(&r, builder_span(&record));
	offer_all(&r, 2);
	assert_open(&r);
	builder_free(&record);
	rig_free(&r);
}

/* The shares are good, the barrier refuses: a keyring from another store. */
static void foreign_keyring(void **state)
{
	struct rig r, other;
	struct builder head = {0}, own = {0};
	struct err err = {0};
	enum status st;

	(void)state;
	made(&r, 3, 2);
	rig_new(&other, 8);
	assert_int_equal(init(&other, 3, 2, NULL), ST_OK);
	solo_raw_get(&r.solo, KEYRING_HEAD_PATH, &own);
	solo_raw_get(&other.solo, KEYRING_HEAD_PATH, &head);
	solo_raw_put(&r.solo, KEYRING_HEAD_PATH, builder_span(&head));
	assert_int_equal(offer(&r, 0), ST_OK);
	st = offer_span(&r, secret_span(r.shares[1]), &err);
	assert_int_not_equal(st, ST_OK);
	assert_int_not_equal(st, ST_INVALID); /* the answer does not blame the shares */
	assert_true(err.text[0] != '\0');
	assert_sealed(&r);
	solo_raw_put(&r.solo, KEYRING_HEAD_PATH, builder_span(&own));
	offer_all(&r, 2);
	assert_open(&r);
	builder_free(&head);
	builder_free(&own);
	rig_free(&other);
	rig_free(&r);
}

/* ---- asked from elsewhere ---- */

static atomic_bool over;

/* Each state that is seen holds together. */
static void *watch(void *arg)
{
	const struct seal *seal = arg;
	uintptr_t wrong = 0;

	while (!atomic_load(&over)) {
		struct seal_status s;

		seal_status(seal, &s);
		wrong += s.shares != 3 || s.threshold != 2 || s.progress > 1;
		wrong += (s.state == SEAL_UNSEALING) != (s.progress == 1);
		wrong += (s.state == SEAL_UNSEALING) != (s.nonce[0] != '\0');
	}
	return (void *)wrong;
}

static void status_from_another_thread(void **state)
{
	struct rig r;
	pthread_t thread;
	void *wrong = NULL;

	(void)state;
	made(&r, 3, 2);
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&thread, NULL, watch, r.seal), 0);
	for (unsigned i = 0; i < 50; i++) {
		offer_all(&r, 2);
		assert_open(&r);
		close_seal(&r);
		assert_int_equal(offer(&r, 2), ST_OK);
		reset(&r);
	}
	atomic_store(&over, true);
	assert_int_equal(pthread_join(thread, &wrong), 0);
	assert_null(wrong);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(before_init),
	    cmocka_unit_test(shares_made),
	    cmocka_unit_test(one_share),
	    cmocka_unit_test(twice),
	    cmocka_unit_test(numbers),
	    cmocka_unit_test(populate_fails),
	    cmocka_unit_test(shares_are_not_stored),
	    cmocka_unit_test(any_three_of_five),
	    cmocka_unit_test(duplicates_do_not_count),
	    cmocka_unit_test(wrong_shares),
	    cmocka_unit_test(foreign_shares),
	    cmocka_unit_test(shares_that_do_not_join),
	    cmocka_unit_test(short_and_long),
	    cmocka_unit_test(already_open),
	    cmocka_unit_test(one_nonce_an_unsealing),
	    cmocka_unit_test(nothing_is_kept),
	    cmocka_unit_test(reset_forgets),
	    cmocka_unit_test(load_fails),
	    cmocka_unit_test(closing),
	    cmocka_unit_test(starting_again),
	    cmocka_unit_test(damaged_config),
	    cmocka_unit_test(lowered_threshold),
	    cmocka_unit_test(damaged_root),
	    cmocka_unit_test(missing_root),
	    cmocka_unit_test(foreign_keyring),
	    cmocka_unit_test(status_from_another_thread),
	};

	return cmocka_run_group_tests(tests, solo_process, NULL);
}
