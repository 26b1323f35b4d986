/* What a thread knows of keys: heads and expanded versions, good as long as the stored head is the one that they were read with. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/ofb.h"
#include "crypto/pkey_text.h"
#include "engine/transit_impl.h"

/* ---- versions ---- */

const struct key_version *key_version_ref(const struct key_version *v)
{
	struct key_version *mine = (struct key_version *)(uintptr_t)v;

	atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
	return v;
}

void key_version_unref(const struct key_version **v)
{
	struct key_version *mine = (struct key_version *)(uintptr_t)*v;

	*v = NULL;
	if (mine == NULL || atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1)
		return;
	aead_key_free(&mine->aead);
	ofb_key_free(&mine->ofb);
	secret_free(&mine->material);
	secret_free(&mine->mac_key);
	pkey_unref(&mine->pkey);
	uses_unref(&mine->uses);
	free(mine);
}

static enum status expand_pkey(struct key_version *v, const struct key_type_info *info,
                               const struct version_data *d, struct err *err)
{
	enum status st;

	if (d->private_key.n == 0)
		st = pkey_from_spki(d->public_key, &v->pkey);
	else if (info->family == FAMILY_ED25519)
		st = d->private_key.n == KEY_ED25519_LEN
		         ? key_ed25519(span_of(d->private_key.p, KEY_SEED_LEN), &v->pkey)
		         : ST_CORRUPT;
	else
		st = pkey_from_pkcs8(d->private_key, PKEY_TRUSTED, &v->pkey);
	if (st == ST_OK && pkey_alg(v->pkey) != info->pkey)
		st = ST_CORRUPT;
	return st == ST_OK || st == ST_NOMEM
	           ? st
	           : err_set(err, ST_CORRUPT, "the stored key of version %u cannot be read",
	                     v->number);
}

static enum status expand_cipher(struct key_version *v, const struct key_type_info *info,
                                 const struct version_data *d, struct err *err)
{
	enum status st = ST_INVALID;

	if (info->family == FAMILY_AEAD)
		st = aead_key_new(info->aead, d->private_key, &v->aead);
	else if (d->private_key.n == info->key_len)
		st = ofb_key_new(d->private_key, &v->ofb);
	return st == ST_INVALID
	           ? err_set(err, ST_CORRUPT, "the stored key of version %u is damaged", v->number)
	           : st;
}

/* From the record to what is worked with. */
static enum status expand(struct key_version *v, const struct key_head *h,
                          const struct version_data *d, struct err *err)
{
	const struct key_type_info *info = key_type_info(h->type);
	enum status st = ST_OK;

	v->state = d->state;
	v->rewrap_only = d->rewrap_only;
	v->created_ns = d->created_ns;
	v->has_private = d->private_key.n > 0;
	if (d->state == VERSION_DESTROYED)
		return ST_OK;
	if (d->mac_key.n > 0)
		st = secret_from(d->mac_key, &v->mac_key);
	if (st != ST_OK)
		return st;
	if (h->derived)
		return secret_from(d->private_key, &v->material);
	switch (info->family) {
	case FAMILY_AEAD:
	case FAMILY_OFB:
		return expand_cipher(v, info, d, err);
	case FAMILY_HMAC:
		return ST_OK;
	case FAMILY_ED25519:
	case FAMILY_EC:
	case FAMILY_RSA:
	default:
		return expand_pkey(v, info, d, err);
	}
}

enum status key_read_version(const struct key_place *p, const struct key_id *id, uint32_t number,
                             struct version_data *ret, struct err *err)
{
	char path[KEY_PATH_MAX];
	struct span record;
	enum status st = view_get(p->view, key_version_path(id, number, path), &record, err);

	if (st != ST_OK)
		return st;
	st = key_version_decode(record, ret);
	return st == ST_OK
	           ? st
	           : err_set(err, st, "the record of version %u of a key is damaged", number);
}

static enum status version_load(const struct key_place *p, const struct named_key *k,
                                uint32_t number, struct key_version **ret, struct err *err)
{
	const struct uses_of of = key_uses_of(p, k, number);
	const struct key_version *gone;
	struct key_version *v;
	struct version_data d;
	enum status st = key_read_version(p, &k->head.id, number, &d, err);

	if (st != ST_OK)
		return st;
	v = calloc(1, sizeof *v);
	if (v == NULL)
		return err_set(err, ST_NOMEM, "no memory for a key");
	atomic_init(&v->refs, 1);
	v->id = k->head.id;
	v->number = number;
	v->seen = k->head.changes;
	st = expand(v, &k->head, &d, err);
	if (st == ST_OK)
		st = uses_open(p->transit->uses, &of, &v->uses, err);
	if (st != ST_OK) {
		gone = v;
		key_version_unref(&gone);
		return st == ST_NOMEM ? err_set(err, st, "no locked memory for a key") : st;
	}
	*ret = v;
	return ST_OK;
}

/* What was stored with it is what was read: only the head changed since. */
static enum status version_is_same(const struct key_place *p, const struct key_version *v,
                                   uint8_t stamp[static VIEW_STAMP_LEN], struct err *err)
{
	char path[KEY_PATH_MAX];

	return view_stamp(p->view, key_version_path(&v->id, v->number, path), stamp, err);
}

static void drop_versions(struct transit_thread *t)
{
	for (size_t i = 0; i < THREAD_VERSIONS; i++) {
		const struct key_version *v = t->versions[i];

		t->versions[i] = NULL;
		key_version_unref(&v);
	}
}

static struct key_version **version_slot(const struct key_place *p, const struct key_id *id,
                                         uint32_t number)
{
	size_t at = ((size_t)id->b[0] << 8 | id->b[1]) + number;

	return &p->thread->versions[at % THREAD_VERSIONS];
}

enum status key_get_version(const struct key_place *p, const struct named_key *k, uint32_t number,
                            const struct key_version **ret, struct err *err)
{
	struct key_version **at = version_slot(p, &k->head.id, number), *v = *at;
	uint8_t stamp[VIEW_STAMP_LEN];
	const struct key_version *old;
	enum status st;

	if (number == 0 || number > k->head.latest || number < k->head.min_available)
		return ST_NOT_FOUND;
	if (v != NULL && v->number == number && memcmp(v->id.b, k->head.id.b, KEY_ID_LEN) == 0) {
		/* On the writer a number may come again: what a handler changed may have been undone. */
		if (v->seen == k->head.changes && !view_can_write(p->view)) {
			*ret = v;
			return ST_OK;
		}
		st = version_is_same(p, v, stamp, err);
		if (st != ST_OK)
			return st;
		if (memcmp(stamp, v->stamp, sizeof stamp) == 0) {
			v->seen = k->head.changes;
			*ret = v;
			return ST_OK;
		}
	}
	st = version_load(p, k, number, &v, err);
	if (st == ST_NOMEM) {
		/* Lockable memory is bounded: what else is cached here has to go. */
		drop_versions(p->thread);
		st = version_load(p, k, number, &v, err);
	}
	if (st != ST_OK)
		return st;
	st = version_is_same(p, v, v->stamp, err);
	if (st != ST_OK) {
		old = v;
		key_version_unref(&old);
		return st;
	}
	old = *at;
	key_version_unref(&old);
	*at = v;
	*ret = v;
	return ST_OK;
}

/* ---- heads ---- */

static bool is_word(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

bool key_stored_valid(struct span name)
{
	if (name.n == 0 || name.n > KEY_STORED_MAX || !is_word(name.p[0]))
		return false;
	for (size_t i = 1; i < name.n; i++)
		if (!is_word(name.p[i]) && name.p[i] != '-' && name.p[i] != '.')
			return false;
	return true;
}

bool key_name_valid(struct span name)
{
	return key_stored_valid(name) && name.n <= KEY_NAME_MAX && is_word(name.p[name.n - 1]);
}

/* FNV-1a over the end of the prefix (the mount's identifier) and the name. */
static size_t slot_index(struct span prefix, struct span name)
{
	uint32_t h = UINT32_C(2166136261);

	for (size_t i = prefix.n > 16 ? prefix.n - 16 : 0; i < prefix.n; i++)
		h = (h ^ prefix.p[i]) * UINT32_C(16777619);
	for (size_t i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * UINT32_C(16777619);
	return h % THREAD_KEYS;
}

static bool slot_is(const struct key_slot *s, struct span prefix, struct span name)
{
	return s != NULL && span_eq(span_of(s->text, s->n_prefix), prefix) &&
	       span_eq(s->key.name, name);
}

static enum status slot_load(const struct key_place *p, struct span name, struct span path,
                             struct key_slot **ret, struct err *err)
{
	const struct view *v = p->view;
	struct key_slot *s;
	struct span record;
	enum status st = view_get(v, path, &record, err);

	if (st != ST_OK)
		return st;
	s = calloc(1, sizeof *s + v->n + name.n);
	if (s == NULL)
		return err_set(err, ST_NOMEM, "no memory for a key");
	memcpy(s->text, v->prefix, v->n);
	memcpy(s->text + v->n, name.p, name.n);
	s->n_prefix = v->n;
	s->key.name = span_of(s->text + v->n, name.n);
	st = key_head_decode(record, &s->key.head);
	if (st != ST_OK)
		err_set(err, st, "the record of the key is damaged");
	else
		st = view_stamp(v, path, s->stamp, err);
	if (st != ST_OK) {
		free(s);
		return st;
	}
	*ret = s;
	return ST_OK;
}

static void slot_free(struct key_slot **s)
{
	free(*s);
	*s = NULL;
}

enum status key_find(const struct key_place *p, struct span name, const struct named_key **ret,
                     struct err *err)
{
	const struct view *v = p->view;
	struct span prefix = span_of(v->prefix, v->n), path;
	struct key_slot **at = &p->thread->keys[slot_index(prefix, name)], *s = NULL;
	uint8_t stamp[VIEW_STAMP_LEN];
	char buf[KEY_PATH_MAX];
	enum status st;

	if (!key_stored_valid(name))
		return ST_NOT_FOUND;
	path = key_head_path(name, buf);
	if (slot_is(*at, prefix, name)) {
		/* The writer sees what its group changed under one and the same number. */
		if ((*at)->number == view_number(v) && !view_can_write(v)) {
			*ret = &(*at)->key;
			return ST_OK;
		}
		st = view_stamp(v, path, stamp, err);
		if (st != ST_OK) {
			slot_free(at);
			return st;
		}
		if (memcmp(stamp, (*at)->stamp, sizeof stamp) == 0) {
			(*at)->number = view_number(v);
			*ret = &(*at)->key;
			return ST_OK;
		}
	}
	st = slot_load(p, name, path, &s, err);
	if (st != ST_OK)
		return st;
	s->number = view_number(v);
	slot_free(at);
	*at = s;
	*ret = &s->key;
	return ST_OK;
}

struct key_place key_place_of(const struct op *op)
{
	return (struct key_place){.view = &op->view,
	                          .mount = op->mount->path,
	                          .transit = op->self,
	                          .thread = op->thread,
	                          .random = op->random,
	                          .now_ns = op->now_ns};
}

struct uses_of key_uses_of(const struct key_place *p, const struct named_key *k, uint32_t version)
{
	return (struct uses_of){.v = p->view,
	                        .name = k->name,
	                        .id = &k->head.id,
	                        .version = version,
	                        .today = uses_day(p->now_ns)};
}

enum status key_uses_there(const struct uses_of *of, struct err *err)
{
	char path[KEY_PATH_MAX];

	return view_exists(of->v, key_version_path(of->id, of->version, path), err);
}

uint64_t key_bound(const struct key_head *h)
{
	uint64_t bound = key_type_bound(h->type);

	if (bound == 0)
		bound = USES_LIMIT_MAX;
	return h->max_operations != 0 && h->max_operations < bound ? h->max_operations : bound;
}

/* ---- life ---- */

enum status transit_thread_new(void *self, void **ret)
{
	struct transit_thread *t = calloc(1, sizeof *t);

	if (t == NULL)
		return ST_NOMEM;
	t->transit = self;
	json_init(&t->line);
	*ret = t;
	return ST_OK;
}

void transit_thread_drop(void *thread)
{
	struct transit_thread *t = thread;

	atomic_fetch_add_explicit(&t->transit->drops, 1, memory_order_relaxed);
	for (size_t i = 0; i < THREAD_KEYS; i++)
		slot_free(&t->keys[i]);
	drop_versions(t);
	json_free(&t->line);
	free(t->items);
	t->items = NULL;
	t->n_items = 0;
}

void transit_thread_free(void **thread)
{
	if (*thread == NULL)
		return;
	transit_thread_drop(*thread);
	free(*thread);
	*thread = NULL;
}
