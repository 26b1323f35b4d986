/*
 * The store in memory: for tests and dev mode.
 *
 * A persistent AVL tree.  A write transaction copies the nodes on the way to what it changes and
 * leaves all others alone, so each committed version is a root that never changes again, and a
 * reader's snapshot is a pointer to one.
 *
 * Versions form a chain from the oldest that may still be read to the newest.  What a transaction
 * replaced hangs on the version before its own, the last in which it can be seen, and is freed by a
 * later commit, oldest version first, once nobody reads that version or an older one.  Invariants:
 *   - nodes and records reachable from a committed root are never written to;
 *   - a node whose `born` is the number of the running transaction is reachable from that one only;
 *   - the tree code takes nodes from the spare list, filled before a change begins: a change
 *     cannot fail half-way.
 *
 * One mutex guards the chain and the counts of readers; nothing is allocated, freed or searched
 * under it.
 */
#include "storage/storage.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A balanced tree that fills an address space is not this high. */
#define HEIGHT_MAX 92
/*
 * One change copies at most the nodes of one path, and two more for each rotation on the way back.
 */
#define NODES_A_CHANGE(height) (3 * (size_t)(height) + 4)

struct record {
	struct record *next; /* in a list of the dead; no reader looks at it */
	uint64_t born;
	struct span key;
	struct span value;
	uint8_t bytes[];
};

struct node {
	struct node *left;
	struct node *right;
	struct node *next; /* in the spare list, or in a list of the dead; no reader looks at it */
	struct record *record;
	uint64_t born;
	int height;
};

struct version {
	struct version *newer;
	struct node *root;
	struct node *dead_nodes; /* not to be found from the next version on */
	struct record *dead_records;
	uint64_t id;
	size_t readers;
};

struct mem;

struct reader {
	struct storage_txn base;
	struct version *held;
};

/* The one write transaction; part of the store. */
struct writer {
	struct storage_txn base;
	struct version *next; /* NULL: none is open */
	struct node *dead_nodes;
	struct record *dead_records;
	size_t changes;
	enum status broken; /* ST_OK, or what a put or del failed with: it can only be aborted */
};

struct mem {
	struct storage base;
	pthread_mutex_t lock; /* guards oldest, newest, newer, readers, dead_* of versions */
	struct version *oldest;
	struct version *newest;
	size_t handles; /* open readers; under the lock */
	/* the writer's thread only */
	struct writer writer;
	struct node *spare;
	size_t spares;
};

static struct mem *mem_of(struct storage *s)
{
	MUST(s != NULL && s->driver == &storage_mem);
	return (struct mem *)s;
}

static struct mem *writing(struct storage_txn *t)
{
	struct mem *m = mem_of(t->storage);

	MUST(t == &m->writer.base && m->writer.next != NULL);
	return m;
}

static void lock(struct mem *m)
{
	MUST(pthread_mutex_lock(&m->lock) == 0);
}

static void unlock(struct mem *m)
{
	MUST(pthread_mutex_unlock(&m->lock) == 0);
}

/* ---- the tree ---- */

static int height(const struct node *n)
{
	return n == NULL ? 0 : n->height;
}

static enum status fill_spares(struct mem *m, struct err *err)
{
	size_t want = NODES_A_CHANGE(height(m->writer.next->root));

	for (; m->spares < want; m->spares++) {
		struct node *n = calloc(1, sizeof(*n));

		if (n == NULL)
			return err_set(err, ST_NOMEM, "no memory for the store's tree");
		n->next = m->spare;
		m->spare = n;
	}
	return ST_OK;
}

static struct node *take_spare(struct mem *m)
{
	struct node *n = m->spare;

	MUST(n != NULL);
	m->spare = n->next;
	m->spares--;
	return n;
}

static struct node *new_leaf(struct mem *m, struct record *r)
{
	struct node *n = take_spare(m);

	*n = (struct node){.record = r, .born = m->writer.next->id, .height = 1};
	return n;
}

static struct record *new_record(struct mem *m, struct span key, struct span value)
{
	struct record *r = malloc(sizeof(*r) + key.n + value.n);

	if (r == NULL)
		return NULL;
	*r = (struct record){.born = m->writer.next->id};
	if (key.n > 0)
		memcpy(r->bytes, key.p, key.n);
	if (value.n > 0)
		memcpy(r->bytes + key.n, value.p, value.n);
	r->key = span_of(r->bytes, key.n);
	r->value = span_of(r->bytes + key.n, value.n);
	return r;
}

/*
 * drop_node, drop_record: the running transaction's tree does not hold it any more; older ones may.
 */
static void drop_node(struct mem *m, struct node *n)
{
	if (n->born == m->writer.next->id) {
		n->next = m->spare;
		m->spare = n;
		m->spares++;
	} else {
		n->next = m->writer.dead_nodes;
		m->writer.dead_nodes = n;
	}
}

static void drop_record(struct mem *m, struct record *r)
{
	if (r->born == m->writer.next->id) {
		free(r);
	} else {
		r->next = m->writer.dead_records;
		m->writer.dead_records = r;
	}
}

/* own(m, n): n itself if the running transaction made it, else a copy that takes its place. */
static struct node *own(struct mem *m, struct node *n)
{
	struct node *copy;

	if (n->born == m->writer.next->id)
		return n;
	copy = take_spare(m);
	*copy = *n;
	copy->born = m->writer.next->id;
	drop_node(m, n);
	return copy;
}

static void measure(struct node *n)
{
	int l = height(n->left), r = height(n->right);

	n->height = (l > r ? l : r) + 1;
	MUST(n->height < HEIGHT_MAX);
}

/* rotate_*(m, n): n is owned; returns the new top. */
static struct node *rotate_right(struct mem *m, struct node *n)
{
	struct node *top = own(m, n->left);

	n->left = top->right;
	top->right = n;
	measure(n);
	measure(top);
	return top;
}

static struct node *rotate_left(struct mem *m, struct node *n)
{
	struct node *top = own(m, n->right);

	n->right = top->left;
	top->left = n;
	measure(n);
	measure(top);
	return top;
}

static int lean(const struct node *n)
{
	return height(n->left) - height(n->right);
}

/*
 * balance(m, n): n is owned, its subtrees are balanced and differ by at most two; returns the new
 * top, which is balanced.
 */
static struct node *balance(struct mem *m, struct node *n)
{
	if (lean(n) > 1) {
		if (lean(n->left) < 0)
			n->left = rotate_left(m, own(m, n->left));
		n = rotate_right(m, n);
	} else if (lean(n) < -1) {
		if (lean(n->right) > 0)
			n->right = rotate_right(m, own(m, n->right));
		n = rotate_left(m, n);
	} else {
		measure(n);
	}
	MUST(lean(n) >= -1 && lean(n) <= 1);
	return n;
}

static struct node *tree_put(struct mem *m, struct node *n, struct record *r)
{
	int order;

	if (n == NULL)
		return new_leaf(m, r);
	n = own(m, n);
	order = span_cmp(r->key, n->record->key);
	if (order < 0) {
		n->left = tree_put(m, n->left, r);
	} else if (order > 0) {
		n->right = tree_put(m, n->right, r);
	} else {
		drop_record(m, n->record);
		n->record = r;
	}
	return balance(m, n);
}

/* tree_take_first(m, n, ret): takes the leftmost node off; its record goes to *ret. */
static struct node *tree_take_first(struct mem *m, struct node *n, struct record **ret)
{
	struct node *right = n->right;

	if (n->left == NULL) {
		*ret = n->record;
		drop_node(m, n);
		return right;
	}
	n = own(m, n);
	n->left = tree_take_first(m, n->left, ret);
	return balance(m, n);
}

/* tree_del(m, n, key): the key is there. */
static struct node *tree_del(struct mem *m, struct node *n, struct span key)
{
	int order = span_cmp(key, n->record->key);
	struct node *only;

	if (order == 0)
		drop_record(m, n->record);
	if (order == 0 && (n->left == NULL || n->right == NULL)) {
		only = n->left != NULL ? n->left : n->right;
		drop_node(m, n);
		return only;
	}
	n = own(m, n);
	if (order < 0)
		n->left = tree_del(m, n->left, key);
	else if (order > 0)
		n->right = tree_del(m, n->right, key);
	else
		n->right = tree_take_first(m, n->right, &n->record);
	return balance(m, n);
}

/* tree_seek(n, from): the first record whose key is not less; NULL at the end. */
static const struct record *tree_seek(const struct node *n, struct span from)
{
	const struct record *best = NULL;

	while (n != NULL) {
		int order = span_cmp(from, n->record->key);

		if (order == 0)
			return n->record;
		if (order < 0)
			best = n->record;
		n = order < 0 ? n->left : n->right;
	}
	return best;
}

/* tree_free_born(n, born): what the transaction of that number made, and nothing else. */
static void tree_free_born(struct node *n, uint64_t born)
{
	if (n == NULL || n->born != born)
		return;
	tree_free_born(n->left, born);
	tree_free_born(n->right, born);
	if (n->record->born == born)
		free(n->record);
	free(n);
}

static void tree_free(struct node *n)
{
	if (n == NULL)
		return;
	tree_free(n->left);
	tree_free(n->right);
	free(n->record);
	free(n);
}

static void free_nodes(struct node *n)
{
	while (n != NULL) {
		struct node *next = n->next;

		free(n);
		n = next;
	}
}

static void free_records(struct record *r)
{
	while (r != NULL) {
		struct record *next = r->next;

		free(r);
		r = next;
	}
}

/* ---- versions ---- */

/*
 * unlink_unread(m): under the lock: take the oldest versions that nobody reads off the chain;
 * returns them as a chain.
 */
static struct version *unlink_unread(struct mem *m)
{
	struct version *first = m->oldest, *last = NULL;

	while (m->oldest != m->newest && m->oldest->readers == 0) {
		last = m->oldest;
		m->oldest = last->newer;
	}
	if (last == NULL)
		return NULL;
	last->newer = NULL;
	return first;
}

static void free_versions(struct version *v)
{
	while (v != NULL) {
		struct version *newer = v->newer;

		free_nodes(v->dead_nodes);
		free_records(v->dead_records);
		free(v);
		v = newer;
	}
}

/* ---- the driver ---- */

static enum status mem_open(const struct storage_config *config, struct storage **ret,
                            struct err *err)
{
	struct mem *m = calloc(1, sizeof(*m));
	struct version *empty = calloc(1, sizeof(*empty));

	(void)config;
	if (m == NULL || empty == NULL || pthread_mutex_init(&m->lock, NULL) != 0) {
		free(m);
		free(empty);
		return err_set(err, ST_NOMEM, "no memory for a store");
	}
	m->base.driver = &storage_mem;
	m->oldest = m->newest = empty;
	m->writer.base.storage = &m->base;
	*ret = &m->base;
	return ST_OK;
}

static void mem_close(struct storage **s)
{
	struct mem *m;

	if (*s == NULL)
		return;
	m = mem_of(*s);
	MUST(m->handles == 0 && m->writer.next == NULL);
	tree_free(m->newest->root);
	free_versions(m->oldest);
	free_nodes(m->spare);
	MUST(pthread_mutex_destroy(&m->lock) == 0);
	free(m);
	*s = NULL;
}

static enum status mem_read_open(struct storage *s, struct storage_txn **ret, struct err *err)
{
	struct mem *m = mem_of(s);
	struct reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return err_set(err, ST_NOMEM, "no memory for a reader");
	r->base.storage = s;
	lock(m);
	m->handles++;
	unlock(m);
	*ret = &r->base;
	return ST_OK;
}

static enum status mem_renew(struct storage_txn *t, struct err *err)
{
	struct mem *m = mem_of(t->storage);
	struct reader *r = (struct reader *)t;

	(void)err;
	MUST(t != &m->writer.base);
	lock(m);
	if (r->held != NULL)
		r->held->readers--;
	r->held = m->newest;
	r->held->readers++;
	unlock(m);
	return ST_OK;
}

static void mem_reset(struct storage_txn *t)
{
	struct mem *m = mem_of(t->storage);
	struct reader *r = (struct reader *)t;

	MUST(t != &m->writer.base);
	if (r->held == NULL)
		return;
	lock(m);
	r->held->readers--;
	unlock(m);
	r->held = NULL;
}

static void mem_read_close(struct storage_txn **t)
{
	struct mem *m;

	if (*t == NULL)
		return;
	m = mem_of((*t)->storage);
	mem_reset(*t);
	lock(m);
	m->handles--;
	unlock(m);
	free(*t);
	*t = NULL;
}

static enum status mem_write_begin(struct storage *s, struct storage_txn **ret, struct err *err)
{
	struct mem *m = mem_of(s);
	struct version *next = calloc(1, sizeof(*next));

	MUST(m->writer.next == NULL);
	if (next == NULL)
		return err_set(err, ST_NOMEM, "no memory for a transaction");
	/* Only this thread moves `newest`, so it may look without the lock. */
	next->root = m->newest->root;
	next->id = m->newest->id + 1;
	m->writer.next = next;
	*ret = &m->writer.base;
	return ST_OK;
}

/* version_of(t): what the transaction sees. */
static const struct version *version_of(const struct storage_txn *t)
{
	const struct mem *m = mem_of(t->storage);
	const struct version *v =
	    t == &m->writer.base ? m->writer.next : ((const struct reader *)t)->held;

	MUST(v != NULL);
	return v;
}

static uint64_t mem_id(const struct storage_txn *t)
{
	return version_of(t)->id;
}

/* usable(t, err): ST_OK, or what broke this write transaction. */
static enum status usable(const struct storage_txn *t, struct err *err)
{
	const struct mem *m = mem_of(t->storage);

	if (t == &m->writer.base && m->writer.broken)
		return err_set(err, m->writer.broken, "a change of this transaction failed");
	return ST_OK;
}

static enum status mem_seek(struct storage_txn *t, struct span from, struct span *ret_key,
                            struct span *ret_value, struct err *err)
{
	enum status st = usable(t, err);
	const struct record *r;

	if (st)
		return st;
	r = tree_seek(version_of(t)->root, from);
	if (r == NULL)
		return ST_NOT_FOUND;
	*ret_key = r->key;
	*ret_value = r->value;
	return ST_OK;
}

static enum status mem_get(struct storage_txn *t, struct span key, struct span *ret_value,
                           struct err *err)
{
	enum status st = usable(t, err);
	const struct record *r;

	if (!st)
		st = storage_check_key(key, err);
	if (st)
		return st;
	r = tree_seek(version_of(t)->root, key);
	if (r == NULL || !span_eq(r->key, key))
		return ST_NOT_FOUND;
	*ret_value = r->value;
	return ST_OK;
}

static enum status mem_put(struct storage_txn *t, struct span key, struct span value,
                           struct err *err)
{
	struct mem *m = writing(t);
	enum status st = usable(t, err);
	struct record *r;

	if (!st)
		st = storage_check_record(key, value, err);
	if (st)
		return st;
	st = fill_spares(m, err);
	if (st)
		goto fail;
	r = new_record(m, key, value);
	if (r == NULL) {
		st = err_set(err, ST_NOMEM, "no memory for a record of %zu bytes", value.n);
		goto fail;
	}
	m->writer.next->root = tree_put(m, m->writer.next->root, r);
	m->writer.changes++;
	return ST_OK;
fail:
	m->writer.broken = st;
	return st;
}

static enum status mem_del(struct storage_txn *t, struct span key, struct err *err)
{
	struct mem *m = writing(t);
	struct span value;
	enum status st = mem_get(t, key, &value, err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st)
		return st;
	st = fill_spares(m, err);
	if (st)
		goto fail;
	m->writer.next->root = tree_del(m, m->writer.next->root, key);
	m->writer.changes++;
	return ST_OK;
fail:
	m->writer.broken = st;
	return st;
}

/* end_writing(m): the transaction is over; returns its version. */
static struct version *end_writing(struct mem *m)
{
	struct version *v = m->writer.next;

	m->writer = (struct writer){.base = m->writer.base};
	return v;
}

static void mem_abort(struct storage_txn **t)
{
	struct mem *m;
	struct version *v;

	if (*t == NULL)
		return;
	m = writing(*t);
	v = end_writing(m);
	tree_free_born(v->root, v->id);
	free(v);
	*t = NULL;
}

static enum storage_outcome mem_commit(struct storage_txn **t, struct err *err)
{
	struct mem *m = writing(*t);
	struct version *old;

	if (usable(*t, err)) {
		mem_abort(t);
		return STORAGE_NOT_DONE;
	}
	if (m->writer.changes == 0) {
		mem_abort(t);
		return STORAGE_DONE;
	}
	lock(m);
	m->newest->dead_nodes = m->writer.dead_nodes;
	m->newest->dead_records = m->writer.dead_records;
	m->newest->newer = m->writer.next;
	m->newest = m->writer.next;
	old = unlink_unread(m);
	unlock(m);
	end_writing(m);
	free_versions(old);
	*t = NULL;
	return STORAGE_DONE;
}

/* Commits here are never unknown; whoever asks gets the plain truth. */
static enum status mem_settle(struct storage *s, uint64_t id, enum storage_outcome *ret,
                              struct err *err)
{
	struct mem *m = mem_of(s);

	(void)err;
	MUST(m->writer.next == NULL);
	*ret = id <= m->newest->id ? STORAGE_DONE : STORAGE_NOT_DONE;
	return ST_OK;
}

const struct storage_driver storage_mem = {
    .name = "inmem",
    .open = mem_open,
    .close = mem_close,
    .read_open = mem_read_open,
    .renew = mem_renew,
    .reset = mem_reset,
    .read_close = mem_read_close,
    .write_begin = mem_write_begin,
    .id = mem_id,
    .get = mem_get,
    .seek = mem_seek,
    .put = mem_put,
    .del = mem_del,
    .commit = mem_commit,
    .abort = mem_abort,
    .settle = mem_settle,
    .copy_to = NULL,
};
