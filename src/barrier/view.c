#include "barrier/view.h"

#include <string.h>

#include "barrier/txn.h"

void view_init(struct view *v, struct txn *t, struct span prefix)
{
	MUST(prefix.n > 0 && prefix.n < VIEW_PREFIX_MAX && prefix.p[prefix.n - 1] == '/');
	v->txn = t;
	v->n = prefix.n;
	memcpy(v->prefix, prefix.p, prefix.n);
	v->prefix[prefix.n] = 0;
}

void view_below(struct view *v, const struct view *from, struct span folder)
{
	MUST(folder.n > 0 && from->n + folder.n < VIEW_PREFIX_MAX && folder.p[folder.n - 1] == '/');
	*v = *from;
	memcpy(v->prefix + v->n, folder.p, folder.n);
	v->n += folder.n;
	v->prefix[v->n] = 0;
}

/* The whole path in buf; ST_INVALID when it would be too long for the storage. */
static enum status whole(const struct view *v, struct span path,
                         uint8_t buf[static STORAGE_KEY_MAX + 1], struct span *ret, struct err *err)
{
	if (path.n == 0 || path.n > STORAGE_KEY_MAX - v->n)
		return err_set(err, ST_INVALID, "the path is too long: at most %zu bytes here",
		               STORAGE_KEY_MAX - v->n);
	memcpy(buf, v->prefix, v->n);
	memcpy(buf + v->n, path.p, path.n);
	*ret = span_of(buf, v->n + path.n);
	return ST_OK;
}

enum status view_get(const struct view *v, struct span path, struct span *ret, struct err *err)
{
	uint8_t buf[STORAGE_KEY_MAX + 1];
	struct span p;
	enum status st = whole(v, path, buf, &p, err);

	return st == ST_OK ? txn_get(v->txn, p, ret, err) : st;
}

enum status view_exists(const struct view *v, struct span path, struct err *err)
{
	uint8_t buf[STORAGE_KEY_MAX + 1];
	struct span p;
	enum status st = whole(v, path, buf, &p, err);

	return st == ST_OK ? txn_exists(v->txn, p, err) : st;
}

enum status view_put(const struct view *v, struct span path, struct span value, struct err *err)
{
	uint8_t buf[STORAGE_KEY_MAX + 1];
	struct span p;
	enum status st = whole(v, path, buf, &p, err);

	return st == ST_OK ? txn_put(v->txn, p, value, err) : st;
}

enum status view_delete(const struct view *v, struct span path, struct err *err)
{
	uint8_t buf[STORAGE_KEY_MAX + 1];
	struct span p;
	enum status st = whole(v, path, buf, &p, err);

	return st == ST_OK ? txn_delete(v->txn, p, err) : st;
}

/* The path from which a listing goes on behind `name`: just behind a record, or behind all that lies in a folder. */
static size_t behind(uint8_t *buf, size_t base, struct span name)
{
	const uint8_t *slash = memchr(name.p, '/', name.n);
	size_t n = slash != NULL ? (size_t)(slash - name.p) + 1 : name.n;

	memcpy(buf + base, name.p, n);
	if (slash != NULL)
		buf[base + n - 1] = '/' + 1;
	else
		buf[base + n++] = 0;
	return base + n;
}

enum status view_list(const struct view *v, struct span folder, struct span after, size_t limit,
                      view_visit *visit, void *arg, struct err *err)
{
	uint8_t buf[STORAGE_KEY_MAX + 2];
	struct span at, name;
	size_t base, n, given = 0;
	const uint8_t *slash;
	enum status st;

	MUST(folder.n == 0 || folder.p[folder.n - 1] == '/');
	if (folder.n > STORAGE_KEY_MAX - v->n || after.n > STORAGE_KEY_MAX - v->n - folder.n)
		return err_set(err, ST_INVALID, "the path is too long: at most %zu bytes here",
		               STORAGE_KEY_MAX - v->n);
	memcpy(buf, v->prefix, v->n);
	if (folder.n > 0)
		memcpy(buf + v->n, folder.p, folder.n);
	base = v->n + folder.n;
	n = after.n > 0 ? behind(buf, base, after) : base;
	while (limit == 0 || given < limit) {
		st = txn_next(v->txn, span_of(buf, n), &at, err);
		if (st == ST_NOT_FOUND || (st == ST_OK && !span_starts(at, span_of(buf, base))))
			return ST_OK;
		if (st != ST_OK)
			return st;
		name = span_from(at, base);
		if (name.n == 0) { /* a record of the folder's own name is not in the folder */
			buf[base] = 0;
			n = base + 1;
			continue;
		}
		slash = memchr(name.p, '/', name.n);
		if (slash != NULL)
			name.n = (size_t)(slash - name.p) + 1;
		n = behind(buf, base, name);
		given++;
		st = visit(arg, name);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

enum status view_first(const struct view *v, struct span *ret, struct err *err)
{
	struct span at, prefix = span_of(v->prefix, v->n);
	/* The prefix and its NUL: the least path below it. */
	enum status st = txn_next(v->txn, span_of(v->prefix, v->n + 1), &at, err);

	if (st != ST_OK)
		return st;
	if (!span_starts(at, prefix))
		return ST_NOT_FOUND;
	*ret = span_from(at, prefix.n);
	return ST_OK;
}

enum status view_stamp(const struct view *v, struct span path, uint8_t ret[static VIEW_STAMP_LEN],
                       struct err *err)
{
	uint8_t buf[STORAGE_KEY_MAX + 1];
	struct span p;
	enum status st = whole(v, path, buf, &p, err);

	return st == ST_OK ? txn_stamp(v->txn, p, ret, err) : st;
}

uint64_t view_number(const struct view *v)
{
	return txn_number(v->txn);
}

enum status view_note(const struct view *v, struct span text, struct err *err)
{
	return txn_note(v->txn, text, err);
}

uint8_t *view_alloc(const struct view *v, size_t n)
{
	return txn_alloc(v->txn, n);
}

bool view_can_write(const struct view *v)
{
	return txn_can_write(v->txn);
}

void *view_alloc64(const struct view *v, size_t n)
{
	return txn_alloc64(v->txn, n);
}

bool view_durable(const struct view *v)
{
	return txn_durable(v->txn);
}

int64_t view_now(const struct view *v)
{
	return txn_now(v->txn);
}

uint32_t view_term(const struct view *v)
{
	return keyring_active(txn_keyring(v->txn));
}
