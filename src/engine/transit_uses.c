/*
 * Who changes what:
 *
 *   used      a generation and a number, and CLOSED while nobody may claim.  Any thread claims by compare-and-swap while the number stays <= that of reserved;
 *             the writer may go beyond (its group is not yet committed, so the loops must not).  Opening again changes the generation: one who
 *             looked before a closing cannot claim afterwards what he saw then
 *   late      of used, what was returned while CLOSED; taken off when it is opened again (what comes even later, the next time)
 *   reserved  a generation (rises with each closing) and a number; loops raise it by compare-and-swap when their snapshot shows a durable
 *             record that has more, so that one who looked before a closing cannot raise it afterwards
 *   changed   the commit number of the writer's last change: an older snapshot shows a record that no longer counts
 *   dirty     decryptions, day or late are not in the record.  Set behind the change, cleared before it is read to be written
 */
#include "engine/transit_uses.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define RECORD_VERSION 1
#define CLOSED         ((uint64_t)1 << 63)
#define NUMBER_BITS    48
#define NUMBER_MASK    (((uint64_t)1 << NUMBER_BITS) - 1)
#define GENERATION     ((uint64_t)1 << NUMBER_BITS)
#define BUCKETS        4096
#define CLOSES_AT_ONCE 64
/* Longer than any thread looks at one snapshot. */
#define IDLE_NS    (INT64_C(10) * NS_PER_S)
#define NS_PER_DAY (INT64_C(86400) * NS_PER_S)

struct uses {
	_Atomic uint64_t used;
	_Atomic uint64_t reserved;
	_Atomic uint64_t low; /* when so many are used, the next block should be reserved */
	_Atomic uint64_t changed;
	_Atomic uint64_t late;
	_Atomic uint64_t decryptions;
	_Atomic uint32_t day;
	atomic_bool dirty;
	bool
	    open; /* the writer's: the last record it made holds reserved uses; whether it was committed is not known */
	atomic_bool asked; /* in the list of those who want a block */
	struct uses *next_asked;
	int64_t idle_ns; /* the writer's: nobody but the table has held it since; 0: not known */
	atomic_uint refs;
	struct uses *next; /* in its bucket */
	struct key_id id;
	uint32_t version;
	struct span prefix, name; /* behind this struct */
};

struct uses_table {
	pthread_mutex_t lock; /* guards the buckets */
	struct uses *buckets[BUCKETS];
	size_t n;
	_Atomic(struct uses *) asked; /* pushed by loops */
	struct uses *taken;           /* the writer's: popped, of other mounts */
};

/* ---- the table ---- */

enum status uses_table_new(struct uses_table **ret)
{
	struct uses_table *t = calloc(1, sizeof *t);

	if (t == NULL)
		return ST_NOMEM;
	pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return ST_OK;
}

/* Those who asked hold a reference by the list. */
static void forget_asked(struct uses_table *t)
{
	struct uses *lists[2] = {atomic_exchange(&t->asked, NULL), t->taken};

	t->taken = NULL;
	for (size_t i = 0; i < 2; i++) {
		while (lists[i] != NULL) {
			struct uses *u = lists[i];

			lists[i] = u->next_asked;
			uses_unref(&u);
		}
	}
}

void uses_table_clear(struct uses_table *t)
{
	forget_asked(t);
	for (size_t i = 0; i < BUCKETS; i++) {
		while (t->buckets[i] != NULL) {
			struct uses *u = t->buckets[i];

			t->buckets[i] = u->next;
			uses_unref(&u);
		}
	}
	t->n = 0;
}

void uses_table_free(struct uses_table **t)
{
	if (*t == NULL)
		return;
	uses_table_clear(*t);
	pthread_mutex_destroy(&(*t)->lock);
	free(*t);
	*t = NULL;
}

struct uses *uses_ref(struct uses *u)
{
	atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
	return u;
}

void uses_unref(struct uses **u)
{
	struct uses *mine = *u;

	*u = NULL;
	if (mine != NULL && atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) == 1)
		free(mine);
}

/* Identifiers are random. */
static size_t bucket_of(const struct key_id *id, uint32_t version)
{
	return (((size_t)id->b[0] << 8 | id->b[1]) + version * 31u) % BUCKETS;
}

static struct uses *find(struct uses_table *t, const struct key_id *id, uint32_t version)
{
	struct uses *u = t->buckets[bucket_of(id, version)];

	while (u != NULL && (u->version != version || memcmp(u->id.b, id->b, sizeof id->b) != 0))
		u = u->next;
	return u;
}

/* In memory, with a reference; NULL: not there. */
static struct uses *lookup(struct uses_table *t, const struct uses_of *of)
{
	struct uses *u;

	pthread_mutex_lock(&t->lock);
	u = find(t, of->id, of->version);
	if (u != NULL)
		uses_ref(u);
	pthread_mutex_unlock(&t->lock);
	return u;
}

static struct uses *make(const struct uses_of *of)
{
	size_t n_prefix = of->v->n;
	struct uses *u = calloc(1, sizeof *u + n_prefix + of->name.n);
	uint8_t *text;

	if (u == NULL)
		return NULL;
	text = (uint8_t *)(u + 1);
	memcpy(text, of->v->prefix, n_prefix);
	memcpy(text + n_prefix, of->name.p, of->name.n);
	u->prefix = span_of(text, n_prefix);
	u->name = span_of(text + n_prefix, of->name.n);
	u->id = *of->id;
	u->version = of->version;
	atomic_init(&u->refs, 1);
	return u;
}

/* ---- the record ---- */

struct record {
	bool open;
	uint64_t encryptions, decryptions;
	uint32_t day;
};

#define RECORD_PATH_MAX 64

static struct span record_path(const struct key_id *id, uint32_t version,
                               char buf[static RECORD_PATH_MAX])
{
	struct builder b;

	builder_init_fixed(&b, buf, RECORD_PATH_MAX);
	builder_str(&b, "usage/");
	builder_hex(&b, span_of(id->b, sizeof id->b));
	builder_fmt(&b, "/%08x", version);
	return builder_span(&b);
}

static enum status record_read(const struct uses_of *of, struct record *ret, struct err *err)
{
	char path[RECORD_PATH_MAX];
	struct span text;
	struct cursor c;
	struct record r;
	uint8_t version, open;
	enum status st = view_get(of->v, record_path(of->id, of->version, path), &text, err);

	if (st == ST_NOT_FOUND) {
		*ret = (struct record){.open = false};
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	c = cursor_of(text);
	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_u8(&c, &open) != ST_OK || open > 1 || cursor_u64(&c, &r.encryptions) != ST_OK ||
	    cursor_u64(&c, &r.decryptions) != ST_OK || cursor_u32(&c, &r.day) != ST_OK ||
	    cursor_end(&c) != ST_OK || r.encryptions > NUMBER_MASK)
		return err_set(err, ST_CORRUPT, "the usage record of version %u is damaged",
		               of->version);
	r.open = open == 1;
	*ret = r;
	return ST_OK;
}

static enum status record_put(const struct view *v, const struct key_id *id, uint32_t version,
                              const struct record *r, struct err *err)
{
	char path[RECORD_PATH_MAX];
	uint8_t buf[32];
	struct builder b;

	builder_init_fixed(&b, buf, sizeof buf);
	builder_u8(&b, RECORD_VERSION);
	builder_u8(&b, r->open ? 1 : 0);
	builder_u64(&b, r->encryptions);
	builder_u64(&b, r->decryptions);
	builder_u32(&b, r->day);
	return view_put(v, record_path(id, version, path), builder_span(&b), err);
}

/* On the writer: what memory says, with so many encryptions; u->dirty was cleared before these were read. */
static enum status record_write(struct uses *u, const struct uses_of *of, uint64_t encryptions,
                                uint8_t open, struct err *err)
{
	const struct record r = {.open = open != 0,
	                         .encryptions = encryptions,
	                         .decryptions = atomic_load(&u->decryptions),
	                         .day = atomic_load(&u->day)};

	u->open = r.open;
	return record_put(of->v, of->id, of->version, &r, err);
}

enum status uses_write(const struct view *v, const struct key_id *id, uint32_t version,
                       const struct uses_counts *counts, struct err *err)
{
	const struct record r = {.encryptions = counts->encryptions,
	                         .decryptions = counts->decryptions,
	                         .day = counts->last_day};

	return record_put(v, id, version, &r, err);
}

enum status uses_erase(const struct view *v, const struct key_id *id, uint32_t version,
                       struct err *err)
{
	char path[RECORD_PATH_MAX];

	return view_delete(v, record_path(id, version, path), err);
}

/* ---- opening ---- */

/* What the record says, before anybody else sees it. */
static void fill(struct uses *u, const struct record *r, uint32_t today)
{
	atomic_init(&u->used, r->encryptions);
	atomic_init(&u->reserved, r->encryptions);
	atomic_init(&u->low, UINT64_MAX);
	atomic_init(&u->decryptions, r->decryptions);
	atomic_init(&u->day, r->open ? today : r->day);
	atomic_init(&u->dirty, r->open);
	u->open = r->open;
}

enum status uses_open(struct uses_table *t, const struct uses_of *of, struct uses **ret,
                      struct err *err)
{
	struct uses *u = lookup(t, of), *made;
	struct record r;
	enum status st;

	if (u != NULL) {
		*ret = u;
		return ST_OK;
	}
	st = record_read(of, &r, err);
	if (st != ST_OK)
		return st;
	made = make(of);
	if (made == NULL)
		return err_set(err, ST_NOMEM, "no memory for the counts of a key");
	fill(made, &r, of->today);
	pthread_mutex_lock(&t->lock);
	u = find(t, of->id, of->version);
	if (u == NULL) {
		struct uses **at = &t->buckets[bucket_of(of->id, of->version)];

		u = made;
		u->next = *at;
		*at = u;
		t->n++;
		made = NULL;
	}
	uses_ref(u);
	pthread_mutex_unlock(&t->lock);
	uses_unref(&made);
	*ret = u;
	return ST_OK;
}

uint32_t uses_day(int64_t now_ns)
{
	return now_ns > 0 ? (uint32_t)(now_ns / NS_PER_DAY) : 0;
}

/* ---- any thread ---- */

/* Of `used`, or of `reserved`. */
static uint64_t number_of(uint64_t v)
{
	return v & NUMBER_MASK;
}

/* What was used. */
static uint64_t used_now(const struct uses *u)
{
	uint64_t used = atomic_load(&u->used);

	return number_of(used) - atomic_load(&u->late);
}

enum status uses_claim(struct uses *u, uint64_t n)
{
	uint64_t used = atomic_load_explicit(&u->used, memory_order_acquire);

	do {
		uint64_t most = number_of(atomic_load_explicit(&u->reserved, memory_order_acquire));

		if ((used & CLOSED) != 0 || number_of(used) > most || n > most - number_of(used))
			return ST_NEEDS_WRITER;
	} while (!atomic_compare_exchange_weak_explicit(
	    &u->used, &used, used + n, memory_order_acq_rel, memory_order_acquire));
	return ST_OK;
}

void uses_return(struct uses *u, uint64_t n)
{
	uint64_t used = atomic_load_explicit(&u->used, memory_order_acquire);

	do {
		if ((used & CLOSED) != 0) {
			atomic_fetch_add(&u->late, n);
			atomic_store(&u->dirty, true);
			return;
		}
	} while (!atomic_compare_exchange_weak_explicit(
	    &u->used, &used, used - n, memory_order_acq_rel, memory_order_acquire));
}

/* At so many the next block is due: half a block before the end, a sixteenth of a small one, or of a small limit. */
static uint64_t low_mark(uint64_t reserved, uint64_t limit)
{
	uint64_t room = USES_BLOCK / 2;

	if (reserved == limit && limit / 16 < room)
		room = limit / 16;
	return reserved - room;
}

enum status uses_pull(struct uses *u, const struct uses_of *of, struct err *err)
{
	uint64_t seen = atomic_load_explicit(&u->reserved, memory_order_acquire);
	struct record r;
	enum status st;

	if (!view_durable(of->v) ||
	    view_number(of->v) < atomic_load_explicit(&u->changed, memory_order_acquire))
		return ST_NEEDS_WRITER;
	st = record_read(of, &r, err);
	if (st != ST_OK)
		return st;
	if (r.encryptions <= number_of(seen))
		return ST_NEEDS_WRITER;
	/* Whoever was faster: look again. */
	(void)atomic_compare_exchange_strong_explicit(&u->reserved, &seen,
	                                              (seen & ~NUMBER_MASK) | r.encryptions,
	                                              memory_order_acq_rel, memory_order_acquire);
	return ST_OK;
}

bool uses_wanted(struct uses_table *t, struct uses *u)
{
	uint64_t used = atomic_load_explicit(&u->used, memory_order_relaxed);

	if (number_of(used) < atomic_load_explicit(&u->low, memory_order_relaxed) ||
	    (used & CLOSED) != 0 || atomic_load_explicit(&u->asked, memory_order_relaxed) ||
	    atomic_exchange_explicit(&u->asked, true, memory_order_acq_rel))
		return false;
	uses_ref(u);
	u->next_asked = atomic_load_explicit(&t->asked, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&t->asked, &u->next_asked, u,
	                                              memory_order_release, memory_order_relaxed))
		;
	return true;
}

void uses_decrypted(struct uses *u, uint64_t n, uint32_t today)
{
	bool news = n > 0;

	if (atomic_load_explicit(&u->day, memory_order_relaxed) < today) {
		atomic_store(&u->day, today);
		news = true;
	}
	if (n > 0)
		atomic_fetch_add(&u->decryptions, n);
	if (news && !atomic_load(&u->dirty))
		atomic_store(&u->dirty, true);
}

/* ---- the writer ---- */

/* Open again: nobody can claim before the record that is now made is durable. */
static void reopen(struct uses *u)
{
	uint64_t used = atomic_load_explicit(&u->used, memory_order_relaxed);
	uint64_t generation =
	    atomic_load_explicit(&u->reserved, memory_order_relaxed) & ~NUMBER_MASK;
	uint64_t number;

	if ((used & CLOSED) == 0)
		return;
	number = number_of(used) - atomic_exchange(&u->late, 0);
	atomic_store_explicit(&u->reserved, generation | number, memory_order_release);
	atomic_store(&u->used, (generation & ~CLOSED) | number);
}

/* A record with a block beyond what is used. */
static enum status reserve_block(struct uses *u, const struct uses_of *of, uint64_t limit,
                                 struct err *err)
{
	uint64_t used = used_now(u), reserved;
	uint64_t had = number_of(atomic_load_explicit(&u->reserved, memory_order_acquire));

	reserved = (used > had ? used : had) + USES_BLOCK;
	if (reserved > limit)
		reserved = limit > used ? limit : used;
	if (reserved < had)
		reserved = had;
	atomic_store_explicit(&u->changed, view_number(of->v), memory_order_release);
	atomic_store_explicit(&u->low, low_mark(reserved, limit), memory_order_relaxed);
	atomic_store(&u->dirty, false);
	return record_write(u, of, reserved, 1, err);
}

enum status uses_reserve(struct uses *u, const struct uses_of *of, uint64_t n, uint64_t limit,
                         struct err *err)
{
	uint64_t used;

	MUST(limit > 0 && limit <= USES_LIMIT_MAX);
	if (uses_claim(u, n) == ST_OK)
		return ST_OK;
	if (used_now(u) >= limit || n > limit - used_now(u))
		return err_set(
		    err, ST_LIMIT,
		    "version %u has %llu encryptions left of the %llu it may be used for",
		    of->version,
		    (unsigned long long)(limit > used_now(u) ? limit - used_now(u) : 0),
		    (unsigned long long)limit);
	reopen(u);
	used = atomic_load_explicit(&u->used, memory_order_acquire);
	do {
		if (number_of(used) >= limit || n > limit - number_of(used))
			return err_set(err, ST_LIMIT, "version %u may not be used so often",
			               of->version);
	} while (!atomic_compare_exchange_weak_explicit(
	    &u->used, &used, used + n, memory_order_acq_rel, memory_order_acquire));
	return reserve_block(u, of, limit, err);
}

/* A whole block is left: claims were given back since the next one was asked for. */
static bool has_block(const struct uses *u)
{
	uint64_t had = number_of(atomic_load_explicit(&u->reserved, memory_order_acquire));

	return (atomic_load(&u->used) & CLOSED) == 0 && had >= used_now(u) + USES_BLOCK;
}

enum status uses_reserve_more(struct uses *u, const struct uses_of *of, uint64_t limit,
                              struct err *err)
{
	MUST(limit > 0 && limit <= USES_LIMIT_MAX);
	if (used_now(u) >= limit)
		return err_set(err, ST_LIMIT, "version %u is used up", of->version);
	if (has_block(u))
		return ST_OK;
	reopen(u);
	return reserve_block(u, of, limit, err);
}

static enum status close_uses(struct uses *u, const struct uses_of *of, struct err *err)
{
	uint64_t seen = atomic_load_explicit(&u->reserved, memory_order_relaxed);

	atomic_store(&u->dirty, false);
	atomic_fetch_or(&u->used, CLOSED);
	atomic_store_explicit(&u->changed, view_number(of->v), memory_order_release);
	atomic_store_explicit(&u->reserved, (seen & ~NUMBER_MASK) + GENERATION,
	                      memory_order_release);
	return record_write(u, of, used_now(u), 0, err);
}

/* An unclean stop left its block reserved, and nobody used it since. */
static enum status close_stored(struct uses_table *t, const struct uses_of *of, struct err *err)
{
	struct record r;
	struct uses *u;
	enum status st = record_read(of, &r, err);

	if (st != ST_OK || !r.open)
		return st;
	st = uses_open(t, of, &u, err);
	if (st != ST_OK)
		return st;
	st = close_uses(u, of, err);
	uses_unref(&u);
	return st;
}

enum status uses_close(struct uses_table *t, const struct uses_of *of, struct err *err)
{
	struct uses *u = lookup(t, of);
	enum status st = u != NULL ? close_uses(u, of, err) : close_stored(t, of, err);

	uses_unref(&u);
	return st;
}

bool uses_dirty(const struct uses *u)
{
	return atomic_load_explicit(&u->dirty, memory_order_relaxed);
}

enum status uses_flush(struct uses *u, const struct uses_of *of, struct err *err)
{
	struct record r;
	enum status st;

	if (!atomic_exchange(&u->dirty, false))
		return ST_OK;
	if ((atomic_load(&u->used) & CLOSED) != 0)
		return record_write(u, of, used_now(u), 0, err);
	st = record_read(of, &r, err);
	if (st == ST_OK)
		return record_write(u, of, r.encryptions, r.open ? 1 : 0, err);
	atomic_store(&u->dirty, true);
	return st;
}

static bool is_of(const struct uses *u, const struct view *v)
{
	return span_eq(u->prefix, span_of(v->prefix, v->n));
}

static struct uses_of whose(const struct uses *u, const struct view *v, uint32_t today)
{
	return (struct uses_of){
	    .v = v, .name = u->name, .id = &u->id, .version = u->version, .today = today};
}

struct uses *uses_next_wanted(struct uses_table *t, const struct view *v, struct uses_of *ret)
{
	struct uses *list = atomic_exchange_explicit(&t->asked, NULL, memory_order_acquire);

	while (list != NULL) {
		struct uses *u = list;

		list = u->next_asked;
		u->next_asked = t->taken;
		t->taken = u;
	}
	for (struct uses **at = &t->taken; *at != NULL; at = &(*at)->next_asked) {
		struct uses *u = *at;

		if (!is_of(u, v))
			continue;
		*at = u->next_asked;
		atomic_store_explicit(&u->asked, false, memory_order_release);
		*ret = whose(u, v, ret->today);
		return u;
	}
	return NULL;
}

/* Only the writer takes versions out of the table, and it is here: the list cannot lose what it stands on. */
enum status uses_each(struct uses_table *t, const struct view *v, uint32_t today, uses_visit *visit,
                      void *arg)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < BUCKETS; i++) {
		struct uses *u;

		pthread_mutex_lock(&t->lock);
		u = t->buckets[i];
		pthread_mutex_unlock(&t->lock);
		for (; st == ST_OK && u != NULL; u = u->next) {
			struct uses_of of = whose(u, v, today);

			if (is_of(u, v))
				st = visit(arg, u, &of);
		}
	}
	return st;
}

struct closing {
	const struct key_id *id; /* NULL: all */
	uses_there *there;
	struct err *err;
};

/* Its record says what memory says. */
static bool is_stored(const struct uses *u, const struct uses_of *of)
{
	struct err err = {0};
	struct record r;

	return record_read(of, &r, &err) == ST_OK && !r.open && r.encryptions == used_now(u) &&
	       r.decryptions == atomic_load(&u->decryptions) && r.day == atomic_load(&u->day);
}

static enum status close_one(void *arg, struct uses *u, const struct uses_of *of)
{
	struct closing *c = arg;
	enum status st;

	if (c->id != NULL && memcmp(c->id->b, u->id.b, sizeof u->id.b) != 0)
		return ST_OK;
	/* What it wrote last may have been undone or not committed: at the end that counts. */
	if (!u->open && !atomic_load(&u->dirty) && (c->id != NULL || is_stored(u, of)))
		return ST_OK;
	st = c->there(of, c->err);
	if (st == ST_OK)
		return close_uses(u, of, c->err);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status uses_close_all(struct uses_table *t, const struct view *v, const struct key_id *id,
                           uint32_t today, uses_there *there, struct err *err)
{
	struct closing c = {.id = id, .there = there, .err = err};

	return uses_each(t, v, today, close_one, &c);
}

struct evicting {
	struct uses_table *table;
	int64_t now_ns;
	uses_there *there;
	size_t closed;
	struct err *err;
};

/* Out of the table, unless somebody took hold of it just now. */
static void drop(struct uses_table *t, struct uses *u)
{
	struct uses **at = &t->buckets[bucket_of(&u->id, u->version)];

	pthread_mutex_lock(&t->lock);
	while (*at != u)
		at = &(*at)->next;
	if (atomic_load(&u->refs) == 1) {
		*at = u->next;
		t->n--;
	} else {
		u = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	uses_unref(&u);
}

/* First its exact count is written; much later, when nobody can see the record from before any more, it may go. */
static enum status evict_one(struct evicting *e, struct uses *u, const struct uses_of *of)
{
	enum status st;

	if (atomic_load(&u->refs) > 1) {
		u->idle_ns = 0;
		return ST_OK;
	}
	if (!u->open && !atomic_load(&u->dirty)) {
		if (u->idle_ns == 0)
			u->idle_ns = e->now_ns;
		else if (e->now_ns - u->idle_ns > IDLE_NS && is_stored(u, of))
			drop(e->table, u);
		return ST_OK;
	}
	if (e->closed == CLOSES_AT_ONCE)
		return ST_OK;
	e->closed++;
	u->idle_ns = e->now_ns;
	st = e->there(of, e->err);
	if (st == ST_OK)
		return close_uses(u, of, e->err);
	if (st == ST_NOT_FOUND) /* its key is gone */
		drop(e->table, u);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status uses_evict(struct uses_table *t, const struct view *v, int64_t now_ns,
                       uses_there *there, struct err *err)
{
	struct evicting e = {.table = t, .now_ns = now_ns, .there = there, .err = err};
	enum status st = ST_OK;
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = t->n;
	pthread_mutex_unlock(&t->lock);
	for (size_t i = 0; n > USES_KEPT && st == ST_OK && i < BUCKETS; i++) {
		struct uses *u, *next;

		pthread_mutex_lock(&t->lock);
		u = t->buckets[i];
		pthread_mutex_unlock(&t->lock);
		for (; st == ST_OK && u != NULL; u = next) {
			struct uses_of of = whose(u, v, uses_day(now_ns));

			next = u->next;
			if (is_of(u, v))
				st = evict_one(&e, u, &of);
		}
	}
	return st;
}

enum status uses_counts(struct uses_table *t, const struct uses_of *of, struct uses_counts *ret,
                        struct err *err)
{
	struct uses *u = lookup(t, of);
	struct record r;
	enum status st;

	if (u == NULL) {
		st = record_read(of, &r, err);
		if (st == ST_OK)
			*ret = (struct uses_counts){r.encryptions, r.decryptions,
			                            r.open ? of->today : r.day};
		return st;
	}
	*ret =
	    (struct uses_counts){used_now(u), atomic_load(&u->decryptions), atomic_load(&u->day)};
	uses_unref(&u);
	return ST_OK;
}
