/*
 * What an engine is: a name and a table of operations.  The capability belongs to the operation, so that no dialect can choose
 * it; what is not in the table does not exist.  A handler is a function of (request, view) to answer: it never waits,
 * never sends, holds no lock.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "barrier/view.h"
#include "base/message.h"
#include "crypto/random.h"

enum op_kind {
	OP_READ, /* on the loop where it arrives, on a read transaction; run again on the writer when it answers ST_NEEDS_WRITER */
	OP_WRITE,  /* on the writer, in its turn */
	OP_CONTROL /* on the writer, alone, without a transaction: initialise, unseal, seal */
};

/* Flags of an operation. */
#define OP_NO_TOKEN  0x01u /* needs no token */
#define OP_SUDO      0x02u /* needs sudo beside its capability */
#define OP_ANY_STATE 0x04u /* also while sealed or not initialised (then without a transaction) */
#define OP_NO_AUDIT  0x08u /* asked for by load balancers all the time; says nothing about anybody */

#define OP_ARGS_MAX 4

enum token_type { TOKEN_SERVICE = 1 };

/* Who asks; present when a token was needed and is good. */
struct caller {
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

/* One call of a handler. */
struct op {
	const struct request *req;
	struct answer *ans;
	struct view view; /* of the mount; view.txn is NULL where there is no transaction */
	const struct caller *caller; /* NULL: OP_NO_TOKEN */
	const struct mount_facts *mount;
	struct span arg[OP_ARGS_MAX]; /* what ":name" and "*" of the pattern matched, in order */
	void *self;                   /* the object of a built-in mount */
	const struct random *random;
	int64_t now_ns; /* wall time of the request */
	uint64_t page_limit; /* names that a listing may give at most; 0: no limit (a policy's pagination_limit) */
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
	/* handle(op): fills in op->ans and returns its status (answer_fail).  ST_NOT_FOUND without a text is an answer too. */
	enum status (*handle)(struct op *op);
	/* exists(op): tells create (ST_NOT_FOUND) from update (ST_OK).  NULL: always update. */
	enum status (*exists)(struct op *op, struct err *err);
};

struct engine {
	const char *type; /* as in sys/mounts: "kv" */
	const struct operation *operations;
	size_t n_operations;
};

/*
 * engine_match(e, path, first, verb, ret_op, args): the operation for the segments of `path` from index `first` on.  ST_OK; ST_NO_ROUTE: no pattern fits;
 * ST_UNSUPPORTED: one does, with other verbs (*ret_op is then one of those).  args: OP_ARGS_MAX spans into path.
 */
MUST_USE enum status engine_match(const struct engine *e, const struct path *path, unsigned first,
                                  enum verb verb, const struct operation **ret_op,
                                  struct span *args);

extern const struct engine engine_kv;        /* version 1 */
extern const struct engine engine_cubbyhole; /* kv version 1, each token its own */

#endif
