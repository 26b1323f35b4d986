#include <stdatomic.h>
#include <string.h>

#include "barrier/record.h"
#include "barrier/txn_impl.h"

static bool own_path(struct span path)
{
	return span_starts(path, span_str("core/"));
}

static enum status open_stored(struct txn *t, struct span path, struct span stored,
                               struct span *ret, struct err *err)
{
	const struct aead_key *key;
	uint32_t term;
	uint8_t *plain;
	size_t n;
	enum status st = record_term(stored, &term);

	if (st != ST_OK)
		return err_set(err, st, "a stored record is too short to be one");
	st = term_keys_get(t->keys, t->keyring, term, &key, err);
	if (st != ST_OK)
		return st;
	n = record_plain_len(stored);
	plain = arena_alloc(t->arena, n > 0 ? n : 1);
	if (plain == NULL)
		return err_set(err, ST_NOMEM, "no locked memory for a value of %zu bytes", n);
	st = record_open(key, path, stored, plain);
	if (st != ST_OK)
		return err_set(
		    err, st,
		    "a record of term %u fails its check: changed in the storage, or moved", term);
	*ret = span_of(plain, n);
	return ST_OK;
}

enum status txn_get(struct txn *t, struct span path, struct span *ret, struct err *err)
{
	const struct change *c;
	struct span stored;
	enum status st;

	MUST(t->magic == TXN_MAGIC && !own_path(path));
	c = t->write != NULL ? overlay_find(&t->write->overlay, path) : NULL;
	if (c != NULL && c->deleted)
		return ST_NOT_FOUND;
	if (c != NULL) {
		*ret = c->value;
		return ST_OK;
	}
	st = t->storage->storage->driver->get(t->storage, path, &stored, err);
	if (st != ST_OK)
		return st;
	return open_stored(t, path, stored, ret, err);
}

enum status txn_exists(struct txn *t, struct span path, struct err *err)
{
	const struct change *c;
	struct span stored;

	MUST(t->magic == TXN_MAGIC && !own_path(path));
	c = t->write != NULL ? overlay_find(&t->write->overlay, path) : NULL;
	if (c != NULL)
		return c->deleted ? ST_NOT_FOUND : ST_OK;
	return t->storage->storage->driver->get(t->storage, path, &stored, err);
}

enum status txn_stamp(struct txn *t, struct span path, uint8_t ret[static TXN_STAMP_LEN],
                      struct err *err)
{
	static _Atomic uint64_t last;
	const struct change *c;
	struct span stored;
	struct builder b;
	enum status st;

	MUST(t->magic == TXN_MAGIC && !own_path(path));
	c = t->write != NULL ? overlay_find(&t->write->overlay, path) : NULL;
	if (c != NULL && c->deleted)
		return ST_NOT_FOUND;
	builder_init_fixed(&b, ret, TXN_STAMP_LEN);
	if (c != NULL) {
		memset(ret, 0xff, TXN_STAMP_LEN);
		b.n = TXN_STAMP_LEN - sizeof(uint64_t);
		builder_u64(&b, atomic_fetch_add_explicit(&last, 1, memory_order_relaxed));
		return builder_status(&b);
	}
	st = t->storage->storage->driver->get(t->storage, path, &stored, err);
	if (st != ST_OK)
		return st;
	return record_stamp(stored, ret) == ST_OK
	           ? ST_OK
	           : err_set(err, ST_CORRUPT, "a stored record is too short to be one");
}

/* The storage's first path >= from that the overlay does not delete, copied out (the driver's is valid only briefly). */
static enum status next_stored(struct txn *t, struct span from, struct span *ret, struct err *err)
{
	uint8_t at[STORAGE_KEY_MAX + 1];
	struct span key, value;
	const struct change *c;
	enum status st;

	for (;;) {
		st = t->storage->storage->driver->seek(t->storage, from, &key, &value, err);
		if (st != ST_OK)
			return st;
		MUST(key.n <= STORAGE_KEY_MAX);
		c = t->write != NULL ? overlay_find(&t->write->overlay, key) : NULL;
		if (!own_path(key) && (c == NULL || !c->deleted)) {
			memcpy(t->key_buf, key.p, key.n);
			*ret = span_of(t->key_buf, key.n);
			return ST_OK;
		}
		if (own_path(key)) {
			from = span_str("core0"); /* '0' follows '/' */
			continue;
		}
		memcpy(at, key.p, key.n);
		at[key.n] = 0; /* the least path behind this one */
		from = span_of(at, key.n + 1);
	}
}

enum status txn_next(struct txn *t, struct span from, struct span *ret, struct err *err)
{
	struct span stored, waiting = {0};
	enum status st;

	MUST(t->magic == TXN_MAGIC);
	if (t->write != NULL) {
		const struct overlay *o = &t->write->overlay;
		size_t at = overlay_from(o, from);

		while (at < o->n && o->sorted[at]->deleted)
			at++;
		if (at < o->n)
			waiting = o->sorted[at]->path;
	}
	st = next_stored(t, from, &stored, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (st == ST_NOT_FOUND && waiting.p == NULL)
		return ST_NOT_FOUND;
	*ret =
	    st == ST_OK && (waiting.p == NULL || span_cmp(stored, waiting) <= 0) ? stored : waiting;
	return ST_OK;
}

static enum status check_path(struct span path, struct err *err)
{
	MUST(!own_path(path));
	if (path.n == 0 || path.n > STORAGE_KEY_MAX)
		return err_set(
		    err, ST_INVALID,
		    "the path is too long: its storage key would have %zu bytes of at most %d",
		    path.n, STORAGE_KEY_MAX);
	return ST_OK;
}

enum status txn_put(struct txn *t, struct span path, struct span value, struct err *err)
{
	enum status st = check_path(path, err);

	MUST(t->magic == TXN_MAGIC);
	if (st != ST_OK)
		return st;
	if (value.n > STORAGE_VALUE_MAX - 1024)
		return err_set(err, ST_LIMIT, "the value has %zu bytes, more than can be stored",
		               value.n);
	if (t->write == NULL)
		return ST_NEEDS_WRITER;
	st = overlay_put(&t->write->overlay, path, value);
	return st == ST_OK ? st
	                   : err_set(err, st, "no locked memory for a value of %zu bytes", value.n);
}

enum status txn_delete(struct txn *t, struct span path, struct err *err)
{
	enum status st = check_path(path, err);

	MUST(t->magic == TXN_MAGIC);
	if (st != ST_OK)
		return st;
	if (t->write == NULL)
		return ST_NEEDS_WRITER;
	st = txn_exists(t, path, err);
	if (st == ST_NOT_FOUND)
		return ST_OK;
	return st == ST_OK ? overlay_delete(&t->write->overlay, path) : st;
}

const struct keyring *txn_keyring(const struct txn *t)
{
	return t->keyring;
}

const struct world *txn_world(const struct txn *t)
{
	return t->world;
}

enum status txn_usage(struct txn *t, uint32_t term, struct usage *ret, struct err *err)
{
	struct term_info info;
	enum status st = keyring_info(t->keyring, term, &info);

	if (st != ST_OK)
		return err_set(err, st, "there is no term %u", term);
	st = usage_load(t->storage, keyring_mac_key(t->keyring), term, ret, err);
	/* A term made by an earlier handler of this very group has no record yet. */
	if (st == ST_CORRUPT && t->write != NULL && t->write->n_events > 0 &&
	    term > keyring_active(t->keyring) - (uint32_t)t->write->n_events) {
		*ret = (struct usage){.seen_ns = info.install_ns};
		return ST_OK;
	}
	return st;
}

uint64_t txn_number(const struct txn *t)
{
	return t->storage->storage->driver->id(t->storage);
}

bool txn_can_write(const struct txn *t)
{
	return t->write != NULL;
}

int64_t txn_now(const struct txn *t)
{
	MUST(t->write != NULL);
	return t->write->now_ns;
}

bool txn_durable(const struct txn *t)
{
	return t->write == NULL && t->durable;
}

enum status txn_set_world(struct txn *t, const struct world *w)
{
	if (t->write == NULL)
		return ST_NEEDS_WRITER;
	world_ref(w);
	world_unref(&t->world);
	t->world = w;
	return ST_OK;
}

enum status txn_set_rotation(struct txn *t, const struct rotate_settings *s)
{
	struct keyring *k;
	enum status st;

	if (t->write == NULL)
		return ST_NEEDS_WRITER;
	st = keyring_with_settings(t->keyring, s, &k);
	if (st != ST_OK)
		return st;
	keyring_unref(&t->keyring);
	t->keyring = k;
	return ST_OK;
}

enum status txn_note(struct txn *t, struct span text, struct err *err)
{
	struct txn_write *w = t->write;
	size_t before;

	MUST(text.n >= 2 && text.p[0] == '{' && text.p[text.n - 1] == '}');
	if (w == NULL)
		return ST_NEEDS_WRITER;
	if (text.n > TXN_NOTE_MAX)
		return err_set(err, ST_LIMIT, "a note for the audit has at most %d bytes",
		               TXN_NOTE_MAX);
	if (w->n_notes == TXN_NOTES_MAX)
		return err_set(err, ST_LIMIT, "too many notes for the audit at once");
	before = w->notes.n;
	builder_lv(&w->notes, text);
	if (builder_status(&w->notes) != ST_OK) {
		w->notes.n = before;
		w->notes.failed = ST_OK;
		return err_set(err, ST_NOMEM, "no memory for a note for the audit");
	}
	w->n_notes++;
	return ST_OK;
}

void txn_mark(struct txn *t, struct txn_mark *ret)
{
	MUST(t->write != NULL);
	*ret = (struct txn_mark){
	    .overlay = overlay_mark(&t->write->overlay),
	    .raw = t->write->n_raw,
	    .keyring = keyring_ref(t->keyring),
	    .world = world_ref(t->world),
	    .events = t->write->n_events,
	    .notes = t->write->n_notes,
	    .note_bytes = t->write->notes.n,
	};
}

void txn_release(struct txn *t, struct txn_mark *mark)
{
	(void)t;
	keyring_unref(&mark->keyring);
	world_unref(&mark->world);
}

void txn_undo(struct txn *t, struct txn_mark *mark)
{
	struct txn_write *w = t->write;

	MUST(w != NULL && mark->raw <= w->n_raw && mark->events <= w->n_events);
	overlay_undo(&w->overlay, mark->overlay);
	while (w->n_raw > mark->raw)
		builder_free(&w->raw[--w->n_raw].value);
	w->n_events = mark->events;
	w->n_notes = mark->notes;
	w->notes.n = mark->note_bytes;
	for (uint32_t i = keyring_active(mark->keyring) + 1; i <= keyring_active(t->keyring); i++)
		term_keys_forget(t->keys, i);
	keyring_unref(&t->keyring);
	world_unref(&t->world);
	t->keyring = mark->keyring;
	t->world = mark->world;
	mark->keyring = NULL;
	mark->world = NULL;
}

uint8_t *txn_alloc(struct txn *t, size_t n)
{
	return arena_alloc(t->arena, n);
}

void *txn_alloc64(struct txn *t, size_t n)
{
	return arena_alloc64(t->arena, n);
}
