/* Work of transit that takes long, on the pool: making RSA keys, and opening what was encrypted under one. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/pkey_crypt.h"
#include "engine/transit_impl.h"

struct slow_since slow_since(const struct transit *t)
{
	return (struct slow_since){.transit = t,
	                           .drops = atomic_load_explicit(&t->drops, memory_order_relaxed)};
}

bool slow_is_over(const struct slow_since *s)
{
	return s != NULL &&
	       atomic_load_explicit(&s->transit->drops, memory_order_relaxed) != s->drops;
}

/* ---- a key that a request waits for ---- */

struct making {
	struct slow slow; /* first */
	enum key_type type;
	struct key_material made;
	enum status status;
	struct err err;
};

static void make_run(struct slow *work)
{
	struct making *m = (struct making *)(void *)work;

	m->status = key_material_new(m->type, 0, &random_system, &m->made, &m->err);
}

static void make_free(struct slow **work)
{
	struct making *m = (struct making *)(void *)*work;

	*work = NULL;
	key_material_free(&m->made);
	free(m);
}

static struct making *making_new(enum key_type type)
{
	struct making *m = calloc(1, sizeof *m);

	if (m == NULL)
		return NULL;
	m->slow = (struct slow){.run = make_run, .free = make_free};
	m->type = type;
	m->status = ST_PENDING;
	return m;
}

enum status make_slowly(struct op *op, enum key_type type, struct key_material *ret,
                        struct err *err)
{
	struct making *m = (struct making *)(void *)op->slow;

	if (m != NULL && m->slow.run == make_run && m->type == type) {
		if (m->status != ST_OK)
			return err_set(err, m->status, "%s", err_text(&m->err, m->status));
		*ret = m->made;
		m->made = (struct key_material){.private_key = NULL};
		m->status = ST_CONFLICT; /* taken */
		return ST_OK;
	}
	m = making_new(type);
	if (m == NULL)
		return err_set(err, ST_NOMEM, "no memory to make a key");
	op->slow = &m->slow;
	return ST_PENDING;
}

/* ---- keys that nobody waits for ---- */

/* One of each type at a time. */
struct stocked {
	struct slow slow; /* first */
	struct transit_stock *stock;
	enum key_type type;
	struct key_material made;
	enum { STOCK_EMPTY, STOCK_MAKING, STOCK_READY } state; /* under the lock */
};

struct transit_stock {
	pthread_mutex_t
	    lock; /* guards the states; material is its maker's or, once ready, the writer's */
	const struct transit_config *config;
	struct stocked of[KEY_TYPES];
};

static void stock_run(struct slow *work)
{
	struct stocked *s = (struct stocked *)(void *)work;
	struct err err = {0};
	enum status st = key_material_new(s->type, 0, &random_system, &s->made, &err);

	pthread_mutex_lock(&s->stock->lock);
	s->state = st == ST_OK ? STOCK_READY : STOCK_EMPTY;
	pthread_mutex_unlock(&s->stock->lock);
}

/* The stock keeps it. */
static void stock_release(struct slow **work)
{
	*work = NULL;
}

enum status stock_new(const struct transit_config *config, struct transit_stock **ret)
{
	struct transit_stock *s = calloc(1, sizeof *s);

	if (s == NULL)
		return ST_NOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->config = config;
	for (size_t i = 0; i < KEY_TYPES; i++) {
		s->of[i].slow = (struct slow){.run = stock_run, .free = stock_release};
		s->of[i].stock = s;
		s->of[i].type = (enum key_type)i;
	}
	*ret = s;
	return ST_OK;
}

void stock_clear(struct transit_stock *s)
{
	for (size_t i = 0; i < KEY_TYPES; i++) {
		pthread_mutex_lock(&s->lock);
		MUST(s->of[i].state != STOCK_MAKING);
		s->of[i].state = STOCK_EMPTY;
		pthread_mutex_unlock(&s->lock);
		key_material_free(&s->of[i].made);
	}
}

void stock_free(struct transit_stock **s)
{
	if (*s == NULL)
		return;
	stock_clear(*s);
	pthread_mutex_destroy(&(*s)->lock);
	free(*s);
	*s = NULL;
}

enum status stock_take(struct transit_stock *s, enum key_type type, struct key_material *ret)
{
	struct stocked *k = &s->of[type];
	enum status st = ST_PENDING;
	bool make;

	pthread_mutex_lock(&s->lock);
	if (k->state == STOCK_READY)
		st = ST_OK;
	make = k->state == STOCK_EMPTY;
	k->state = st == ST_OK ? STOCK_EMPTY : STOCK_MAKING;
	pthread_mutex_unlock(&s->lock);
	if (st == ST_OK) {
		*ret = k->made;
		k->made = (struct key_material){.private_key = NULL};
		return ST_OK;
	}
	if (!make || s->config->make_later(s->config->ctx, &k->slow) == ST_OK)
		return ST_PENDING;
	pthread_mutex_lock(&s->lock);
	k->state = STOCK_EMPTY;
	pthread_mutex_unlock(&s->lock);
	return ST_BUSY;
}

/* ---- opening what is under an RSA key ---- */

/* One item: which version, and the bytes. */
struct opening_item {
	const struct key_version *version; /* NULL: it fails before that */
	struct builder sealed;
};

struct opening {
	struct slow slow; /* first */
	struct key_id id;
	size_t n;
	struct opening_item *items;
	struct crypt_opened *opened;
};

static void open_one(const struct opening_item *i, struct crypt_opened *ret)
{
	enum status st;

	if (i->version == NULL)
		return; /* whoever asks finds out why before he looks here */
	st = pkey_decrypt(i->version->pkey, DIGEST_SHA2_256, builder_span(&i->sealed), &ret->plain);
	if (st == ST_NOMEM)
		ret->error =
		    (struct item_error){.text = "out of memory", .internal = true, .starved = true};
}

static void open_run(struct slow *work)
{
	struct opening *o = (struct opening *)(void *)work;

	for (size_t i = 0; i < o->n; i++)
		open_one(&o->items[i], &o->opened[i]);
}

static void open_free(struct slow **work)
{
	struct opening *o = (struct opening *)(void *)*work;

	*work = NULL;
	for (size_t i = 0; o->items != NULL && i < o->n; i++) {
		key_version_unref(&o->items[i].version);
		builder_free(&o->items[i].sealed);
	}
	for (size_t i = 0; o->opened != NULL && i < o->n; i++)
		secret_free(&o->opened[i].plain);
	free(o->items);
	free(o->opened);
	free(o);
}

/* What the pool needs of one item.  One that fails here fails in the same way when its turn comes to be answered. */
static enum status collect(const struct key_place *p, const struct named_key *k,
                           const struct crypt_item *i, struct opening_item *ret, struct err *err)
{
	const struct key_version *v;
	struct item_error e;
	struct span rest;
	int64_t version;
	enum status st;

	if (text_parse(i->ciphertext, p->transit->config.manner->prefix, TEXT_CIPHERTEXT, &version,
	               &rest, &e) != ST_OK ||
	    version < 1 || version > k->head.latest)
		return ST_OK;
	st = key_get_version(p, k, (uint32_t)version, &v, err);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	st = text_unbase64(rest, &ret->sealed, &e);
	if (st == ST_OK && v->pkey != NULL && v->has_private)
		ret->version = key_version_ref(v);
	return st == ST_OK || st == ST_INVALID ? ST_OK : st;
}

enum status rsa_open(struct op *op, const struct named_key *k, struct batch *b, struct err *err)
{
	static const struct item_error failed = {.text = "failed to RSA decrypt the ciphertext"};
	struct key_place p = key_place_of(op);
	struct opening *o = (struct opening *)(void *)op->slow;
	struct slow *work;
	enum status st = ST_OK;

	if (o != NULL && o->slow.run == open_run && o->n == b->n &&
	    memcmp(o->id.b, k->head.id.b, KEY_ID_LEN) == 0) {
		b->opened = o->opened;
		return ST_OK;
	}
	o = calloc(1, sizeof *o);
	if (o == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	o->slow = (struct slow){.run = open_run, .free = open_free};
	o->id = k->head.id;
	o->n = b->n;
	o->items = calloc(b->n, sizeof *o->items);
	o->opened = calloc(b->n, sizeof *o->opened);
	if (o->items == NULL || o->opened == NULL)
		st = err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; st == ST_OK && i < b->n; i++) {
		o->opened[i].error = failed;
		st = collect(&p, k, &b->items[i], &o->items[i], err);
	}
	if (st != ST_OK) {
		work = &o->slow;
		open_free(&work);
		return st;
	}
	op->slow = &o->slow;
	return ST_PENDING;
}
