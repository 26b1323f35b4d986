/* Changes of keys: on the writer, in the transaction of the request or of a tick. */
#include <string.h>

#include "base/clock.h"
#include "crypto/pkey_text.h"
#include "engine/transit_impl.h"

/* ---- material ---- */

void key_material_free(struct key_material *m)
{
	secret_free(&m->private_key);
	secret_free(&m->mac_key);
	builder_free(&m->public_key);
}

static enum status random_secret(const struct random *random, size_t n, struct secret **ret)
{
	enum status st = secret_new(n, ret);

	if (st == ST_OK)
		random_fill(random, secret_bytes(*ret), n);
	return st;
}

static enum status pkey_material(enum key_type type, struct key_material *m)
{
	const struct key_type_info *info = key_type_info(type);
	struct pkey *k = NULL;
	enum status st = pkey_generate(info->pkey, &k);

	if (st == ST_OK)
		st = key_material_from_pkey(type, k, m);
	pkey_unref(&k);
	return st;
}

static enum status seed_and_public(const struct pkey *k, struct secret **ret)
{
	struct pkey_parts parts;
	struct secret *s = NULL;
	enum status st = pkey_parts(k, &parts);

	if (st != ST_OK)
		return st;
	MUST(parts.d.n == KEY_SEED_LEN && parts.x.n == KEY_ED25519_LEN - KEY_SEED_LEN);
	st = secret_new(KEY_ED25519_LEN, &s);
	if (st == ST_OK) {
		memcpy(secret_bytes(s), parts.d.p, KEY_SEED_LEN);
		memcpy(secret_bytes(s) + KEY_SEED_LEN, parts.x.p, KEY_ED25519_LEN - KEY_SEED_LEN);
		*ret = s;
	}
	pkey_parts_free(&parts);
	return st;
}

enum status key_material_from_pkey(enum key_type type, const struct pkey *k, struct key_material *m)
{
	enum status st = pkey_spki(k, &m->public_key);

	if (st != ST_OK || !pkey_has_private(k))
		return st;
	return key_type_info(type)->family == FAMILY_ED25519 ? seed_and_public(k, &m->private_key)
	                                                     : pkey_pkcs8(k, &m->private_key);
}

enum status key_material_new(enum key_type type, uint32_t key_size, const struct random *random,
                             struct key_material *ret, struct err *err)
{
	const struct key_type_info *info = key_type_info(type);
	struct key_material m = {.private_key = NULL};
	enum status st;

	switch (info->family) {
	case FAMILY_AEAD:
	case FAMILY_OFB:
		st = random_secret(random, info->key_len, &m.private_key);
		break;
	case FAMILY_HMAC:
		st = random_secret(random, key_size, &m.private_key);
		if (st == ST_OK)
			st = secret_from(secret_span(m.private_key), &m.mac_key);
		break;
	case FAMILY_ED25519:
	case FAMILY_EC:
	case FAMILY_RSA:
	default:
		st = pkey_material(type, &m);
		break;
	}
	if (st == ST_OK && m.mac_key == NULL)
		st = random_secret(random, KEY_MAC_LEN, &m.mac_key);
	if (st != ST_OK) {
		key_material_free(&m);
		return err_set(err, st, "a key could not be made: %s", status_text(st));
	}
	*ret = m;
	return ST_OK;
}

static struct span maybe(const struct secret *s)
{
	return s != NULL ? secret_span(s) : span_of(NULL, 0);
}

void key_material_data(const struct key_material *m, struct version_data *ret)
{
	*ret = (struct version_data){.private_key = maybe(m->private_key),
	                             .mac_key = maybe(m->mac_key),
	                             .public_key = builder_span(&m->public_key)};
}

/* ---- records ---- */

static enum status due_put(const struct key_place *p, struct span name, int64_t due_ns,
                           struct err *err)
{
	static const uint8_t mark = 1;
	char path[KEY_PATH_MAX];

	return due_ns == 0
	           ? ST_OK
	           : view_put(p->view, key_due_path(due_ns, name, path), span_of(&mark, 1), err);
}

static enum status due_drop(const struct key_place *p, struct span name, int64_t due_ns,
                            struct err *err)
{
	char path[KEY_PATH_MAX];

	return due_ns == 0 ? ST_OK : view_delete(p->view, key_due_path(due_ns, name, path), err);
}

/* When it is due by its latest version's age.  A key that may not be rotated here never is. */
static int64_t due_of(const struct key_head *h, int64_t created_ns)
{
	int64_t after;

	if (h->auto_rotate_s == 0 || h->soft_deleted || (h->imported && !h->import_rotation))
		return 0;
	after = (int64_t)h->auto_rotate_s * NS_PER_S;
	return created_ns > INT64_MAX - after ? INT64_MAX : created_ns + after;
}

static enum status put_head(const struct key_place *p, struct span name, const struct key_head *h,
                            struct err *err)
{
	uint8_t record[KEY_HEAD_MAX];
	char path[KEY_PATH_MAX];
	struct builder b;

	builder_init_fixed(&b, record, sizeof record);
	key_head_encode(h, &b);
	MUST(builder_status(&b) == ST_OK);
	return view_put(p->view, key_head_path(name, path), builder_span(&b), err);
}

/* The record is made in locked memory. */
enum status key_write_version(const struct key_place *p, const struct key_id *id, uint32_t number,
                              const struct version_data *v, struct err *err)
{
	size_t n =
	    KEY_VERSION_FIXED + v->private_key.n + v->mac_key.n + v->public_key.n + v->chain.n;
	uint8_t *room = view_alloc(p->view, n);
	char path[KEY_PATH_MAX];
	struct builder b;

	if (room == NULL)
		return err_set(err, ST_NOMEM, "no locked memory for a key");
	builder_init_fixed(&b, room, n);
	key_version_encode(v, &b);
	MUST(builder_status(&b) == ST_OK);
	return view_put(p->view, key_version_path(id, number, path), builder_span(&b), err);
}

/* The uses of a new version: its first block is part of the transaction that makes it. */
static enum status first_block(const struct key_place *p, struct span name,
                               const struct key_head *h, struct err *err)
{
	const struct uses_of of = {.v = p->view,
	                           .name = name,
	                           .id = &h->id,
	                           .version = h->latest,
	                           .today = uses_day(p->now_ns)};
	struct uses *u;
	enum status st;

	if (!key_type_info(h->type)->encrypts)
		return ST_OK;
	st = uses_open(p->transit->uses, &of, &u, err);
	if (st != ST_OK)
		return st;
	st = uses_reserve_more(u, &of, key_bound(h), err);
	uses_unref(&u);
	return st;
}

static enum status close_latest(const struct key_place *p, struct span name,
                                const struct key_head *h, struct err *err)
{
	const struct uses_of of = {.v = p->view,
	                           .name = name,
	                           .id = &h->id,
	                           .version = h->latest,
	                           .today = uses_day(p->now_ns)};

	return uses_close(p->transit->uses, &of, err);
}

/* ---- what the handlers call ---- */

enum status key_put_head(const struct key_place *p, struct span name, struct key_head *head,
                         struct err *err)
{
	struct version_data latest;
	int64_t due = 0;
	enum status st;

	if (!view_can_write(p->view))
		return ST_NEEDS_WRITER;
	st = due_drop(p, name, head->due_ns, err);
	if (st == ST_OK && head->auto_rotate_s > 0) {
		st = key_read_version(p, &head->id, head->latest, &latest, err);
		if (st == ST_OK)
			due = due_of(head, latest.created_ns);
	}
	if (st == ST_OK)
		st = due_put(p, name, due, err);
	if (st != ST_OK)
		return st;
	head->due_ns = due;
	head->changes++;
	return put_head(p, name, head, err);
}

enum status key_put_version(const struct key_place *p, struct span name, struct key_head *head,
                            uint32_t number, const struct version_data *version, struct err *err)
{
	enum status st;

	if (!view_can_write(p->view))
		return ST_NEEDS_WRITER;
	st = key_write_version(p, &head->id, number, version, err);
	return st == ST_OK ? key_put_head(p, name, head, err) : st;
}

enum status key_add_version(const struct key_place *p, struct span name, struct key_head *head,
                            struct version_data *version, struct err *err)
{
	enum status st;

	if (!view_can_write(p->view))
		return ST_NEEDS_WRITER;
	if (head->latest >= KEY_VERSIONS_MAX)
		return err_set(err, ST_LIMIT, "the key has as many versions as a key can have");
	if (version->created_ns == 0)
		version->created_ns = view_now(p->view);
	version->first_term = view_term(p->view);
	st = head->latest > 0 ? close_latest(p, name, head, err) : ST_OK;
	if (st != ST_OK)
		return st;
	head->latest++;
	st = key_write_version(p, &head->id, head->latest, version, err);
	if (st == ST_OK)
		st = first_block(p, name, head, err);
	if (st == ST_OK)
		st = key_retire_oldest(p, name, head, err);
	return st == ST_OK ? key_put_head(p, name, head, err) : st;
}

enum status key_make(const struct key_place *p, struct span name, struct key_head *head,
                     struct version_data *version, struct err *err)
{
	char path[KEY_PATH_MAX];
	enum status st;

	if (!view_can_write(p->view))
		return ST_NEEDS_WRITER;
	st = view_exists(p->view, key_head_path(name, path), err);
	if (st != ST_NOT_FOUND)
		return st == ST_OK ? ST_EXISTS : st;
	random_fill(p->random, head->id.b, sizeof head->id.b);
	head->latest = 0;
	head->min_decryption = 1;
	head->due_ns = 0;
	return key_add_version(p, name, head, version, err);
}

/* ---- removing ---- */

/* Versions that are removed at once; more of them go in slices. */
#define REMOVE_AT_ONCE 64

static enum status remove_versions(const struct key_place *p, const struct key_id *id,
                                   uint32_t from, uint32_t up_to, struct err *err)
{
	char path[KEY_PATH_MAX];
	enum status st = ST_OK;

	for (uint32_t n = from; st == ST_OK && n < up_to; n++) {
		st = view_delete(p->view, key_version_path(id, n, path), err);
		if (st == ST_OK)
			st = uses_erase(p->view, id, n, err);
	}
	return st;
}

#define TRASH "trash/"

/* A mark: versions from .. up_to are to go.  Its name holds all it says; the key's head no longer reaches them. */
static struct span trash_path(const struct key_id *id, uint32_t from, uint32_t up_to,
                              char buf[static KEY_PATH_MAX])
{
	struct builder b;

	builder_init_fixed(&b, buf, KEY_PATH_MAX);
	builder_str(&b, TRASH);
	builder_hex(&b, span_of(id->b, sizeof id->b));
	builder_fmt(&b, "-%08x-%08x", from, up_to);
	return builder_span(&b);
}

static enum status remove_or_mark(const struct key_place *p, const struct key_id *id, uint32_t from,
                                  uint32_t up_to, struct err *err)
{
	static const uint8_t mark = 1;
	char path[KEY_PATH_MAX];

	if (up_to - from <= REMOVE_AT_ONCE)
		return remove_versions(p, id, from, up_to, err);
	return view_put(p->view, trash_path(id, from, up_to, path), span_of(&mark, 1), err);
}

static enum status take_first(void *arg, struct span name)
{
	struct first_name *f = arg;

	builder_add(&f->b, name);
	return builder_status(&f->b);
}

enum status first_name_of(const struct view *v, struct span folder, struct first_name *ret,
                          struct err *err)
{
	builder_init_fixed(&ret->b, ret->text, sizeof ret->text);
	return view_list(v, folder, span_of(NULL, 0), 1, take_first, ret, err);
}

enum status first_name_remove(const struct view *v, struct builder *whole, struct err *err)
{
	struct first_name name;
	enum status st = ST_OK;

	do {
		builder_init_fixed(&name.b, name.text, sizeof name.text);
		if (whole->p[whole->n - 1] == '/')
			st = first_name_of(v, builder_span(whole), &name, err);
		builder_add(whole, builder_span(&name.b));
	} while (st == ST_OK && name.b.n > 0);
	return st == ST_OK ? view_delete(v, builder_span(whole), err) : st;
}

/* "ID-FROM-TO" as trash_path made it. */
static enum status trash_parse(struct span name, struct key_id *id, uint32_t *from, uint32_t *up_to)
{
	uint8_t raw[KEY_ID_LEN + 8];
	struct builder b;
	struct cursor c;

	builder_init_fixed(&b, raw, sizeof raw);
	if (name.n != 2 * KEY_ID_LEN + 18 || name.p[2 * KEY_ID_LEN] != '-' ||
	    name.p[2 * KEY_ID_LEN + 9] != '-' ||
	    builder_unhex(&b, span_of(name.p, 2 * KEY_ID_LEN)) != ST_OK ||
	    builder_unhex(&b, span_of(name.p + 2 * KEY_ID_LEN + 1, 8)) != ST_OK ||
	    builder_unhex(&b, span_of(name.p + 2 * KEY_ID_LEN + 10, 8)) != ST_OK)
		return ST_CORRUPT;
	c = cursor_of(builder_span(&b));
	if (cursor_copy(&c, id->b, sizeof id->b) != ST_OK || cursor_u32(&c, from) != ST_OK ||
	    cursor_u32(&c, up_to) != ST_OK || *from >= *up_to || *up_to > KEY_VERSIONS_MAX + 1)
		return ST_CORRUPT;
	return ST_OK;
}

enum status key_purge(const struct key_place *p, enum key_purge_state *ret, struct err *err)
{
	char path[FIRST_NAME_MAX];
	struct first_name name;
	struct key_id id;
	struct builder whole;
	uint32_t from, up_to, stop;
	enum status st = first_name_of(p->view, span_str(TRASH), &name, err);

	if (st != ST_OK)
		return st;
	*ret = name.b.n == 0 ? KEY_PURGE_DONE : KEY_PURGE_MORE;
	if (name.b.n == 0)
		return ST_OK;
	builder_init_fixed(&whole, path, sizeof path);
	builder_str(&whole, TRASH);
	builder_add(&whole, builder_span(&name.b));
	/* A stray name, planted in the storage, must not be met for ever. */
	if (trash_parse(builder_span(&name.b), &id, &from, &up_to) != ST_OK)
		return first_name_remove(p->view, &whole, err);
	stop = up_to - from > REMOVE_AT_ONCE ? from + REMOVE_AT_ONCE : up_to;
	st = remove_versions(p, &id, from, stop, err);
	if (st == ST_OK)
		st = view_delete(p->view, builder_span(&whole), err);
	return st == ST_OK && stop < up_to ? remove_or_mark(p, &id, stop, up_to, err) : st;
}

enum status key_trim(const struct key_place *p, const struct key_head *head, uint32_t up_to,
                     struct err *err)
{
	uint32_t from = head->min_available > 0 ? head->min_available : 1;

	if (!view_can_write(p->view))
		return ST_NEEDS_WRITER;
	return up_to > from ? remove_or_mark(p, &head->id, from, up_to, err) : ST_OK;
}

enum status key_delete(const struct key_place *p, struct span name, const struct key_head *head,
                       struct err *err)
{
	char path[KEY_PATH_MAX];
	enum status st;

	if (!view_can_write(p->view))
		return ST_NEEDS_WRITER;
	st = uses_close_all(p->transit->uses, p->view, &head->id, uses_day(p->now_ns),
	                    key_uses_there, err);
	if (st == ST_OK)
		st = key_trim(p, head, head->latest + 1, err);
	if (st == ST_OK)
		st = due_drop(p, name, head->due_ns, err);
	return st == ST_OK ? view_delete(p->view, key_head_path(name, path), err) : st;
}

/* ---- rotating ---- */

void key_note_begin(struct json_writer *w, struct builder *b, const struct key_place *p,
                    struct span name, const char *event, const char *cause)
{
	*b = (struct builder){.max = VIEW_NOTE_MAX};
	json_writer_init(w, b);
	json_begin_object(w);
	json_put_cstr(w, "event", event);
	json_put_string(w, "mount", p->mount);
	json_put_string(w, "key", name);
	json_put_cstr(w, "cause", cause);
}

enum status key_note_end(struct json_writer *w, const struct key_place *p, struct err *err)
{
	enum status st;

	json_end_object(w);
	st = builder_status(w->b);
	if (st == ST_OK)
		st = view_note(p->view, builder_span(w->b), err);
	builder_free(w->b);
	return st;
}

static enum status note_rotation(const struct key_place *p, const struct named_key *k,
                                 const char *cause, uint64_t encryptions, struct err *err)
{
	struct builder b;
	struct json_writer w;

	key_note_begin(&w, &b, p, k->name, "key_rotated", cause);
	json_put_uint(&w, "old_version", k->head.latest);
	json_put_uint(&w, "new_version", (uint64_t)k->head.latest + 1);
	json_put_uint(&w, "encryptions", encryptions);
	return key_note_end(&w, p, err);
}

enum status key_rotate(const struct key_place *p, const struct named_key *k,
                       const struct key_material *material, const char *cause, struct err *err)
{
	const struct uses_of of = key_uses_of(p, k, k->head.latest);
	struct key_head head = k->head;
	struct key_material made = {.private_key = NULL};
	struct version_data v;
	struct uses_counts counts;
	enum status st;

	if (!view_can_write(p->view))
		return ST_NEEDS_WRITER;
	if (head.imported && !head.import_rotation)
		return err_set(err, ST_INVALID, "the key was imported and does not allow rotation");
	if (head.soft_deleted)
		return err_set(err, ST_INVALID, KEY_SOFT_DELETED_TEXT);
	if (material == NULL) {
		st = key_material_new(head.type, head.key_size, p->random, &made, err);
		if (st != ST_OK)
			return st;
		material = &made;
	}
	st = uses_counts(p->transit->uses, &of, &counts, err);
	key_material_data(material, &v);
	if (st == ST_OK)
		st = key_add_version(p, k->name, &head, &v, err);
	if (st == ST_OK && cause != NULL)
		st = note_rotation(p, k, cause, counts.encryptions, err);
	key_material_free(&made);
	return st;
}
