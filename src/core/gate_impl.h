/* What the files of the gate share. */
#ifndef CORE_GATE_IMPL_H
#define CORE_GATE_IMPL_H

#include "core/gate.h"
#include "core/session_cache.h"
#include "core/token_cache.h"

#define GATE_LOOPS_MAX EPOCH_READERS_MAX

/* Requests by what became of them. */
enum gate_outcome { OUT_OK, OUT_REFUSED, OUT_DENIED, OUT_FAILED, OUT_COUNT };

/*
 * A nudge on its way to the writer; the memory is kept for the next one.  FREE: the loop's to fill in.  WAITING: the job is on its way, a second nudge of
 * the same mount goes along.  RUNNING: the writer has begun with it; a second one makes it AGAIN, and the writer does it once more.
 */
struct gate_nudge {
	struct writer_job job; /* first member */
	struct upkeep *upkeep;
	_Atomic enum nudge_state { NUDGE_FREE, NUDGE_WAITING, NUDGE_RUNNING, NUDGE_AGAIN } state;
	char uuid[UUID_LEN + 1]; /* of the mount; "": all */
};
#define GATE_NUDGES 8

struct gate_loop {
	struct reader *reader;
	struct token_cache *cache;
	struct session_cache *sessions;
	struct engine_threads threads;
	struct gate_call *slow;                    /* the calls that have slow work */
	struct gate_nudge nudges[GATE_NUDGES + 1]; /* the last one is for all mounts */
	_Atomic uint64_t outcomes[OUT_COUNT];
	struct gate_streams {
		_Atomic uint64_t open, begun, items, failed;
	} streams;
};

struct gate {
	struct gate_config config;
	struct token_cache *writer_cache; /* the writer's thread only, as writer_sessions */
	struct session_cache *writer_sessions;
	struct gate_loop *loops[GATE_LOOPS_MAX];
	_Atomic unsigned closings; /* so often the store was closed */
};

/* A thread's means for one call. */
struct gate_place {
	struct gate *gate;
	struct txn *txn; /* NULL: closed */
	const struct core_world *world;
	struct token_cache *cache;
	struct session_cache *sessions;
	const struct engine_threads *threads; /* the loop's; NULL: on the writer */
};

/* What gate_authorize found out. */
struct gate_pass {
	struct op op;
	struct caller caller;
	struct mount_facts facts;
	const struct mount *mount;  /* NULL: none covers the path */
	const struct known *known;  /* NULL: no token was needed, or it is none, or a session's */
	struct session_use session; /* .due: it is to be touched, on the writer */
	bool
	    bound; /* a rule speaks of parameters: the query, which it has not looked at, must not reach the handler */
};

/*
 * gate_authorize(p, at, call): token, mount, operation, policy: may this call go on, and to what?  Fills in p and call's operation and mount, whatever
 * it says; the refusal is in call->ans.  On the thread of `at`.
 */
MUST_USE enum status gate_authorize(struct gate_pass *p, const struct gate_place *at,
                                    struct gate_call *call);

/* gate_handle(p, call): the handler, with the work that was done for it; keeps what it leaves.  gate_prepare: the same of prepare. */
MUST_USE enum status gate_handle(struct gate_pass *p, struct gate_call *call);
MUST_USE enum status gate_prepare(struct gate_pass *p, struct gate_call *call);
/* gate_slow_give(p, call): what was done for this operation, into op.  gate_slow_take(p, call, st): after it ran: keeps what it leaves; st, or ST_BUSY when there
 * were rounds enough. */
void gate_slow_give(struct gate_pass *p, const struct gate_call *call);
MUST_USE enum status gate_slow_take(struct gate_pass *p, struct gate_call *call, enum status st);

/*
 * gate_slow_begin(call, done): on the call's loop: let the pool do its work; done runs on the loop then.  ST_BUSY, with the answer filled in: the pool is full, or
 * there were rounds enough.  gate_slow_end(call): on its loop: the call is over.  gate_slow_drop(l): on the loop: the store closes or is opened anew: free all work,
 * or let it be freed when it has ended; nobody will see it.
 */
MUST_USE enum status gate_slow_begin(struct gate_call *call, void (*done)(struct task *));
void gate_slow_end(struct gate_call *call);
void gate_slow_drop(struct gate_loop *l);
/*
 * gate_identify(p, at, call): the session whose token the call shows, and its user, into p and call.  ST_NO_SESSION with the answer filled in.  gate_judge(p, call): may that user do
 * this?  ST_DENIED.  gate_session_touch(at, call, session, err): it was used; fine when nothing is due.  Writer only.
 */
MUST_USE enum status gate_identify(struct gate_pass *p, const struct gate_place *at,
                                   struct gate_call *call);
MUST_USE enum status gate_judge(struct gate_pass *p, struct gate_call *call);
MUST_USE enum status gate_session_touch(const struct gate_place *at, const struct gate_call *call,
                                        const struct session_use *session, struct err *err);

/* gate_on_loop(g, t, l), gate_on_writer(g, t): the means of the one thread and of the other. */
struct gate_place gate_on_loop(struct gate *g, struct txn *t, const struct gate_loop *l);
struct gate_place gate_on_writer(struct gate *g, struct txn *t);
/* gate_subject(call): for the audit.  gate_count(call): what became of it, for the metrics. */
struct audit_subject gate_subject(const struct gate_call *call);
void gate_count(struct gate_call *call);
/* gate_closed_text(st, err): what the caller is told when there is no transaction. */
const char *gate_closed_text(enum status st, const struct err *err);
/* gate_end_token(at, hash, err): on the writer: the token had its last use; with what depends on it. */
MUST_USE enum status gate_end_token(const struct gate_place *at, const char *hash, struct err *err);
/* gate_ran(p, call): on the writer, after a handler: what it wanted of the upkeep. */
void gate_ran(const struct gate_pass *p, const struct gate_call *call);

/*
 * gate_stream_admit(p, call): the last word of gate_authorize: body and operation must go together, and a stream goes on only where it began.  Makes the stream, at the
 * first time; gives the handler its state.
 * gate_stream_keeps(call, hash): on the writer: the token's last use opened this stream, at whose end the token ends; false: now.
 * gate_stream_begins(call): the call is complete, and a stream that begins with that: begun was called.  Else the stream, if there is one, is gone.
 */
MUST_USE enum status gate_stream_admit(struct gate_pass *p, struct gate_call *call);
bool gate_stream_keeps(struct gate_call *call, const char *hash);
bool gate_stream_begins(struct gate_call *call);

/* gate_nudge(l, w, m): on the loop's thread: let the writer tick the mount soon. */
void gate_nudge(struct gate_loop *l, struct writer *w, const struct mount *m);
/* gate_nudges_init(l, upkeep) */
void gate_nudges_init(struct gate_loop *l, struct upkeep *u);

#endif
