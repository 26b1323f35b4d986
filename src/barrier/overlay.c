#include "barrier/overlay.h"

#include <stdlib.h>
#include <string.h>

struct overlay_undo {
	struct change *change;
	struct change before;
	bool added; /* the path was not there: take it out again */
};

void overlay_init(struct overlay *o, struct arena *arena)
{
	*o = (struct overlay){.arena = arena};
}

void overlay_free(struct overlay *o)
{
	free(o->sorted);
	free(o->undo);
	*o = (struct overlay){0};
}

void overlay_reset(struct overlay *o)
{
	o->n = 0;
	o->n_undo = 0;
}

size_t overlay_from(const struct overlay *o, struct span from)
{
	size_t lo = 0, hi = o->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (span_cmp(o->sorted[mid]->path, from) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct change *overlay_find(const struct overlay *o, struct span path)
{
	size_t at = overlay_from(o, path);

	return at < o->n && span_eq(o->sorted[at]->path, path) ? o->sorted[at] : NULL;
}

static enum status arena_copy(struct arena *a, struct span s, struct span *ret)
{
	uint8_t *p = arena_alloc(a, s.n > 0 ? s.n : 1);

	if (p == NULL)
		return ST_NOMEM;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	*ret = span_of(p, s.n);
	return ST_OK;
}

/* Room for one more in both arrays, so that nothing fails halfway. */
static enum status reserve(struct overlay *o)
{
	if (o->n == o->cap) {
		size_t cap = o->cap == 0 ? 64 : o->cap * 2;
		struct change **p = realloc(o->sorted, cap * sizeof *p);

		if (p == NULL)
			return ST_NOMEM;
		o->sorted = p;
		o->cap = cap;
	}
	if (o->n_undo == o->cap_undo) {
		size_t cap = o->cap_undo == 0 ? 64 : o->cap_undo * 2;
		struct overlay_undo *p = realloc(o->undo, cap * sizeof *p);

		if (p == NULL)
			return ST_NOMEM;
		o->undo = p;
		o->cap_undo = cap;
	}
	return ST_OK;
}

static enum status set(struct overlay *o, struct span path, const struct change *now)
{
	size_t at = overlay_from(o, path);
	bool there = at < o->n && span_eq(o->sorted[at]->path, path);
	struct change *c;
	struct span own;
	enum status st = reserve(o);

	if (st != ST_OK)
		return st;
	if (there) {
		c = o->sorted[at];
		o->undo[o->n_undo++] = (struct overlay_undo){.change = c, .before = *c};
	} else {
		c = (struct change *)(void *)arena_alloc(o->arena, sizeof *c);
		if (c == NULL)
			return ST_NOMEM;
		st = arena_copy(o->arena, path, &own);
		if (st != ST_OK)
			return st;
		c->path = own;
		memmove(o->sorted + at + 1, o->sorted + at, (o->n - at) * sizeof *o->sorted);
		o->sorted[at] = c;
		o->n++;
		o->undo[o->n_undo++] = (struct overlay_undo){.change = c, .added = true};
	}
	c->value = now->value;
	c->deleted = now->deleted;
	return ST_OK;
}

enum status overlay_put(struct overlay *o, struct span path, struct span value)
{
	struct change now = {.deleted = false};
	enum status st = arena_copy(o->arena, value, &now.value);

	return st == ST_OK ? set(o, path, &now) : st;
}

enum status overlay_delete(struct overlay *o, struct span path)
{
	struct change now = {.deleted = true};

	return set(o, path, &now);
}

size_t overlay_mark(const struct overlay *o)
{
	return o->n_undo;
}

void overlay_undo(struct overlay *o, size_t mark)
{
	MUST(mark <= o->n_undo);
	while (o->n_undo > mark) {
		struct overlay_undo *u = &o->undo[--o->n_undo];

		if (u->added) {
			size_t at = overlay_from(o, u->change->path);

			MUST(at < o->n && o->sorted[at] == u->change);
			memmove(o->sorted + at, o->sorted + at + 1,
			        (o->n - at - 1) * sizeof *o->sorted);
			o->n--;
		} else {
			*u->change = u->before;
		}
	}
}
