/*
 * The control calls: make a store, open it, close it.  An unclean stop shows as a running mark found set; its allowance is added to the
 * count before anything is written.
 */
#include "barrier/writer_impl.h"

#include "base/log.h"

#define MODULE "writer"

enum status writer_get_raw(struct writer *w, const char *path, struct builder *out, struct err *err)
{
	struct storage_txn *t;
	struct span value;
	enum status st = writer_driver(w)->write_begin(w->config.storage, &t, err);

	if (st != ST_OK)
		return st;
	st = writer_driver(w)->get(t, span_str(path), &value, err);
	if (st == ST_OK) {
		builder_add(out, value);
		st = builder_status(out);
	}
	writer_driver(w)->abort(&t);
	return st;
}

/* Drop the open store's keys and objects on this thread. */
static void forget(struct writer *w)
{
	spares_close(w->write.spares);
	keyring_unref(&w->keyring);
	world_unref(&w->world);
	term_keys_drop(&w->keys);
	arena_free(&w->arena);
	builder_free(&w->sealed);
	w->active = (struct usage){0};
	w->carry = 0;
	w->rotation_retry = (struct backoff){0};
	w->due_retry = (struct backoff){0};
	w->state = WRITER_CLOSED;
}

enum status writer_create(struct writer *w, const struct secret *wrap, const struct secret *mac,
                          const uint8_t id[static STORE_ID_LEN], const struct writer_raw *raw,
                          size_t n_raw,
                          enum status (*populate)(void *ctx, struct txn *t, struct err *err),
                          void *ctx, struct err *err)
{
	struct keyring *empty;
	struct span head;
	enum status st;

	MUST(w->state == WRITER_CLOSED);
	st = keyring_new(wrap, mac, id, &empty);
	if (st != ST_OK)
		return err_set(err, st, "no memory for the keyring");
	w->keyring = empty;
	w->active.seen_ns = clock_wall_ns(w->config.clock);
	w->seen_mono_ns = clock_mono_ns(w->config.clock);
	slots_bind(w->config.slots, id);
	st = writer_group_begin(w, err);
	if (st != ST_OK)
		goto out;
	st = writer_driver(w)->get(w->txn.storage, span_str(KEYRING_HEAD_PATH), &head, err);
	if (st != ST_NOT_FOUND) {
		st = st == ST_OK ? err_set(err, ST_EXISTS, "Vault is already initialized") : st;
		goto end;
	}
	st = rotate_now(&w->txn, CAUSE_INIT, err);
	if (st == ST_OK)
		st = populate(ctx, &w->txn, err);
	if (st == ST_OK)
		st = writer_apply(w, err);
	for (size_t i = 0; st == ST_OK && i < n_raw; i++)
		st =
		    writer_driver(w)->put(w->txn.storage, span_str(raw[i].path), raw[i].value, err);
	if (st == ST_OK)
		st = writer_commit(w, err);
end:
	writer_group_end(w);
out:
	forget(w);
	return st;
}

/* A clean stop: the running mark goes, the counts are exact. */
static void clear_mark(struct writer *w)
{
	struct err err = {0};
	enum status st = writer_group_begin(w, &err);

	if (st == ST_OK) {
		st = writer_group_close(w, &err);
		writer_group_end(w);
	}
	if (st != ST_OK)
		log_error(MODULE, "the clean stop could not be recorded: %s", err_text(&err, st));
}

/* The same, with what the upper floor stores at last.  Any status but ST_OK: the mark is still there. */
static enum status store_last(struct writer *w)
{
	struct err err = {0};
	enum status st = writer_group_begin(w, &err);

	if (st == ST_OK) {
		st = w->config.hooks.closing(w->config.hooks.ctx, &w->txn, &err);
		if (st == ST_OK)
			st = writer_group_close(w, &err);
		writer_group_end(w);
	}
	if (st != ST_OK)
		log_error(MODULE, "what was to be stored at the stop is lost: %s",
		          err_text(&err, st));
	return st;
}

/*
 * After the keyring is loaded: load the world, then commit.  Whatever an unclean stop left is what could not be committed earlier: the
 * group's commit counts it and sets the running mark before anything else.
 */
static enum status open_loaded(struct writer *w,
                               enum status (*load)(void *, struct txn *, const struct world **,
                                                   struct err *),
                               void *ctx, struct err *err)
{
	const struct world *world = NULL;
	enum status st = usage_load(w->txn.storage, keyring_mac_key(w->keyring),
	                            keyring_active(w->keyring), &w->active, err);

	if (st != ST_OK)
		return st;
	w->seen_mono_ns = clock_mono_ns(w->config.clock);
	w->write.now_ns = writer_seen_now(w);
	w->carry = keyring_allowance(w->keyring);
	st = load(ctx, &w->txn, &world, err);
	if (st != ST_OK)
		return st;
	st = txn_set_world(&w->txn, world);
	world_unref(&world);
	return st == ST_OK ? writer_group_commit(w, err) : st;
}

/* The keyring is w's.  ST_OK: published. */
static enum status open_store(struct writer *w,
                              enum status (*load)(void *, struct txn *, const struct world **,
                                                  struct err *),
                              void *ctx, struct err *err)
{
	const struct keyring *loaded = keyring_ref(w->keyring);
	uint32_t unclean = keyring_allowance(loaded);
	enum status st = writer_group_begin(w, err);

	if (st != ST_OK)
		goto out;
	st = open_loaded(w, load, ctx, err);
	writer_group_end(w);
	if (w->keyring == loaded)
		goto out;
	if (unclean > 0) {
		COUNT(w, unclean_stops, 1);
		log_warn(MODULE,
		         "the server was not stopped cleanly: %u encryptions added to the count of "
		         "term %u",
		         unclean, keyring_active(loaded));
	}
	if (st != ST_OK)
		clear_mark(w); /* else the next try would count an unclean stop */
out:
	keyring_unref(&loaded);
	return st;
}

enum status writer_open(struct writer *w, const struct secret *wrap, const struct secret *mac,
                        enum status (*load)(void *ctx, struct txn *t,
                                            const struct world **ret_world, struct err *err),
                        void *ctx, struct err *err)
{
	struct storage_txn *t;
	struct keyring *k;
	enum status st;

	MUST(w->state == WRITER_CLOSED && w->keyring == NULL);
	st = writer_driver(w)->write_begin(w->config.storage, &t, err);
	if (st != ST_OK)
		return st;
	st = keyring_load(t, w->config.slots, wrap, mac, &k, err);
	writer_driver(w)->abort(&t);
	if (st != ST_OK)
		return st;
	w->keyring = k;
	st = open_store(w, load, ctx, err);
	if (st != ST_OK) {
		forget(w);
		return st;
	}
	w->state = WRITER_OPEN;
	readers_go(w->config.readers);
	return ST_OK;
}

void writer_close(struct writer *w)
{
	if (w->state != WRITER_OPEN)
		return;
	w->state = WRITER_CLOSED;
	snapshots_clear(readers_snapshots(w->config.readers));
	readers_stop(w->config.readers);
	if (w->config.hooks.stopped != NULL)
		w->config.hooks.stopped(w->config.hooks.ctx);
	if (w->config.hooks.closing == NULL || store_last(w) != ST_OK)
		clear_mark(w);
	if (w->config.hooks.closed != NULL)
		w->config.hooks.closed(w->config.hooks.ctx);
	forget(w);
	epoch_drain(readers_epoch(w->config.readers));
}
