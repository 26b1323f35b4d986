/*
 * Token record: 1 version 1 | 1 flags (1 renewable, 2 orphan) | 8 created | 8 creation ttl | 8 ttl | 8 expire | 8 explicit max ttl |
 * 8 period | 8 num_uses | then with 4-byte lengths: parent, accessor, display name, path, meta | 4 number of policies | each with its length.
 */
#include "core/token.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/purge.h"
#include "crypto/ct.h"

#define RECORD_VERSION 1
/* Ancestors that are followed; creating a deeper child is refused. */
#define DEPTH_MAX 64

/* ---- paths ---- */

#define TOKEN_PATH_MAX 200

struct token_path {
	char text[TOKEN_PATH_MAX];
	struct builder b;
};

static struct span path_of(struct token_path *p, const char *folder, const char *a, const char *b)
{
	builder_init_fixed(&p->b, p->text, sizeof p->text);
	builder_str(&p->b, folder);
	builder_str(&p->b, a);
	if (b != NULL) {
		builder_u8(&p->b, '/');
		builder_str(&p->b, b);
	}
	MUST(builder_status(&p->b) == ST_OK);
	return builder_span(&p->b);
}

static struct span expiry_path(struct token_path *p, int64_t expire_ns, const char *hash)
{
	builder_init_fixed(&p->b, p->text, sizeof p->text);
	builder_fmt(&p->b, "expiry/%016" PRIx64 "/%s", (uint64_t)expire_ns, hash);
	MUST(builder_status(&p->b) == ST_OK);
	return builder_span(&p->b);
}

void token_hash(const struct token_key *key, struct span text, char ret[static TOKEN_HASH_LEN + 1])
{
	uint8_t mac[SHA256_LEN];

	hmac_sha256(token_key_hmac(key), &text, 1, mac);
	ct_hex(span_of(mac, sizeof mac), ret);
	ret[TOKEN_HASH_LEN] = 0;
}

/* ---- the record ---- */

static void encode(const struct token *t, struct builder *b)
{
	builder_u8(b, RECORD_VERSION);
	builder_u8(b, (uint8_t)((t->renewable ? 1 : 0) | (t->orphan ? 2 : 0)));
	builder_u64(b, (uint64_t)t->created_ns);
	builder_u64(b, (uint64_t)t->creation_ttl_s);
	builder_u64(b, (uint64_t)t->ttl_s);
	builder_u64(b, (uint64_t)t->expire_ns);
	builder_u64(b, (uint64_t)t->explicit_max_ttl_s);
	builder_u64(b, (uint64_t)t->period_s);
	builder_u64(b, (uint64_t)t->num_uses);
	builder_lv(b, span_str(t->parent));
	builder_lv(b, span_str(t->accessor));
	builder_lv(b, t->display_name);
	builder_lv(b, t->path);
	builder_lv(b, t->meta);
	builder_u32(b, (uint32_t)t->n_policies);
	for (size_t i = 0; i < t->n_policies; i++)
		builder_lv(b, t->policies[i]);
}

static enum status get_i64(struct cursor *c, int64_t *ret)
{
	uint64_t v;
	enum status st = cursor_u64(c, &v);

	if (st == ST_OK)
		*ret = (int64_t)v;
	return st;
}

static enum status get_text(struct cursor *c, char *buf, size_t cap)
{
	struct span s;
	enum status st = cursor_lv(c, &s);

	return st == ST_OK ? span_cstr(s, buf, cap) : st;
}

/* The spans look into `record`. */
static enum status parse(struct span record, struct token *t)
{
	struct cursor c = cursor_of(record);
	uint8_t version, flags;
	uint32_t n;

	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_u8(&c, &flags) != ST_OK || get_i64(&c, &t->created_ns) != ST_OK ||
	    get_i64(&c, &t->creation_ttl_s) != ST_OK || get_i64(&c, &t->ttl_s) != ST_OK ||
	    get_i64(&c, &t->expire_ns) != ST_OK || get_i64(&c, &t->explicit_max_ttl_s) != ST_OK ||
	    get_i64(&c, &t->period_s) != ST_OK || get_i64(&c, &t->num_uses) != ST_OK ||
	    get_text(&c, t->parent, sizeof t->parent) != ST_OK ||
	    get_text(&c, t->accessor, sizeof t->accessor) != ST_OK ||
	    cursor_lv(&c, &t->display_name) != ST_OK || cursor_lv(&c, &t->path) != ST_OK ||
	    cursor_lv(&c, &t->meta) != ST_OK || cursor_u32(&c, &n) != ST_OK ||
	    n > TOKEN_POLICIES_MAX)
		return ST_CORRUPT;
	t->renewable = (flags & 1) != 0;
	t->orphan = (flags & 2) != 0;
	for (t->n_policies = 0; t->n_policies < n; t->n_policies++)
		if (cursor_lv(&c, &t->policies[t->n_policies]) != ST_OK)
			return ST_CORRUPT;
	return cursor_end(&c);
}

static enum status load(const struct view *view, const char *hash, struct span *ret_record,
                        struct token *ret, struct err *err)
{
	struct token_path p;
	struct token t = {0};
	enum status st = view_get(view, path_of(&p, "id/", hash, NULL), ret_record, err);

	if (st != ST_OK)
		return st;
	st = parse(*ret_record, &t);
	if (st != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of a token is damaged");
	memcpy(t.hash, hash, TOKEN_HASH_LEN);
	*ret = t;
	return ST_OK;
}

static bool expired(const struct token *t, int64_t now_ns)
{
	return t->expire_ns != 0 && now_ns >= t->expire_ns;
}

/* Follow the parents: all must be there and alive. */
static enum status check_ancestors(const struct view *view, const struct token *t, int64_t now_ns,
                                   int64_t *until, struct err *err)
{
	struct token at = *t;
	struct span record;
	char hash[TOKEN_HASH_LEN + 1];
	enum status st;

	for (unsigned depth = 0; at.parent[0] != 0; depth++) {
		if (depth > DEPTH_MAX)
			return ST_NOT_FOUND;
		memcpy(hash, at.parent, sizeof hash);
		st = load(view, hash, &record, &at, err);
		if (st != ST_OK)
			return st;
		if (expired(&at, now_ns))
			return ST_NOT_FOUND;
		if (at.expire_ns != 0 && at.expire_ns < *until)
			*until = at.expire_ns;
	}
	return ST_OK;
}

enum status token_find(const struct view *view, const char *hash, int64_t now_ns, struct token *ret,
                       int64_t *ret_until_ns, struct err *err)
{
	struct token t;
	struct span record;
	int64_t until;
	enum status st = load(view, hash, &record, &t, err);

	if (st != ST_OK)
		return st;
	if (expired(&t, now_ns))
		return ST_NOT_FOUND;
	until = t.expire_ns != 0 ? t.expire_ns : INT64_MAX;
	st = check_ancestors(view, &t, now_ns, &until, err);
	if (st != ST_OK)
		return st;
	/* A copy of its own: the caller keeps it longer than the transaction. */
	t.memory = malloc(record.n);
	if (t.memory == NULL)
		return err_set(err, ST_NOMEM, "no memory for a token");
	t.n_memory = record.n;
	memcpy(t.memory, record.p, record.n);
	st = parse(span_of(t.memory, record.n), &t);
	MUST(st == ST_OK);
	*ret = t;
	if (ret_until_ns != NULL)
		*ret_until_ns = until;
	return ST_OK;
}

enum status token_copy(const struct token *t, struct token *ret)
{
	struct token copy = *t;

	MUST(t->memory != NULL);
	copy.memory = malloc(t->n_memory);
	if (copy.memory == NULL)
		return ST_NOMEM;
	memcpy(copy.memory, t->memory, t->n_memory);
	MUST(parse(span_of(copy.memory, copy.n_memory), &copy) == ST_OK);
	*ret = copy;
	return ST_OK;
}

void token_free(struct token *t)
{
	free(t->memory);
	t->memory = NULL;
}

enum status token_by_accessor(const struct view *view, struct span accessor,
                              char ret[static TOKEN_HASH_LEN + 1], struct err *err)
{
	char text[TOKEN_ACCESSOR_LEN + 1];
	struct token_path p;
	struct span hash;
	enum status st;

	if (span_cstr(accessor, text, sizeof text) != ST_OK || text[0] == 0 ||
	    strchr(text, '/') != NULL)
		return ST_NOT_FOUND;
	st = view_get(view, path_of(&p, "accessor/", text, NULL), &hash, err);
	if (st != ST_OK)
		return st;
	if (hash.n != TOKEN_HASH_LEN || span_cstr(hash, ret, TOKEN_HASH_LEN + 1) != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of an accessor is damaged");
	return ST_OK;
}

/* ---- creating and changing ---- */

static enum status put_record(const struct view *view, const struct token *t, struct err *err)
{
	struct builder b = {0};
	struct token_path p;
	enum status st;

	encode(t, &b);
	st = builder_status(&b);
	if (st == ST_OK)
		st = view_put(view, path_of(&p, "id/", t->hash, NULL), builder_span(&b), err);
	builder_free(&b);
	return st;
}

static enum status put_uses(const struct view *view, const char *hash, int64_t left,
                            struct err *err)
{
	struct token_path p;
	struct builder b;
	uint8_t be[8];

	builder_init_fixed(&b, be, sizeof be);
	builder_u64(&b, (uint64_t)left);
	return view_put(view, path_of(&p, "uses/", hash, NULL), builder_span(&b), err);
}

static enum status check_depth(const struct view *view, const struct token *t, struct err *err)
{
	struct token at = *t;
	struct span record;
	char hash[TOKEN_HASH_LEN + 1];

	for (unsigned depth = 0; at.parent[0] != 0; depth++) {
		if (depth >= DEPTH_MAX)
			return err_set(err, ST_LIMIT, "a token can have at most %d ancestors",
			               DEPTH_MAX);
		memcpy(hash, at.parent, sizeof hash);
		enum status st = load(view, hash, &record, &at, err);
		if (st != ST_OK)
			return st == ST_NOT_FOUND ? err_set(err, ST_DENIED, "permission denied")
			                          : st;
	}
	return ST_OK;
}

enum status token_create(const struct view *view, const struct token_key *key,
                         const struct random *random, struct token *t, char text[static 129],
                         struct err *err)
{
	struct span nothing = span_of(NULL, 0);
	struct token_path p;
	enum status st;

	if (text[0] == 0) {
		text[0] = 's';
		text[1] = '.';
		random_text(random, random_base62, text + 2, TOKEN_TEXT_LEN - 2);
		text[TOKEN_TEXT_LEN] = 0;
	}
	random_text(random, random_base62, t->accessor, TOKEN_ACCESSOR_LEN);
	t->accessor[TOKEN_ACCESSOR_LEN] = 0;
	token_hash(key, span_str(text), t->hash);
	st = view_exists(view, path_of(&p, "id/", t->hash, NULL), err);
	if (st == ST_OK)
		return err_set(err, ST_EXISTS, "cannot create a token with a duplicate ID");
	/* What hung on the one before would come to life again, or the purge would take what hangs on this one. */
	if (st == ST_NOT_FOUND)
		st = purge_token_pending(view->txn, t->hash, err);
	if (st == ST_OK)
		return err_set(
		    err, ST_EXISTS,
		    "a token with this ID has just ended and is still being purged: try again");
	if (st == ST_NOT_FOUND)
		st = check_depth(view, t, err);
	if (st == ST_OK)
		st = put_record(view, t, err);
	if (st == ST_OK)
		st = view_put(view, path_of(&p, "accessor/", t->accessor, NULL), span_str(t->hash),
		              err);
	if (st == ST_OK && t->parent[0] != 0)
		st = view_put(view, path_of(&p, "child/", t->parent, t->hash), nothing, err);
	if (st == ST_OK && t->expire_ns != 0)
		st = view_put(view, expiry_path(&p, t->expire_ns, t->hash), nothing, err);
	if (st == ST_OK && t->num_uses > 0)
		st = put_uses(view, t->hash, t->num_uses, err);
	return st;
}

enum status token_update(const struct view *view, const struct token *before,
                         const struct token *after, struct err *err)
{
	struct token_path p;
	enum status st = put_record(view, after, err);

	if (st != ST_OK || before->expire_ns == after->expire_ns)
		return st;
	if (before->expire_ns != 0)
		st = view_delete(view, expiry_path(&p, before->expire_ns, before->hash), err);
	if (st == ST_OK && after->expire_ns != 0)
		st = view_put(view, expiry_path(&p, after->expire_ns, after->hash),
		              span_of(NULL, 0), err);
	return st;
}

/* ---- ending ---- */

enum status token_revoke(const struct view *view, const char *hash, struct err *err)
{
	struct token_path p;
	struct token t;
	struct span record;
	enum status st = load(view, hash, &record, &t, err);

	if (st != ST_OK)
		return st;
	st = view_delete(view, path_of(&p, "id/", hash, NULL), err);
	if (st == ST_OK)
		st = view_delete(view, path_of(&p, "accessor/", t.accessor, NULL), err);
	if (st == ST_OK && t.parent[0] != 0)
		st = view_delete(view, path_of(&p, "child/", t.parent, hash), err);
	if (st == ST_OK && t.expire_ns != 0)
		st = view_delete(view, expiry_path(&p, t.expire_ns, hash), err);
	if (st == ST_OK && t.num_uses > 0)
		st = view_delete(view, path_of(&p, "uses/", hash, NULL), err);
	return st == ST_OK ? purge_token(view->txn, hash, err) : st;
}

enum status token_uses(const struct view *view, const struct token *t, int64_t *ret,
                       struct err *err)
{
	struct token_path p;
	struct span record;
	struct cursor c;
	enum status st;

	if (t->num_uses == 0) {
		*ret = 0;
		return ST_OK;
	}
	st = view_get(view, path_of(&p, "uses/", t->hash, NULL), &record, err);
	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	return get_i64(&c, ret);
}

enum status token_use(const struct view *view, const struct token *t, int64_t *ret_left,
                      struct err *err)
{
	int64_t left;
	enum status st = token_uses(view, t, &left, err);

	if (st != ST_OK)
		return st;
	if (left <= 0)
		return ST_NOT_FOUND;
	st = put_uses(view, t->hash, left - 1, err);
	if (st == ST_OK)
		*ret_left = left - 1;
	return st;
}

/* A link in the order of expiry: below "expiry/", 16 hex digits of time, a slash, the token's hash. */
struct expiry {
	int64_t at_ns;
	char hash[TOKEN_HASH_LEN + 1];
	struct span path; /* below "expiry/"; looks at own */
	uint8_t own[STORAGE_KEY_MAX];
};

/* The storage may hold a name that we never made: it is due at once, and nobody's. */
static void read_expiry(struct expiry *e)
{
	struct cursor c = cursor_of(e->path);
	char time[17];
	struct span digits;
	uint8_t be[8], slash;
	struct builder b;

	e->at_ns = 0;
	e->hash[0] = 0;
	builder_init_fixed(&b, be, sizeof be);
	if (e->path.n != sizeof time + TOKEN_HASH_LEN || cursor_span(&c, 16, &digits) != ST_OK ||
	    builder_unhex(&b, digits) != ST_OK || cursor_u8(&c, &slash) != ST_OK || slash != '/' ||
	    span_cstr(span_from(e->path, sizeof time), e->hash, sizeof e->hash) != ST_OK)
		return;
	c = cursor_of(builder_span(&b));
	MUST(get_i64(&c, &e->at_ns) == ST_OK);
}

static enum status first_expiry(const struct view *view, struct expiry *ret, struct err *err)
{
	struct view links;
	struct span path;
	enum status st;

	view_below(&links, view, span_str("expiry/"));
	st = view_first(&links, &path, err);
	if (st != ST_OK)
		return st;
	memcpy(ret->own, path.p, path.n);
	ret->path = span_of(ret->own, path.n);
	read_expiry(ret);
	return ST_OK;
}

enum status token_next_expiry(const struct view *view, int64_t *ret_ns, struct err *err)
{
	struct expiry e;
	enum status st = first_expiry(view, &e, err);

	if (st == ST_OK || st == ST_NOT_FOUND) {
		*ret_ns = st == ST_OK ? e.at_ns : INT64_MAX;
		st = ST_OK;
	}
	return st;
}

enum status token_expire(const struct view *view, int64_t now_ns, size_t most, size_t *ret_n,
                         struct err *err)
{
	struct view links;
	struct expiry e;
	size_t n = 0;
	enum status st = ST_OK;

	view_below(&links, view, span_str("expiry/"));
	while (n < most) {
		st = first_expiry(view, &e, err);
		if (st == ST_NOT_FOUND || (st == ST_OK && e.at_ns > now_ns)) {
			st = ST_OK;
			break;
		}
		if (st == ST_OK)
			st = e.hash[0] != 0 ? token_revoke(view, e.hash, err) : ST_NOT_FOUND;
		if (st == ST_NOT_FOUND) /* a link without its token: take it away all the same */
			st = view_delete(&links, e.path, err);
		if (st != ST_OK)
			return st;
		n++;
	}
	*ret_n = n;
	return st;
}
