/*
 * What an engine is: a name and a table of operations.  The capability belongs to the operation, so that no dialect can choose
 * it; what is not in the table does not exist.  A handler is a function of (request, view) to answer: it never waits,
 * never sends, holds no lock.
 *
 * An engine may have objects of its own besides: one of the process (`self`), one of each thread, and a life (struct engine_life) that core
 * leads it through.  All engines that operators can mount stand in one table, made by keyturnd.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "barrier/view.h"
#include "base/message.h"
#include "crypto/random.h"

enum op_kind {
	OP_READ, /* on the loop where it arrives, on a read transaction; run again on the writer when it answers ST_NEEDS_WRITER */
	OP_WRITE,   /* on the writer, in its turn */
	OP_CONTROL, /* on the writer, alone, without a transaction: initialise, unseal, seal */
	OP_STREAM /* VERB_WRITE; on the loop, as the body comes: handle as of OP_READ says whether it may begin, then struct stream_kind */
};

/* Flags of an operation. */
#define OP_NO_TOKEN  0x01u /* needs no token */
#define OP_SUDO      0x02u /* needs sudo beside its capability */
#define OP_ANY_STATE 0x04u /* also while sealed or not initialised (then without a transaction) */
#define OP_NO_AUDIT  0x08u /* asked for by load balancers all the time; says nothing about anybody */

#define OP_ARGS_MAX 4

enum token_type { TOKEN_SERVICE = 1 };

/* What a user may do in a vault that was shared with it; each level has the rights of those below.  The values are those of the StoredSafe API. */
enum member_level { LEVEL_NONE = 0, LEVEL_READ = 1, LEVEL_WRITE = 2, LEVEL_ADMIN = 4 };

/* What a user may do anywhere: bits of its status, as in the StoredSafe API. */
#define USER_READ       (UINT32_C(1) << 0)
#define USER_WRITE      (UINT32_C(1) << 1) /* may make vaults */
#define USER_ADMIN      (UINT32_C(1) << 2) /* may make users */
#define USER_AUDIT      (UINT32_C(1) << 3)
#define USER_ESCROW     (UINT32_C(1) << 4) /* cannot log in */
#define USER_CHANGEPASS (UINT32_C(1) << 6)
#define USER_ACTIVE     (UINT32_C(1) << 7)
#define USER_UGLIST     (UINT32_C(1) << 8)
#define USER_RADIUS     (UINT32_C(1) << 11)
/* USER_STATUS: those that an administrator may set. */
#define USER_STATUS                                                                         \
	(USER_READ | USER_WRITE | USER_ADMIN | USER_AUDIT | USER_ESCROW | USER_CHANGEPASS | \
	 USER_ACTIVE | USER_UGLIST | USER_RADIUS)

/*
 * What the session of a user needs for an operation, beside being alive.  All zero: no session may, whoever it is; the operation is for holders of service tokens,
 * whose policies decide.
 */
struct need {
	enum need_who {
		NEED_OPERATOR,
		NEED_USER,
		NEED_SELF /* as NEED_USER, but the user whom the path's first argument names, by id or by username, needs no status */
	} who;
	uint32_t status; /* at least one of these USER_ bits; 0: any user */
	enum member_level
	    level; /* in the vault that the path names; LEVEL_NONE: no vault is named */
	enum member_level
	    create_level; /* the same, when the operation would create (`exists`); LEVEL_NONE: as level */
};

/* A user, as far as engines may know it; valid until the transaction ends. */
struct user_facts {
	uint32_t id;
	uint32_t status; /* USER_ bits */
	struct span username, fullname, email;
};

/* Who asks; present when a token was needed and is good. */
struct caller {
	uint32_t user;   /* id of the user whose session it is; 0: the holder of a service token */
	uint32_t status; /* of that user: USER_ bits */
	enum member_level level; /* of that user in the vault that the path names */
	const char *hash; /* keyed hash of the token as 64 hex digits: its name in the storage */
	struct span accessor;
	struct span display_name;
	enum token_type type;
	const struct span *policies;
	size_t n_policies;
	bool sudo; /* the rule that allows this call grants sudo too, or the caller is root */
	bool root;
};

/* What an engine may know of its mount. */
struct mount_facts {
	struct span path; /* "secret/" */
	int64_t default_lease_ttl_s;
	int64_t max_lease_ttl_s;
};

/*
 * Slow work (key generation, RSA, large batches of signatures): made by prepare or handle, run on a worker of the pool, found finished by the
 * handler.  First member of the engine's own struct, which holds all that run needs and what it found out: copies, keys by counted reference.
 */
struct slow {
	/* run(slow): on a worker, once or never: no view, no request, nothing of a thread's object. */
	void (*run)(struct slow *);
	/* free(slow): any thread, never while it runs; sets NULL.  Lets go of the keys: the store closes only when all are free. */
	void (*free)(struct slow **);
};

/* What a stream did so far; counted by its chunk, told by the audit at its end. */
struct stream_totals {
	uint64_t items;
	uint64_t failed; /* of them: answered with an error */
};

/* One call of a handler. */
struct op {
	const struct request *req;
	struct answer *ans;
	struct view view; /* of the mount; view.txn is NULL where there is no transaction */
	const struct caller *caller; /* NULL: OP_NO_TOKEN */
	const struct mount_facts *mount;
	struct span arg[OP_ARGS_MAX]; /* what ":name" and "*" of the pattern matched, in order */
	void *self;                   /* the engine's object, or that of a built-in mount */
	void *thread; /* the engine's object of this thread (thread_new); NULL: it makes none */
	const struct random *random;
	int64_t now_ns; /* wall time of the request */
	uint64_t
	    page_limit; /* names that a listing may give at most; 0: no limit (a policy's pagination_limit) */
	/*
	 * Set by a handler.  wake_ns, on the writer: tick this mount at this wall time, if that is earlier than planned (INT64_MAX: leave it); counts when the
	 * handler succeeds.  nudge, on any thread: tick this mount soon, whatever the answer; many nudges cost one tick.
	 */
	int64_t wake_ns;
	bool nudge;
	/*
	 * Work that has run, or NULL; of this very operation on this very mount, but what it was made from may have changed meanwhile: compare.  prepare and
	 * handle may put new work here and return ST_PENDING.  The gate owns what stands here: it frees what was replaced (by NULL too), and the rest
	 * when the call is over.
	 */
	struct slow *slow;
	/* Of a stream, in handle, chunk and reserve: its state, which the gate keeps, and its totals. */
	void *stream_state;
	struct stream_totals *stream_totals;
	/* Set by a handler on the writer that refuses: what it changed is to stay (a failed log-in that is counted). */
	bool keep;
	/* Set by the handler of an OP_READ on the writer that succeeds: it made something that stays (a key, a version), not only its answer. */
	bool changed;
	/* find_user(op, id, ret, err): who that is.  ST_NOT_FOUND. */
	enum status (*find_user)(const struct op *op, uint32_t id, struct user_facts *ret,
	                         struct err *err);
};

/*
 * How an operation goes on that has begun as a stream (OP_STREAM).  For each visit the caller is authorized anew, on the newest snapshot, and op is made
 * anew, as for a request of its own; between two visits hours may pass, and sealing does not wait for them: the state holds no key, nothing
 * of a view and nothing of a thread's object.
 */
struct stream_kind {
	const char *content_type; /* of the answer */
	size_t
	    state_n; /* bytes of state, zeros when handle gets them first; aligned for anything */
	size_t item_max; /* longest item, without what ends it */
	/*
	 * chunk(op, v): on the loop.  Does whole items from the front of v->in, appends their answers to v->out, sets v->used, and counts, until nothing but part of
	 * an item is left, or v->out is full.  At the end of the input (STREAM_LAST) what is left is an item, or a failure.  An item in error is answered with a
	 * line that says so and ends nothing.  ST_NEEDS_WRITER: reserve is called, then the rest is offered again.  ST_PENDING: op->slow is new work, as of prepare; the
	 * rest is offered again when it is done.  Any other failure (answer_fail) ends the stream:
	 * the gate appends a last line {"stream_error":"text"} (no item is answered so), so v->out must end with a whole line.
	 */
	enum status (*chunk)(struct op *op, struct stream_visit *v);
	/* reserve(op): on the writer, in its turn, as the handler of an OP_WRITE; makes room for more items, of what chunk needs.  A failure ends the stream.  NULL:
	 * never needed. */
	enum status (*reserve)(struct op *op);
	/* end(state): the stream is over, or was refused, perhaps before handle was asked (the state is zeros then).  On the loop; once for each state.  NULL: nothing to do. */
	void (*end)(void *state);
};

struct operation {
	const char *name; /* for the audit and the reference: "rotate" */
	enum verb verb;
	/*
	 * Segments below the mount, separated by '/': a word matches itself, ":name" one segment, "*" at the end all that is left, if
	 * anything, "*" before a last word at least one segment.  "" is the mount's root.
	 */
	const char *pattern;
	enum op_kind kind;
	unsigned flags;
	/* handle(op): fills in op->ans and returns its status (answer_fail).  ST_NOT_FOUND without a text is an answer too.  ST_PENDING: see prepare. */
	enum status (*handle)(struct op *op);
	/* exists(op): tells create (ST_NOT_FOUND) from update (ST_OK).  NULL: always update. */
	enum status (*exists)(struct op *op, struct err *err);
	/*
	 * prepare(op): on the loop, after rights and audit, on a read transaction, once a request; not in a state without a transaction.  ST_OK: nothing slow, go on
	 * to handle; ST_NEEDS_WRITER: likewise, on the writer; ST_PENDING: op->slow is new work: run it, then go on to handle on a new transaction, with rights
	 * looked at again; else a failure, which is answered.  NULL: none.
	 *
	 * handle may return ST_PENDING likewise when it finds that work is needed, or needed again, as when op->slow is NULL: it comes too from elsewhere than
	 * prepare.  What it changed is undone then.  After OP_ROUNDS_MAX works in one request it answers 503, as does a full pool; a work that
	 * was under way when the store was closed is never seen.
	 */
	enum status (*prepare)(struct op *op);
	/* How it goes on; OP_STREAM only. */
	const struct stream_kind *stream;
	struct need need; /* of sessions */
};
#define OP_ROUNDS_MAX 4

/* What core leads an engine through beside its operations.  All members may be NULL. */
struct engine_life {
	/* thread_new(self, ret): what one thread (each loop, and the writer) keeps for this engine: caches.  Before the threads start.  ST_NOMEM. */
	enum status (*thread_new)(void *self, void **ret);
	/* thread_drop(thread): the store is sealed or reopened: forget everything, keys wiped.  On its thread, or when that has ended. */
	void (*thread_drop)(void *thread);
	/* thread_free(thread): the threads have ended; sets NULL. */
	void (*thread_free)(void **thread);
	/*
	 * tick(self, thread, mount, facts, now_ns, ret_next_ns, err): on the writer, in a group, for each mount of this engine: when its time has come, after
	 * unsealing, and after a nudge.  Does a slice of what is due and says when it wants to run again for this mount (wall time; INT64_MAX: never,
	 * INT64_MIN: at once, after the writes that wait).  `thread` is the writer's object.  When it fails what it changed is dropped and it is tried again
	 * after 1 s, 2 s ... 5 min, nudged or not; it runs again too when its group could not be committed.
	 */
	enum status (*tick)(void *self, void *thread, const struct view *mount,
	                    const struct mount_facts *facts, int64_t now_ns, int64_t *ret_next_ns,
	                    struct err *err);
	/*
	 * closing(self, thread, mount, err): the store is being sealed or stopped cleanly: for each mount, in the last commit, after every loop has stopped
	 * reading and dropped its object: write down what was only in memory (exact counts).  `thread` is the writer's object, not yet dropped.  When it
	 * fails what it changed is dropped and logged; also all may be dropped, when the commit fails: what is stored must be good without it.
	 */
	enum status (*closing)(void *self, void *thread, const struct view *mount, struct err *err);
	/* closed(self): all threads' objects were dropped; nothing of the store may stay in memory (keys are gone).  Writer's thread. */
	void (*closed)(void *self);
};

struct engine {
	const char *type; /* as in sys/mounts: "kv" */
	const struct operation *operations;
	size_t n_operations;
	const struct engine_life *life; /* NULL: it only answers */
	/*
	 * level(op, user, ret, err): what the user may do in the vault that the first argument of the path names: LEVEL_NONE also when there is no such vault.  NULL: it
	 * has no vaults.
	 */
	enum status (*level)(const struct op *op, uint32_t user, enum member_level *ret,
	                     struct err *err);
};

/*
 * engine_match(e, path, first, verb, ret_op, args): the operation for the segments of `path` from index `first` on.  ST_OK; ST_NO_ROUTE: no pattern fits;
 * ST_UNSUPPORTED: one does, with other verbs (*ret_op is then one of those).  args: OP_ARGS_MAX spans into path.
 */
MUST_USE enum status engine_match(const struct engine *e, const struct path *path, unsigned first,
                                  enum verb verb, const struct operation **ret_op,
                                  struct span *args);

/* engine_streams(e, path, first, verb): is the operation that engine_match would find an OP_STREAM? */
bool engine_streams(const struct engine *e, const struct path *path, unsigned first,
                    enum verb verb);

/*
 * stream_line(v, max, ret_line, ret_n, ret_whole, err): for chunks of lines: what stands at v->in + v->used, without its line end (LF or CR LF), which the last
 * line may lack; *ret_whole is what v->used grows by when it is done.  ST_NOT_FOUND: nothing is left, or it has not come whole.  ST_LIMIT, with a text: it is longer than max,
 * whether or not it has come whole.
 */
MUST_USE enum status stream_line(const struct stream_visit *v, size_t max, uint8_t **ret_line,
                                 size_t *ret_n, size_t *ret_whole, struct err *err);

/* The engines that operators can mount, each with its object; immutable, and outlives all that was given it. */
struct engine_entry {
	const struct engine *engine;
	void *self;
};
#define ENGINES_MAX 8
struct engine_table {
	struct engine_entry entries[ENGINES_MAX];
	size_t n;
};

/* engine_find(t, "kv"): its index, or t->n: there is none. */
size_t engine_find(const struct engine_table *t, struct span type);

/* What one thread keeps for the engines, by index; all NULL before engine_threads_init. */
struct engine_threads {
	const struct engine_table *table;
	void *of[ENGINES_MAX];
};

/* engine_threads_init(x, t): makes them; ST_NOMEM: none is left.  _drop: all forget (its thread).  _free: fine when nothing was made. */
MUST_USE enum status engine_threads_init(struct engine_threads *x, const struct engine_table *t);
void engine_threads_drop(struct engine_threads *x);
void engine_threads_free(struct engine_threads *x);

extern const struct engine engine_kv;        /* version 1 */
extern const struct engine engine_cubbyhole; /* kv version 1, each token its own */

#endif
