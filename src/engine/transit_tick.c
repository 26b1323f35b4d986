/*
 * What transit does unasked, on the writer's thread, in small slices: reserve the next block of uses where half of one is left (or rotate, where the
 * limit is near), rotate keys whose time has come, write down decryptions now and then, remove records of versions that are gone.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/transit_impl.h"

#define ROTATIONS_A_TICK 16
#define RESERVES_A_TICK  64
#define FLUSH_EVERY_NS   (INT64_C(60) * NS_PER_S)
#define POSTPONE_NS      (INT64_C(3600) * NS_PER_S)
#define MAKING_NS        (INT64_C(2) * NS_PER_S) /* what an RSA key takes, about */

/* ---- blocks of uses ---- */

/* Its latest version may do no more than what is reserved: a new one before that is used. */
static bool near_limit(const struct named_key *k, uint32_t version, const struct uses_counts *c)
{
	uint64_t bound = key_bound(&k->head), room = bound / 16;

	if (room > USES_BLOCK / 2)
		room = USES_BLOCK / 2;
	return version == k->head.latest && c->encryptions + room >= bound;
}

static enum status rotate(struct key_place *p, const struct named_key *k, const char *cause,
                          struct err *err)
{
	struct key_material m = {.private_key = NULL};
	enum status st;

	if (!key_type_info(k->head.type)->slow)
		return key_rotate(p, k, NULL, cause, err);
	st = stock_take(p->transit->stock, k->head.type, &m);
	if (st == ST_OK)
		st = key_rotate(p, k, &m, cause, err);
	key_material_free(&m);
	return st;
}

static enum status reserve(struct key_place *p, struct uses *u, const struct uses_of *of,
                           struct err *err)
{
	const struct named_key *k;
	struct uses_counts counts;
	enum status st = key_find(p, of->name, &k, err);

	/* Deleted meanwhile, or another key of that name. */
	if (st == ST_NOT_FOUND || (st == ST_OK && memcmp(k->head.id.b, of->id->b, KEY_ID_LEN) != 0))
		return ST_OK;
	if (st == ST_OK)
		st = uses_counts(p->transit->uses, of, &counts, err);
	if (st != ST_OK)
		return st;
	if (near_limit(k, of->version, &counts) && !k->head.soft_deleted &&
	    (!k->head.imported || k->head.import_rotation))
		return rotate(p, k, "max_operations", err);
	st = uses_reserve_more(u, of, key_bound(&k->head), err);
	return st == ST_LIMIT ? ST_OK : st;
}

static enum status reserve_blocks(struct key_place *p, struct err *err)
{
	struct uses_table *t = p->transit->uses;
	enum status st = ST_OK;

	for (unsigned i = 0; st == ST_OK && i < RESERVES_A_TICK; i++) {
		struct uses_of of = {.today = uses_day(p->now_ns)};
		struct uses *u = uses_next_wanted(t, p->view, &of);

		if (u == NULL)
			break;
		st = reserve(p, u, &of, err);
		uses_unref(&u);
	}
	return st;
}

/* ---- keys that are due ---- */

static bool is_due_at(const struct named_key *k, struct span whole)
{
	char path[KEY_PATH_MAX];

	return k->head.due_ns != 0 && span_eq(key_due_path(k->head.due_ns, k->name, path), whole);
}

/* A time that is not the key's: planted, or of one that was postponed. */
static enum status put_right(const struct key_place *p, const struct named_key *k,
                             struct span whole, struct err *err)
{
	static const uint8_t mark = 1;
	char path[KEY_PATH_MAX];
	enum status st = view_delete(p->view, whole, err);

	if (st != ST_OK || k->head.due_ns == 0)
		return st;
	return view_put(p->view, key_due_path(k->head.due_ns, k->name, path), span_of(&mark, 1),
	                err);
}

/* A key that cannot be rotated, since a record of it is damaged, must not stop the others: it is looked at again later. */
static enum status postpone(const struct key_place *p, struct span whole, struct span name,
                            const char *why, struct err *err)
{
	static const uint8_t mark = 1;
	char path[KEY_PATH_MAX];
	enum status st = view_delete(p->view, whole, err);

	log_warn("transit", "the key %.*s is due and cannot be rotated: %s", (int)name.n,
	         (const char *)name.p, why);
	return st == ST_OK ? view_put(p->view, key_due_path(p->now_ns + POSTPONE_NS, name, path),
	                              span_of(&mark, 1), err)
	                   : st;
}

static bool is_its_own_fault(enum status st)
{
	return st == ST_CORRUPT || st == ST_INVALID || st == ST_LIMIT;
}

/* "due/TIME/": the first of the keys that are due then. */
static enum status rotate_one(struct key_place *p, struct builder *whole, struct err *err)
{
	struct first_name name;
	const struct named_key *k;
	struct err why = {0};
	enum status st = first_name_of(p->view, builder_span(whole), &name, err);

	if (st != ST_OK)
		return st;
	builder_add(whole, builder_span(&name.b));
	if (!key_stored_valid(builder_span(&name.b)))
		return first_name_remove(p->view, whole, err);
	st = key_find(p, builder_span(&name.b), &k, &why);
	if (st == ST_NOT_FOUND)
		return view_delete(p->view, builder_span(whole), err);
	if (st == ST_OK && !is_due_at(k, builder_span(whole)))
		return put_right(p, k, builder_span(whole), err);
	if (st == ST_OK)
		st = rotate(p, k, "auto_rotate_period", &why);
	if (is_its_own_fault(st))
		return postpone(p, builder_span(whole), builder_span(&name.b), err_text(&why, st),
		                err);
	return st == ST_OK || st == ST_PENDING || st == ST_BUSY
	           ? st
	           : err_set(err, st, "%s", err_text(&why, st));
}

/* Rotates what is due; *ret_next: when the next one is. */
static enum status rotate_due(struct key_place *p, int64_t *ret_next, struct err *err)
{
	for (unsigned i = 0;; i++) {
		struct first_name time;
		char text[FIRST_NAME_MAX];
		struct builder whole;
		int64_t at;
		enum status st = first_name_of(p->view, span_str(KEY_DUE), &time, err);

		*ret_next = INT64_MAX;
		if (st != ST_OK || time.b.n == 0)
			return st;
		if (key_due_parse(builder_span(&time.b), &at) != ST_OK)
			at = INT64_MIN; /* planted */
		*ret_next = at;
		if (at > p->now_ns)
			return ST_OK;
		*ret_next = INT64_MIN;
		if (i == ROTATIONS_A_TICK)
			return ST_OK;
		builder_init_fixed(&whole, text, sizeof text);
		builder_str(&whole, KEY_DUE);
		builder_add(&whole, builder_span(&time.b));
		st = at == INT64_MIN ? first_name_remove(p->view, &whole, err)
		                     : rotate_one(p, &whole, err);
		if (st == ST_PENDING || st == ST_BUSY) {
			/* its material is being made */
			*ret_next = p->now_ns + MAKING_NS;
			return ST_OK;
		}
		if (st != ST_OK)
			return st;
	}
}

/* ---- decryptions ---- */

struct flush {
	size_t n; /* counts in memory */
	struct err *err;
};

static enum status flush_one(void *arg, struct uses *u, const struct uses_of *of)
{
	struct flush *f = arg;
	enum status st;

	f->n++;
	if (!uses_dirty(u))
		return ST_OK;
	/* Of a version that is gone nothing is kept. */
	st = key_uses_there(of, f->err);
	return st == ST_OK ? uses_flush(u, of, f->err) : st == ST_NOT_FOUND ? ST_OK : st;
}

/* ---- life ---- */

static enum status tick(void *self, void *thread, const struct view *mount,
                        const struct mount_facts *facts, int64_t now_ns, int64_t *ret_next_ns,
                        struct err *err)
{
	struct key_place p = {.view = mount,
	                      .mount = facts->path,
	                      .transit = self,
	                      .thread = thread,
	                      .random = &random_system,
	                      .now_ns = now_ns};
	struct flush f = {.err = err};
	enum key_purge_state purge = KEY_PURGE_DONE;
	int64_t next = INT64_MAX;
	enum status st = reserve_blocks(&p, err);

	if (st == ST_OK)
		st = rotate_due(&p, &next, err);
	if (st == ST_OK)
		st = key_purge(&p, &purge, err);
	if (st == ST_OK)
		st = uses_each(p.transit->uses, mount, uses_day(now_ns), flush_one, &f);
	if (st == ST_OK)
		st = uses_evict(p.transit->uses, mount, now_ns, key_uses_there, err);
	if (st != ST_OK)
		return st;
	if (f.n > 0 && next > now_ns + FLUSH_EVERY_NS)
		next = now_ns + FLUSH_EVERY_NS;
	if (purge == KEY_PURGE_MORE)
		next = INT64_MIN;
	*ret_next_ns = next;
	return ST_OK;
}

static enum status closing(void *self, void *thread, const struct view *mount, struct err *err)
{
	struct transit *t = self;

	(void)thread;
	return uses_close_all(t->uses, mount, NULL, 0, key_uses_there, err);
}

static void closed(void *self)
{
	struct transit *t = self;

	uses_table_clear(t->uses);
	stock_clear(t->stock);
}

const struct engine_life transit_life = {.thread_new = transit_thread_new,
                                         .thread_drop = transit_thread_drop,
                                         .thread_free = transit_thread_free,
                                         .tick = tick,
                                         .closing = closing,
                                         .closed = closed};
