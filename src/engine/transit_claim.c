/* Uses of versions, claimed before anything is encrypted under them: for a run at once, on a loop; reserved, and the key rotated at its limit, on the writer. */
#include "engine/transit_crypt_impl.h"
#include "engine/transit_impl.h"

void crypt_give_back_claims(struct crypt *c)
{
	if (c->claimed != NULL)
		uses_decrypted(c->claimed->uses, 0, uses_day(c->place->now_ns));
	if (c->claims > 0)
		uses_return(c->claimed->uses, c->claims);
	c->claims = 0;
	key_version_unref(&c->claimed);
	while (c->n_pinned > 0) {
		struct crypt_pinned *p = &c->pinned[--c->n_pinned];

		uses_decrypted(p->version->uses, 0, uses_day(c->place->now_ns));
		uses_return(p->version->uses, p->claims);
		key_version_unref(&p->version);
	}
}

/* The latest version may do no more: a new one, in this transaction. */
static enum status rotate_used_up(struct crypt *c, struct err *err)
{
	struct span name = c->key->name;
	enum status st = key_rotate(c->place, c->key, NULL, "max_operations", err);

	key_version_unref(&c->to);
	if (st == ST_OK)
		st = key_find(c->place, name, &c->key, err);
	if (st == ST_OK)
		c->head = &c->key->head;
	return st;
}

static enum status claim_on_writer(struct crypt *c, struct uses *u, uint64_t n, struct err *err)
{
	const struct uses_of of = key_uses_of(c->place, c->key, c->to->number);

	return uses_reserve(u, &of, n, key_bound(c->head), err);
}

/* Of c->to. */
static enum status claim_uses(struct crypt *c, struct uses *u, uint64_t n, struct err *err)
{
	const struct uses_of of = key_uses_of(c->place, c->key, c->to->number);
	enum status st = uses_claim(u, n);

	if (st == ST_NEEDS_WRITER && !view_can_write(c->place->view)) {
		st = uses_pull(u, &of, err);
		if (st == ST_OK)
			st = uses_claim(u, n);
	} else if (st == ST_NEEDS_WRITER) {
		st = claim_on_writer(c, u, n, err);
	}
	return st;
}

static enum status claim_latest(struct crypt *c, struct op *op, uint64_t n, struct err *err)
{
	enum status st = claim_uses(c, c->to->uses, n, err);

	if (st == ST_OK && uses_wanted(c->place->transit->uses, c->to->uses))
		op->nudge = true;
	return st;
}

enum status crypt_reserve(struct crypt *c, uint32_t version, struct err *err)
{
	const struct uses_of of = key_uses_of(c->place, c->key, version);
	const struct key_version *v;
	enum status st = key_get_version(c->place, c->key, version, &v, err);

	return st == ST_OK ? uses_reserve_more(v->uses, &of, key_bound(c->head), err) : st;
}

enum status crypt_claim(struct crypt *c, struct op *op, uint64_t n, struct err *err)
{
	struct item_error e;
	enum status st;

	c->lacking = 0;
	if (n == 0)
		return ST_OK;
	if (crypt_find_version(c, c->head->latest, &c->to, &e) != ST_OK)
		return err_set(err, item_error_status(&e), "%s", e.text);
	st = claim_latest(c, op, n, err);
	if (st == ST_LIMIT && n > key_bound(c->head))
		return err_set(
		    err, ST_INVALID,
		    "more items than one version of the key may encrypt (max_operations %llu)",
		    (unsigned long long)key_bound(c->head));
	if (st == ST_LIMIT) {
		st = rotate_used_up(c, err);
		op->changed = true;
		if (st == ST_OK && crypt_find_version(c, c->head->latest, &c->to, &e) != ST_OK)
			st = err_set(err, ST_IO, "%s", e.text);
		if (st == ST_OK)
			st = claim_latest(c, op, n, err);
	}
	if (st != ST_OK)
		return st;
	c->claimed = key_version_ref(c->to);
	c->claims = n;
	return ST_OK;
}

/* An older version that an item names and may name; 0: the latest, or one that its own turn refuses. */
static uint32_t pinned_version(const struct key_head *h, const struct crypt_item *i)
{
	if (i->key_version <= 0 || i->key_version >= h->latest ||
	    i->key_version < h->min_encryption || i->key_version < h->min_available)
		return 0;
	return (uint32_t)i->key_version;
}

/* ST_NOT_FOUND: there is nothing to claim, which the items that name it will find out. */
static enum status claim_version(struct crypt *c, uint32_t number, uint64_t n)
{
	const struct uses_of of = key_uses_of(c->place, c->key, number);
	struct crypt_pinned *p = &c->pinned[c->n_pinned];
	const struct key_version *v;
	struct err err = {0};
	enum status st = key_get_version(c->place, c->key, number, &v, &err);

	if (st != ST_OK || v->state != VERSION_USABLE)
		return ST_NOT_FOUND;
	st = uses_claim(v->uses, n);
	if (st != ST_OK && uses_pull(v->uses, &of, &err) == ST_OK)
		st = uses_claim(v->uses, n);
	if (st != ST_OK)
		return st;
	*p = (struct crypt_pinned){.version = key_version_ref(v), .claims = n};
	c->n_pinned++;
	return ST_OK;
}

static enum status claim_pinned(struct crypt *c, const struct crypt_item *items, size_t n)
{
	uint32_t numbers[CRYPT_PINNED];
	uint64_t counts[CRYPT_PINNED];
	size_t known = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t number = pinned_version(c->head, &items[i]);
		size_t at = 0;

		while (number != 0 && at < known && numbers[at] != number)
			at++;
		if (number == 0)
			continue;
		if (at == CRYPT_PINNED)
			return ST_NEEDS_WRITER;
		if (at == known) {
			numbers[known] = number;
			counts[known++] = 0;
		}
		counts[at]++;
	}
	for (size_t i = 0; i < known; i++)
		if (claim_version(c, numbers[i], counts[i]) == ST_NEEDS_WRITER)
			return ST_NEEDS_WRITER;
	return ST_OK;
}

enum status crypt_claim_items(struct crypt *c, struct op *op, const struct crypt_item *items,
                              size_t n, struct err *err)
{
	uint64_t latest = 0;
	enum status st;

	for (size_t i = 0; i < n; i++)
		latest += items[i].key_version == 0 || items[i].key_version == c->head->latest;
	st = crypt_claim(c, op, latest, err);
	return st == ST_OK && latest < n && !view_can_write(c->place->view)
	           ? claim_pinned(c, items, n)
	           : st;
}

/* One encryption under c->to: of the claimed ones, or (a version that the caller named) by itself. */
enum status crypt_take_claim(struct crypt *c, struct item_error *e)
{
	struct err err = {0};
	enum status st;

	if (c->claims > 0 && c->claimed == c->to) {
		c->claims--;
		return ST_OK;
	}
	for (size_t i = 0; i < c->n_pinned; i++) {
		if (c->pinned[i].claims == 0 || c->pinned[i].version->number != c->to->number)
			continue;
		c->pinned[i].claims--;
		return ST_OK;
	}
	st = c->to->number == c->used_up ? ST_LIMIT : claim_uses(c, c->to->uses, 1, &err);
	if (st == ST_OK)
		uses_decrypted(c->to->uses, 0, uses_day(c->place->now_ns));
	if (st == ST_NEEDS_WRITER)
		c->lacking = c->to->number;
	if (st == ST_LIMIT)
		return item_fail(
		    e,
		    "this version of the key is used up: it has done max_operations encryptions");
	if (st != ST_OK && st != ST_NEEDS_WRITER)
		return item_fail_inside(e, "uses of the key could not be reserved");
	return st;
}
