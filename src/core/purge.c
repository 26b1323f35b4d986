#include "core/purge.h"

#include <string.h>

#include "core/token.h"

#define PURGE_PREFIX     "sys/purge/"
#define CUBBYHOLE_PREFIX "logical/cubbyhole/"

static void purge_view(struct view *v, struct txn *t)
{
	view_init(v, t, span_str(PURGE_PREFIX));
}

enum status purge_prefix(struct txn *t, struct span prefix, struct err *err)
{
	struct view v;
	struct builder path = {0};
	enum status st;

	MUST(prefix.n > 0 && prefix.n < VIEW_PREFIX_MAX && prefix.p[prefix.n - 1] == '/');
	purge_view(&v, t);
	builder_str(&path, "prefix/");
	builder_hex(&path, prefix);
	st = builder_status(&path);
	if (st == ST_OK)
		st = view_put(&v, builder_span(&path), span_of(NULL, 0), err);
	builder_free(&path);
	return st;
}

/* The path of a token's mark, below the prefix. */
static struct span token_mark(const char *hash, struct builder *b,
                              char buf[static TOKEN_HASH_LEN + 16])
{
	builder_init_fixed(b, buf, TOKEN_HASH_LEN + 16);
	builder_str(b, "token/");
	builder_str(b, hash);
	MUST(builder_status(b) == ST_OK);
	return builder_span(b);
}

enum status purge_token(struct txn *t, const char *hash, struct err *err)
{
	char path[TOKEN_HASH_LEN + 16];
	struct builder b;
	struct view v;

	purge_view(&v, t);
	return view_put(&v, token_mark(hash, &b, path), span_of(NULL, 0), err);
}

enum status purge_token_pending(struct txn *t, const char *hash, struct err *err)
{
	char path[TOKEN_HASH_LEN + 16];
	struct builder b;
	struct view v;

	purge_view(&v, t);
	return view_exists(&v, token_mark(hash, &b, path), err);
}

enum status purge_pending(struct txn *t, struct err *err)
{
	struct view v;
	struct span mark;

	purge_view(&v, t);
	return view_first(&v, &mark, err);
}

static enum status slice_prefix(struct txn *t, struct span prefix, size_t most, size_t *n,
                                bool *done, struct err *err)
{
	struct view v;
	struct span path;
	uint8_t own[STORAGE_KEY_MAX];
	enum status st = ST_OK;

	view_init(&v, t, prefix);
	while (*n < most) {
		st = view_first(&v, &path, err);
		if (st == ST_NOT_FOUND) {
			*done = true;
			return ST_OK;
		}
		if (st != ST_OK)
			return st;
		memcpy(own, path.p, path.n);
		st = view_delete(&v, span_of(own, path.n), err);
		if (st != ST_OK)
			return st;
		++*n;
	}
	return ST_OK;
}

/* The children of a dead token die, each leaving a mark for its own.  A name that no token has is taken away all the same. */
static enum status slice_children(const struct view *tokens, const struct view *links, size_t most,
                                  size_t *n, bool *done, struct err *err)
{
	char hash[TOKEN_HASH_LEN + 1] = "";
	uint8_t own[STORAGE_KEY_MAX];
	struct span path;
	enum status st;

	while (*n < most) {
		st = view_first(links, &path, err);
		if (st == ST_NOT_FOUND) {
			*done = true;
			return ST_OK;
		}
		if (st != ST_OK)
			return st;
		memcpy(own, path.p, path.n);
		path = span_of(own, path.n);
		st = span_cstr(path, hash, sizeof hash) == ST_OK ? token_revoke(tokens, hash, err)
		                                                 : ST_NOT_FOUND;
		if (st == ST_NOT_FOUND)
			st = view_delete(links, path, err);
		if (st != ST_OK)
			return st;
		*n += 5;
	}
	return ST_OK;
}

/* First a dead token's children, then its cubbyhole. */
static enum status slice_token(struct txn *t, const char *hash, size_t most, size_t *n, bool *done,
                               struct err *err)
{
	char folder[2 * TOKEN_HASH_LEN];
	struct builder b;
	struct view tokens, links;
	enum status st;

	view_init(&tokens, t, span_str(TOKEN_PREFIX));
	builder_init_fixed(&b, folder, sizeof folder);
	builder_fmt(&b, "child/%s/", hash);
	MUST(builder_status(&b) == ST_OK);
	view_below(&links, &tokens, builder_span(&b));
	st = slice_children(&tokens, &links, most, n, done, err);
	if (st != ST_OK || !*done)
		return st;
	builder_init_fixed(&b, folder, sizeof folder);
	builder_fmt(&b, CUBBYHOLE_PREFIX "%s/", hash);
	MUST(builder_status(&b) == ST_OK);
	*done = false;
	return slice_prefix(t, builder_span(&b), most, n, done, err);
}

enum status purge_slice(struct txn *t, size_t most, size_t *ret_n, struct err *err)
{
	struct view v;
	struct span mark, record;
	uint8_t own[STORAGE_KEY_MAX], prefix[VIEW_PREFIX_MAX];
	char hash[TOKEN_HASH_LEN + 1];
	struct builder b;
	bool done = false;
	size_t n = 0;
	enum status st;

	purge_view(&v, t);
	st = view_first(&v, &mark, err);
	if (st != ST_OK)
		return st;
	memcpy(own, mark.p, mark.n);
	mark = span_of(own, mark.n);
	/* Anybody who can write to the storage can make a name; that its record opens says that it is ours. */
	st = view_get(&v, mark, &record, err);
	if (st != ST_OK)
		return st;
	builder_init_fixed(&b, prefix, sizeof prefix - 1);
	if (span_starts(mark, span_str("prefix/")) &&
	    builder_unhex(&b, span_from(mark, strlen("prefix/"))) == ST_OK && b.n > 0 &&
	    prefix[b.n - 1] == '/') {
		st = slice_prefix(t, builder_span(&b), most, &n, &done, err);
	} else if (span_starts(mark, span_str("token/")) &&
	           span_cstr(span_from(mark, strlen("token/")), hash, sizeof hash) == ST_OK) {
		st = slice_token(t, hash, most, &n, &done, err);
	} else {
		done = true; /* a mark of no known kind */
	}
	if (st == ST_OK && done)
		st = view_delete(&v, mark, err);
	if (st == ST_OK)
		*ret_n = n;
	return st;
}
