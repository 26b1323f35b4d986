/*
 * A group, in order: take what waits; run each job on the overlay; decide whether a rotation is due; make sure that the running mark
 * allows for the group; seal, count, put; hang the snapshot; commit; publish; tell.
 *
 * What can fail, and what then holds: a job (its changes are undone, the others go on); a rotation that a limit demands (the group is
 * refused); memory or storage while the group is applied, or the commit (the group fails, nothing changed, encryptions done are carried
 * into the next group's count); a commit of unknown outcome (readers stop, the storage settles it, then as done or not done).
 */
#include "barrier/writer_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "barrier/record.h"
#include "base/log.h"

#define MODULE         "writer"
#define RETRY_FIRST_NS NS_PER_S
#define RETRY_MOST_NS  (300 * NS_PER_S)
#define SEALED_KEPT    ((size_t)1 << 20) /* a larger buffer is given back after its group */

const struct storage_driver *writer_driver(const struct writer *w)
{
	return w->config.storage->driver;
}

uint32_t writer_group_records(const struct writer *w)
{
	return w->config.group_records;
}

void backoff_step(struct backoff *b, int64_t mono_ns)
{
	b->wait_ns = b->wait_ns == 0 ? RETRY_FIRST_NS : b->wait_ns * 2;
	if (b->wait_ns > RETRY_MOST_NS)
		b->wait_ns = RETRY_MOST_NS;
	b->at_ns = mono_ns + b->wait_ns;
}

int64_t writer_seen_now(struct writer *w)
{
	int64_t mono = clock_mono_ns(w->config.clock), wall = clock_wall_ns(w->config.clock);
	int64_t least = w->active.seen_ns + (mono - w->seen_mono_ns);

	w->active.seen_ns = wall > least ? wall : least;
	w->seen_mono_ns = mono;
	return w->active.seen_ns;
}

/* ---- the transaction of a group ---- */

enum status writer_group_begin(struct writer *w, struct err *err)
{
	struct storage_txn *t;
	enum status st = writer_driver(w)->write_begin(w->config.storage, &t, err);

	if (st != ST_OK)
		return st;
	w->txn = (struct txn){
	    .magic = TXN_MAGIC,
	    .storage = t,
	    .keyring = keyring_ref(w->keyring),
	    .world = world_ref(w->world),
	    .keys = &w->keys,
	    .arena = &w->arena,
	    .write = &w->write,
	};
	w->write.now_ns = writer_seen_now(w);
	w->n_touched = 0;
	w->group_encryptions = 0;
	return ST_OK;
}

static void forget_notes(struct writer *w)
{
	builder_reset(&w->write.notes);
	if (w->write.notes.cap > SEALED_KEPT) {
		size_t max = w->write.notes.max;

		builder_free(&w->write.notes);
		builder_init(&w->write.notes, max);
	}
	w->write.n_notes = 0;
}

/* Forget the group's changes; the storage transaction has ended or is aborted here. */
void writer_group_end(struct writer *w)
{
	if (w->txn.storage != NULL)
		writer_driver(w)->abort(&w->txn.storage);
	for (uint32_t i = w->keyring != NULL ? keyring_active(w->keyring) + 1 : 1;
	     w->txn.keyring != NULL && i <= keyring_active(w->txn.keyring); i++)
		term_keys_forget(&w->keys, i);
	keyring_unref(&w->txn.keyring);
	world_unref(&w->txn.world);
	while (w->write.n_raw > 0)
		builder_free(&w->write.raw[--w->write.n_raw].value);
	w->write.n_events = 0;
	overlay_reset(&w->write.overlay);
	arena_reset(&w->arena);
	forget_notes(w);
	if (w->sealed.cap > SEALED_KEPT)
		builder_free(&w->sealed);
	w->txn.magic = 0;
}

static enum status put_raw(struct writer *w, const char *path, const struct builder *value,
                           struct err *err)
{
	enum status st = builder_status(value);

	if (st != ST_OK)
		return err_set(err, st, "no memory for %s", path);
	return writer_driver(w)->put(w->txn.storage, span_str(path), builder_span(value), err);
}

enum status writer_put_head(struct writer *w, const struct keyring *k, struct err *err)
{
	struct builder head;
	enum status st;

	builder_init(&head, 4096);
	keyring_head(k, &head);
	st = put_raw(w, KEYRING_HEAD_PATH, &head, err);
	builder_free(&head);
	return st;
}

enum status writer_put_usage(struct writer *w, uint32_t term, const struct usage *u,
                             struct err *err)
{
	char path[32];
	struct builder b;
	enum status st;

	builder_init(&b, 4096);
	usage_encode(keyring_mac_key(w->txn.keyring), term, u, &b);
	snprintf(path, sizeof path, USAGE_PATH, term);
	st = put_raw(w, path, &b, err);
	builder_free(&b);
	return st;
}

/* ---- commit, with all three outcomes ---- */

/* Ends the storage transaction.  ST_OK: durable, and the snapshot that was hung is published.  Else nothing changed. */
enum status writer_commit(struct writer *w, struct err *err)
{
	struct snapshots *snapshots = readers_snapshots(w->config.readers);
	uint64_t id = writer_driver(w)->id(w->txn.storage);
	enum storage_outcome outcome;
	struct err why = {0};
	int64_t began = clock_mono_ns(w->config.clock);

	outcome = writer_driver(w)->commit(&w->txn.storage, &why);
	w->pace.commit_ns = clock_mono_ns(w->config.clock) - began;
	if (outcome == STORAGE_UNKNOWN) {
		COUNT(w, unknown, 1);
		log_error(MODULE, "the outcome of commit %llu is unknown (%s): settling it",
		          (unsigned long long)id, why.text);
		readers_stop(w->config.readers);
		while (writer_driver(w)->settle(w->config.storage, id, &outcome, err) != ST_OK) {
			log_error(MODULE, "the storage cannot be reopened (%s): trying again",
			          err_text(err, ST_IO));
			nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
		}
		readers_go(w->config.readers);
		log_warn(MODULE, "commit %llu was %s", (unsigned long long)id,
		         outcome == STORAGE_DONE ? "done" : "not done");
	}
	if (outcome == STORAGE_DONE) {
		COUNT(w, commits, 1);
		if (snapshots->hung != NULL)
			snapshots_publish(snapshots);
		return ST_OK;
	}
	COUNT(w, failed, 1);
	snapshots_unhang(snapshots);
	return err_set(err, why.status == ST_FULL ? ST_FULL : ST_IO,
	               "the write could not be made durable: %s", err_text(&why, ST_IO));
}

/* Take over what the group's transaction made current. */
void writer_adopt(struct writer *w)
{
	keyring_unref(&w->keyring);
	world_unref(&w->world);
	w->keyring = keyring_ref(w->txn.keyring);
	w->world = world_ref(w->txn.world);
}

/* ---- counting ---- */

/* The usage of a term in this group; valid until the next call. */
static enum status touch(struct writer *w, uint32_t term, struct usage **ret, struct err *err)
{
	struct touched *t;
	enum status st = ST_OK;

	for (size_t i = 0; i < w->n_touched; i++)
		if (w->touched[i].term == term) {
			*ret = &w->touched[i].usage;
			return ST_OK;
		}
	if (w->n_touched == w->cap_touched) {
		size_t cap = w->cap_touched == 0 ? TOUCHED_INLINE : w->cap_touched * 2;
		struct touched *more = realloc(w->touched, cap * sizeof *more);

		if (more == NULL)
			return err_set(err, ST_NOMEM, "no memory to count records");
		w->touched = more;
		w->cap_touched = cap;
	}
	t = &w->touched[w->n_touched];
	t->term = term;
	if (term > keyring_active(w->keyring))
		t->usage = (struct usage){.seen_ns = w->write.now_ns};
	else
		st = usage_load(w->txn.storage, keyring_mac_key(w->txn.keyring), term, &t->usage,
		                err);
	if (st != ST_OK)
		return st;
	if (term == keyring_active(w->keyring)) {
		t->usage.encryptions += w->carry;
		t->usage.seen_ns = w->write.now_ns;
	}
	w->n_touched++;
	*ret = &t->usage;
	return ST_OK;
}

/* ---- applying a group ---- */

/* The last one before the store closes clears the running mark and publishes nothing. */
enum group_kind { GROUP_USUAL, GROUP_LAST };

/* The record that a change replaces is one less under its term. */
static enum status uncount_old(struct writer *w, struct span path, struct err *err)
{
	uint32_t term;
	struct span old;
	struct usage *u;
	enum status st = writer_driver(w)->get(w->txn.storage, path, &old, err);

	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	if (record_term(old, &term) != ST_OK || term == 0 ||
	    term > keyring_active(w->txn.keyring)) {
		log_warn(MODULE, "a record that is no record was put into the storage by hand; it "
		                 "is replaced");
		return ST_OK;
	}
	st = touch(w, term, &u, err);
	if (st == ST_OK)
		u->records -= u->records > 0 ? 1 : 0;
	return st;
}

static enum status apply_change(struct writer *w, const struct change *c, struct err *err)
{
	uint32_t active = keyring_active(w->txn.keyring);
	const struct aead_key *key;
	struct usage *u;
	enum status st = uncount_old(w, c->path, err);

	if (st != ST_OK)
		return st;
	if (c->deleted)
		return writer_driver(w)->del(w->txn.storage, c->path, err);
	st = touch(w, active, &u, err);
	if (st == ST_OK)
		st = term_keys_get(&w->keys, w->txn.keyring, active, &key, err);
	if (st != ST_OK)
		return st;
	if (w->config.hooks.encrypted != NULL)
		w->config.hooks.encrypted(w->config.hooks.ctx, active);
	w->group_encryptions++;
	COUNT(w, encryptions, 1);
	u->encryptions++;
	u->records++;
	builder_reset(&w->sealed);
	st = record_seal(active, key, w->config.random, c->path, c->value, &w->sealed);
	if (st != ST_OK)
		return err_set(err, st, "a record could not be sealed");
	return writer_driver(w)->put(w->txn.storage, c->path, builder_span(&w->sealed), err);
}

/*
 * Terms whose usage record is written in any case: the active one, the one it replaced when that has uncommitted encryptions, and those
 * made in this group (one that was replaced within it was never used, and has its record too).
 */
static enum status touch_terms(struct writer *w, struct err *err)
{
	uint32_t was = keyring_active(w->keyring);
	struct usage *u;
	enum status st = touch(w, keyring_active(w->txn.keyring), &u, err);

	if (st == ST_OK && w->carry > 0)
		st = touch(w, was, &u, err);
	for (uint32_t i = was + 1; st == ST_OK && i < keyring_active(w->txn.keyring); i++)
		st = touch(w, i, &u, err);
	return st;
}

enum status writer_apply(struct writer *w, struct err *err)
{
	const struct overlay *o = &w->write.overlay;
	enum status st = touch_terms(w, err);

	for (size_t i = 0; w->config.hooks.term_made != NULL && i < w->write.n_events; i++)
		w->config.hooks.term_made(w->config.hooks.ctx, w->write.events[i].new_term);
	for (size_t i = 0; st == ST_OK && i < o->n; i++)
		st = apply_change(w, o->sorted[i], err);
	for (size_t i = 0; st == ST_OK && i < w->write.n_raw; i++)
		st = put_raw(w, w->write.raw[i].path, &w->write.raw[i].value, err);
	for (size_t i = 0; st == ST_OK && i < w->n_touched; i++)
		st = writer_put_usage(w, w->touched[i].term, &w->touched[i].usage, err);
	if (st == ST_OK && w->txn.keyring != w->keyring)
		st = writer_put_head(w, w->txn.keyring, err);
	return st;
}

static uint64_t count_puts(const struct overlay *o)
{
	uint64_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		n += o->sorted[i]->deleted ? 0 : 1;
	return n;
}

/* Usage of the transaction's active term as the limits see it. */
static struct usage current_usage(const struct writer *w)
{
	struct usage u = {0};

	if (keyring_active(w->txn.keyring) == keyring_active(w->keyring)) {
		u = w->active;
		u.encryptions += w->carry;
	}
	return u;
}

static void rotation_failed(struct writer *w, enum term_cause cause, const struct err *err)
{
	int64_t mono = clock_mono_ns(w->config.clock);

	COUNT(w, rotations_failed, 1);
	/* One that a limit demands is tried with every group; it is logged no more often than the others. */
	if (mono < w->rotation_retry.at_ns)
		return;
	backoff_step(&w->rotation_retry, mono);
	log_error(MODULE, "automatic rotation (%s) failed: %s; next try in %lld s",
	          term_cause_name(cause), err_text(err, ST_IO),
	          (long long)(w->rotation_retry.wait_ns / NS_PER_S));
}

/*
 * Rotate when a limit or the interval says so; *ret_cause is 0 when that was not needed.  Room for the whole allowance is kept below the
 * limit, so that not even the count after an unclean stop passes it.  (Counted beside this group's records: the allowance is added to them.)
 */
static enum status rotate_when_due(struct writer *w, uint64_t puts, enum term_cause *ret_cause,
                                   struct err *err)
{
	const struct rotate_settings *s = keyring_settings(w->txn.keyring);
	uint64_t more = puts + writer_group_records(w);
	struct usage u = current_usage(w);
	enum term_cause cause;
	enum status st = rotate_due(w->txn.keyring, &u, w->write.now_ns, more, &cause, err);

	*ret_cause = (enum term_cause)0;
	if (st == ST_UNAVAILABLE && puts == 0)
		return ST_OK; /* nothing will be encrypted; settings can still be changed */
	if (st != ST_OK)
		return st;
	if (s->enabled && puts > s->max_operations)
		return err_set(err, ST_LIMIT, "more records at once than max_operations allows");
	if (cause == 0 ||
	    (cause == CAUSE_INTERVAL && clock_mono_ns(w->config.clock) < w->rotation_retry.at_ns))
		return ST_OK;
	st = rotate_now(&w->txn, cause, err);
	if (st == ST_OK) {
		*ret_cause = cause;
		return ST_OK;
	}
	rotation_failed(w, cause, err);
	/* Without it nothing is passed: not a record is written, no limit was set. */
	if (cause == CAUSE_INTERVAL || (puts == 0 && w->txn.keyring == w->keyring))
		return ST_OK;
	return err_wrap(err, ST_UNAVAILABLE,
	                "the active term's limit is reached and no new term can be made");
}

/* Count what an earlier group left uncounted and set the running mark, in one commit. */
static enum status commit_mark(struct writer *w, const struct keyring *k, struct err *err)
{
	struct usage u = w->active;
	enum status st;

	u.encryptions += w->carry;
	st = writer_put_usage(w, keyring_active(k), &u, err);
	if (st == ST_OK)
		st = writer_put_head(w, k, err);
	if (st == ST_OK)
		st = writer_commit(w, err);
	if (st != ST_OK)
		return st;
	w->active = u;
	w->carry = 0;
	return ST_OK;
}

enum status writer_allow(struct writer *w, uint32_t records, struct err *err)
{
	const struct keyring *was = w->keyring, *marked = NULL, *group = NULL;
	struct keyring *k;
	enum status st;

	if (keyring_allowance(was) >= records && w->carry == 0)
		return ST_OK;
	st = keyring_with_allowance(was, records, &k);
	if (st != ST_OK)
		goto nomem;
	marked = k;
	if (w->txn.keyring == was && records == writer_group_records(w)) {
		group = keyring_ref(marked);
	} else {
		/* Back to the usual allowance with the group's own commit, when this was for a larger one. */
		st = keyring_with_allowance(w->txn.keyring, writer_group_records(w), &k);
		if (st != ST_OK)
			goto nomem;
		group = k;
	}
	st = commit_mark(w, marked, err);
	if (st != ST_OK)
		goto fail;
	w->keyring = marked;
	keyring_unref(&w->txn.keyring);
	w->txn.keyring = group;
	keyring_unref(&was);
	return writer_driver(w)->write_begin(w->config.storage, &w->txn.storage, err);
nomem:
	err_set(err, st, "no memory for the keyring");
fail:
	keyring_unref(&marked);
	keyring_unref(&group);
	return st;
}

static void tell_notes(struct writer *w)
{
	struct cursor c = cursor_of(builder_span(&w->write.notes));
	struct span text;

	while (w->config.hooks.noted != NULL && cursor_lv(&c, &text) == ST_OK)
		w->config.hooks.noted(w->config.hooks.ctx, text);
}

static void group_committed(struct writer *w)
{
	uint32_t was = keyring_active(w->keyring);
	uint64_t before = w->active.encryptions + w->carry;

	for (size_t i = 0; i < w->n_touched; i++) {
		if (w->touched[i].term == was)
			before = w->touched[i].usage.encryptions;
		if (w->touched[i].term == keyring_active(w->txn.keyring))
			w->active = w->touched[i].usage;
	}
	w->carry = 0;
	writer_adopt(w);
	for (size_t i = 0; i < w->write.n_events; i++) {
		struct rotation_event *e = &w->write.events[i];

		e->old_encryptions = e->old_term == was ? before : 0;
		COUNT(w, rotations, 1);
		w->rotation_retry = (struct backoff){0};
		log_info(MODULE, "rotated: term %u is active, cause %s", e->new_term,
		         term_cause_name(e->cause));
		if (w->config.hooks.rotated != NULL)
			w->config.hooks.rotated(w->config.hooks.ctx, e);
	}
	if (w->write.n_events > 0)
		spares_advance(w->write.spares, keyring_active(w->keyring));
	tell_notes(w);
}

static bool group_empty(const struct writer *w)
{
	return w->write.overlay.n == 0 && w->txn.keyring == w->keyring && w->txn.world == w->world;
}

/* Seal, count, put. */
static enum status group_apply(struct writer *w, uint64_t puts, enum group_kind kind,
                               struct err *err)
{
	struct keyring *stopped;
	enum status st = ST_OK;

	if (puts > UINT32_MAX)
		return err_set(err, ST_LIMIT, "too many records at once");
	if (puts > 0 || kind == GROUP_USUAL)
		st = writer_allow(
		    w, puts > writer_group_records(w) ? (uint32_t)puts : writer_group_records(w),
		    err);
	if (st == ST_OK && kind == GROUP_LAST) {
		st = keyring_with_allowance(w->txn.keyring, 0, &stopped);
		if (st != ST_OK)
			return err_set(err, st, "no memory for the keyring");
		keyring_unref(&w->txn.keyring);
		w->txn.keyring = stopped;
	}
	return st == ST_OK ? writer_apply(w, err) : st;
}

/* Seal, count, put, hang, commit. */
static enum status group_store(struct writer *w, uint64_t puts, enum group_kind kind,
                               struct err *err)
{
	struct snapshots *snapshots = readers_snapshots(w->config.readers);
	enum status st = group_apply(w, puts, kind, err);

	if (st != ST_OK)
		return st;
	if (kind == GROUP_LAST)
		return writer_commit(w, err);
	st = snapshots_hang(snapshots, writer_driver(w)->id(w->txn.storage), w->txn.keyring,
	                    w->txn.world);
	if (st != ST_OK)
		return err_set(err, st, "no memory for a snapshot");
	return writer_commit(w, err);
}

static enum status group_finish(struct writer *w, enum group_kind kind, struct err *err)
{
	uint64_t puts = count_puts(&w->write.overlay);
	enum term_cause automatic = (enum term_cause)0;
	enum status st = ST_OK;

	/* The first group after opening: it is committed even if empty, as publishing belongs to a commit. */
	bool first = kind == GROUP_USUAL && readers_snapshots(w->config.readers)->published == NULL;

	if (first || puts > 0 || w->txn.keyring != w->keyring ||
	    (kind == GROUP_USUAL && rotate_due_at(w->txn.keyring) <= w->write.now_ns))
		st = rotate_when_due(w, puts, &automatic, err);
	if (st != ST_OK)
		return st;
	if (group_empty(w) && !first && kind == GROUP_USUAL) {
		tell_notes(w);
		return ST_OK;
	}
	st = group_store(w, puts, kind, err);
	if (st == ST_OK) {
		group_committed(w);
		return ST_OK;
	}
	/* What was encrypted under a term that never came to be needs no count. */
	if (keyring_active(w->txn.keyring) == keyring_active(w->keyring))
		w->carry += w->group_encryptions;
	if (automatic != 0)
		rotation_failed(w, automatic, err);
	return st;
}

enum status writer_group_commit(struct writer *w, struct err *err)
{
	return group_finish(w, GROUP_USUAL, err);
}

enum status writer_group_close(struct writer *w, struct err *err)
{
	return group_finish(w, GROUP_LAST, err);
}
