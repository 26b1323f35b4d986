/*
 * token: the records of tokens, changed and planted, on a transaction of the writer that is dropped afterwards.
 *
 * Input: changes (fuzz_mutate) of a token's record, its parent's, its accessor's and its count of uses; then up to six names below "sys/token/" or
 * "sys/purge/" (first byte odd) with values.  The storage is not trusted to hold only names that we made.
 *   - finding, copying, charging, updating: nothing worse than ST_CORRUPT; what is found is within its bounds; unchanged, all is as it was;
 *   - expiring comes to an end, and then nothing that should have expired is left;
 *   - purging comes to an end too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/purge.h"
#include "core/token.h"
#include "fuzz.h"
#include "lib/solo.h"

#define NOW_NS INT64_C(1800000000000000000)
#define ROOM   1024
#define KINDS  4

static struct solo solo;
static struct token_key *key;
static char hash[2][TOKEN_HASH_LEN + 1], accessor[TOKEN_ACCESSOR_LEN + 1];

/* The records that are changed, below TOKEN_PREFIX. */
static struct record {
	char path[100];
	uint8_t bytes[ROOM];
	size_t n;
} made[KINDS];

static void make_token(const struct view *v, int i)
{
	static const char *const ids[] = {"the parent", "the token"};
	struct token t = {.created_ns = NOW_NS - NS_PER_S,
	                  .creation_ttl_s = 3600,
	                  .ttl_s = 3600,
	                  .expire_ns = NOW_NS + 3600 * NS_PER_S,
	                  .num_uses = 5,
	                  .renewable = true,
	                  .orphan = i == 0,
	                  .display_name = span_str("token"),
	                  .path = span_str("auth/token/create"),
	                  .meta = span_str("{\"a\":\"b\"}"),
	                  .policies = {span_str("default"), span_str("p")},
	                  .n_policies = 2};
	char text[129] = "";
	struct err err = {0};

	memcpy(text, ids[i], strlen(ids[i]));
	if (i == 1)
		memcpy(t.parent, hash[0], sizeof t.parent);
	MUST(token_create(v, key, &solo.random.random, &t, text, &err) == ST_OK);
	memcpy(hash[i], t.hash, sizeof t.hash);
	memcpy(accessor, t.accessor, sizeof t.accessor);
}

static void keep(const struct view *v, struct record *r, const char *folder, const char *name)
{
	struct span value;
	struct err err = {0};

	(void)snprintf(r->path, sizeof r->path, "%s/%s", folder, name);
	MUST(view_get(v, span_str(r->path), &value, &err) == ST_OK && value.n <= sizeof r->bytes);
	memcpy(r->bytes, value.p, value.n);
	r->n = value.n;
}

static enum status make(void *arg, struct txn *t, struct err *err)
{
	struct view v;

	(void)arg;
	(void)err;
	view_init(&v, t, span_str(TOKEN_PREFIX));
	make_token(&v, 0);
	make_token(&v, 1);
	keep(&v, &made[0], "id", hash[1]);
	keep(&v, &made[1], "id", hash[0]);
	keep(&v, &made[2], "accessor", accessor);
	keep(&v, &made[3], "uses", hash[1]);
	return ST_OK;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_process();
	MUST(token_key_new(span_str("salt of the fuzz targets, 32 byte"), &key) == ST_OK);
	solo_init(&solo, 3);
	solo_start(&solo);
	solo_open(&solo);
	MUST(solo_write(&solo, make, NULL, NULL) == ST_OK);
	return 0;
}

/* Whether anything differs from what was made. */
static bool put_changed(const struct view *v, struct cursor *c)
{
	bool changed = false;
	struct err err = {0};

	for (int i = 0; i < KINDS; i++) {
		struct record r = made[i];

		r.n = fuzz_mutate(c, r.bytes, sizeof r.bytes, r.n);
		changed =
		    changed || !span_eq(span_of(r.bytes, r.n), span_of(made[i].bytes, made[i].n));
		MUST(view_put(v, span_str(r.path), span_of(r.bytes, r.n), &err) == ST_OK);
	}
	for (int i = 0; i < 6 && c->left > 0; i++) {
		struct view purge = *v;
		bool below_purge = fuzz_u8(c) % 2 == 1;
		struct span name = fuzz_lv(c), value = fuzz_lv(c);

		if (below_purge)
			view_init(&purge, v->txn, span_str("sys/purge/"));
		if (name.n > 0)
			MUST(view_put(&purge, name, value, &err) == ST_OK);
		changed = true;
	}
	return changed;
}

static bool mild(enum status st)
{
	return st == ST_OK || st == ST_NOT_FOUND || st == ST_CORRUPT;
}

static bool inside(const struct token *t, struct span s)
{
	return s.n == 0 || (s.p >= t->memory && s.p + s.n <= t->memory + t->n_memory);
}

static void check_found(const struct view *v, const struct token *t, int64_t until)
{
	struct token copy;
	int64_t left;
	struct err err = {0};

	MUST(memcmp(t->hash, hash[1], sizeof t->hash) == 0);
	MUST(strlen(t->parent) <= TOKEN_HASH_LEN && strlen(t->accessor) <= TOKEN_ACCESSOR_LEN);
	MUST(t->expire_ns == 0 || t->expire_ns > NOW_NS);
	MUST(until > NOW_NS && (t->expire_ns == 0 || until <= t->expire_ns));
	MUST(inside(t, t->display_name) && inside(t, t->path) && inside(t, t->meta));
	MUST(t->n_policies <= TOKEN_POLICIES_MAX);
	for (size_t i = 0; i < t->n_policies; i++)
		MUST(inside(t, t->policies[i]));
	MUST(token_copy(t, &copy) == ST_OK);
	MUST(copy.memory != t->memory && copy.n_policies == t->n_policies &&
	     span_eq(copy.meta, t->meta));
	MUST(mild(token_uses(v, t, &left, &err)));
	enum status st = token_use(v, t, &left, &err);
	MUST(mild(st) && (st != ST_OK || left >= 0));
	copy.ttl_s++;
	st = token_update(v, t, &copy, &err);
	MUST(st == ST_OK);
	token_free(&copy);
}

static void check_find(const struct view *v, bool changed)
{
	struct token t = {0};
	char by[TOKEN_HASH_LEN + 1];
	int64_t until = 0;
	struct err err = {0};
	enum status st = token_find(v, hash[1], NOW_NS, &t, &until, &err);

	MUST(mild(st) && (changed || st == ST_OK));
	if (st == ST_OK) {
		if (!changed)
			MUST(t.num_uses == 5 && t.n_policies == 2 &&
			     memcmp(t.parent, hash[0], sizeof t.parent) == 0 &&
			     span_eq_str(t.meta, "{\"a\":\"b\"}"));
		check_found(v, &t, until);
		token_free(&t);
	}
	st = token_by_accessor(v, span_str(accessor), by, &err);
	MUST(mild(st) && (changed || (st == ST_OK && strcmp(by, hash[1]) == 0)));
	if (st == ST_OK)
		MUST(strlen(by) == TOKEN_HASH_LEN);
}

static void check_expiry(const struct view *v)
{
	int64_t next;
	size_t n = 64;
	struct err err = {0};
	enum status st = ST_OK;

	for (int rounds = 0; st == ST_OK && n == 64; rounds++) {
		MUST(rounds < 4);
		st = token_expire(v, NOW_NS, 64, &n, &err);
		MUST(mild(st));
	}
	if (st == ST_OK)
		MUST(token_next_expiry(v, &next, &err) == ST_OK && next > NOW_NS);
}

static void check_purge(struct txn *t)
{
	enum status st = ST_OK;
	struct err err = {0};
	size_t n;

	for (int rounds = 0; st == ST_OK; rounds++) {
		MUST(rounds < 64);
		st = purge_slice(t, 16, &n, &err);
		MUST(mild(st));
	}
	if (st == ST_NOT_FOUND)
		MUST(purge_pending(t, &err) == ST_NOT_FOUND);
}

static enum status job(void *arg, struct txn *t, struct err *err)
{
	struct cursor *c = arg;
	struct view v;

	view_init(&v, t, span_str(TOKEN_PREFIX));
	bool changed = put_changed(&v, c);
	check_find(&v, changed);
	check_expiry(&v);
	enum status st = token_revoke(&v, hash[1], err);
	MUST(mild(st) && (changed || st == ST_OK));
	check_purge(t);
	return ST_INVALID; /* drops it all */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));

	MUST(solo_write(&solo, job, &c, NULL) == ST_INVALID);
	return 0;
}
