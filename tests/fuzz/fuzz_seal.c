/*
 * seal: the two records outside the barrier, changed, and shares offered by whoever.
 *
 * Input: a byte of how (bits 0, 1: the record of the configuration, of the root key is gone), changes of both (fuzz_mutate), then up to eight offers:
 * a byte n; 0 to 4: that true share of the five (three are needed), changed as the input says; 0xff: start over; else a share of the bytes
 * that follow.
 *   - a configuration that was changed is taken or ST_CORRUPT; the state machine's invariants, which seal.c checks itself, hold throughout;
 *   - no offer is worse than ST_INVALID or ST_CORRUPT; the store opens only by true shares, over a root key record that nobody changed, and
 *     then it can be closed; with nothing changed and three true shares it does open.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "lib/solo.h"
#include "seal/seal.h"

#define SHARES    5
#define THRESHOLD 3
#define ROOM      128

static struct solo solo;
static struct secret *shares[SHARES];

struct record {
	const char *path;
	uint8_t bytes[ROOM];
	size_t n;
};
static struct record made[2] = {{.path = SEAL_CONFIG_PATH}, {.path = SEAL_ROOT_PATH}};

static enum status nothing(void *ctx, struct txn *t, struct err *err)
{
	(void)ctx;
	(void)t;
	(void)err;
	return ST_OK;
}

static enum status init(void *arg, struct txn *t, struct err *err)
{
	(void)t;
	return seal_init(arg, SHARES, THRESHOLD, nothing, NULL, shares, err);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct seal *s;

	(void)argc;
	(void)argv;
	fuzz_process();
	solo_init(&solo, 6);
	MUST(seal_new(solo.writer, &solo.random.random, &s, NULL) == ST_OK);
	solo_start(&solo);
	MUST(solo_control(&solo, init, s, NULL) == ST_OK);
	solo_restart(&solo);
	seal_free(&s);
	for (int i = 0; i < 2; i++) {
		struct builder b = {0};

		solo_raw_get(&solo, made[i].path, &b);
		MUST(b.n <= sizeof made[i].bytes);
		memcpy(made[i].bytes, b.p, b.n);
		made[i].n = b.n;
		builder_free(&b);
	}
	return 0;
}

struct siege {
	struct seal *seal;
	struct cursor *in;
	bool config_changed, root_changed;
	bool true_only;       /* since the last start, only true shares were offered */
	bool offered[SHARES]; /* which */
};

/* A share for an offer in buf; true when it is one of the five as it was made, also when the fuzzer has learnt it. */
static bool take_share(struct siege *g, uint8_t which, uint8_t *buf, struct span *ret)
{
	if (which < SHARES) {
		struct span is = secret_span(shares[which]);

		memcpy(buf, is.p, is.n);
		*ret = span_of(buf, fuzz_mutate(g->in, buf, ROOM, is.n));
	} else {
		struct span more = fuzz_span(g->in, which);

		more.n = more.n < ROOM ? more.n : ROOM;
		if (more.n > 0)
			memcpy(buf, more.p, more.n);
		*ret = span_of(buf, more.n);
	}
	for (int i = 0; i < SHARES; i++)
		if (span_eq(*ret, secret_span(shares[i]))) {
			g->offered[i] = true;
			return true;
		}
	return false;
}

static void start_over(struct siege *g)
{
	g->true_only = true;
	memset(g->offered, 0, sizeof g->offered);
}

static unsigned count(const struct siege *g)
{
	unsigned n = 0;

	for (int i = 0; i < SHARES; i++)
		n += g->offered[i];
	return n;
}

static void offer(struct siege *g, uint8_t which, struct err *err)
{
	struct seal_status before, after;
	uint8_t buf[ROOM];
	struct span share;

	bool is_true = take_share(g, which, buf, &share);
	seal_status(g->seal, &before);
	enum status st = seal_offer(g->seal, share, solo_load, NULL, err);
	seal_status(g->seal, &after);
	MUST(st == ST_OK || st == ST_INVALID || st == ST_CORRUPT || st == ST_UNAVAILABLE);
	/* a share of impossible length is refused before it counts */
	if (!is_true && after.progress != before.progress)
		g->true_only = false;
	if (!is_true && after.state == SEAL_OPEN)
		MUST(st == ST_OK && before.state == SEAL_OPEN);
	MUST(after.threshold == before.threshold && after.shares == before.shares);
	if (after.state == SEAL_OPEN) {
		MUST(!g->root_changed && count(g) >= THRESHOLD);
		seal_close(g->seal);
		start_over(g);
	} else if (g->true_only && !g->root_changed && !g->config_changed) {
		MUST(count(g) < THRESHOLD);
	}
	if (after.state == SEAL_SEALED && st != ST_OK && before.state == SEAL_UNSEALING)
		start_over(g);
}

static enum status besiege(void *arg, struct txn *t, struct err *err)
{
	struct siege *g = arg;

	(void)t;
	start_over(g);
	for (int i = 0; i < 8 && g->in->left > 0; i++) {
		uint8_t which = fuzz_u8(g->in);

		if (which == 0xff) {
			seal_reset(g->seal);
			start_over(g);
		} else {
			offer(g, which, err);
		}
	}
	seal_close(g->seal);
	return ST_OK;
}

/* true: something differs from what was made. */
static bool put_record(struct cursor *in, int i, bool gone)
{
	struct record r = made[i];

	r.n = fuzz_mutate(in, r.bytes, sizeof r.bytes, r.n);
	if (gone)
		solo_raw_delete(&solo, r.path);
	else
		solo_raw_put(&solo, r.path, span_of(r.bytes, r.n));
	return gone || !span_eq(span_of(r.bytes, r.n), span_of(made[i].bytes, made[i].n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor in = cursor_of(span_of(data, n));
	uint8_t how = fuzz_u8(&in);
	struct siege g = {.in = &in};
	struct err err = {0};

	g.config_changed = put_record(&in, 0, (how & 1) != 0);
	g.root_changed = put_record(&in, 1, (how & 2) != 0);
	enum status st = seal_new(solo.writer, &solo.random.random, &g.seal, &err);
	MUST(st == ST_OK || (st == ST_CORRUPT && g.config_changed && g.seal == NULL));
	if (st != ST_OK)
		return 0;
	solo_start(&solo);
	MUST(solo_control(&solo, besiege, &g, NULL) == ST_OK);
	solo_restart(&solo);
	seal_free(&g.seal);
	return 0;
}
