/*
 * The gate, which every request of every dialect passes: audit in, token, policy, mount, operation, audit out.  It decides whether a handler runs on
 * the loop where the request arrived or on the writer, and it is the only way to reach an engine.
 *
 *   gate_submit --authorize--> OP_READ: handler --------------------------------> done
 *        |                        `-- ST_NEEDS_WRITER, or a token with limited uses --.
 *        |                     OP_WRITE ----------------------------------------------+--> writer: authorize again, handler, commit --> done
 *        |                     OP_CONTROL --> (writer: authorize again) --> writer, alone: handler --> done
 *        `-- refused -------------------------------------------------------------> done
 *
 * Slow work comes before the handler: prepare, or the handler itself (ST_PENDING), makes it; it runs on the pool; then the call is authorized again on its
 * loop and goes on as above, to the handler, which finds the work done.
 *
 * A request of a token with limited uses goes to the writer in any case, to be charged, also when it is refused.
 *
 * OP_STREAM is opened like OP_READ, and charged one use; where the others are done it has begun: begun, then gate_stream for each piece of its body, to
 * the end (gate_stream.c).
 *
 * Verdicts have two sources.  The holder of a service token may do what its policies say; a user who logged in, what the operation's need (engine/engine.h) says of its status and
 * of its level in the vault that the path names (gate_session.c).
 */
#ifndef CORE_GATE_H
#define CORE_GATE_H

#include "barrier/reader.h"
#include "barrier/writer.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/message.h"
#include "core/audit.h"
#include "core/login_session.h"
#include "core/login_user.h"
#include "core/metrics.h"
#include "core/pool.h"
#include "core/token.h"
#include "core/upkeep.h"
#include "engine/engine.h"

struct gate;

enum gate_body { GATE_BODY_WHOLE, GATE_BODY_STREAM };

/* One request on its way.  The dialect owns it, fills in loop, body, done, begun, resumed and req (but its id and time, which the gate gives), and leaves it alone until done was called. */
struct gate_call {
	struct request req;
	struct answer ans;
	struct loop *loop;
	/* GATE_BODY_STREAM, as gate_streams said: req.data is NULL, the body comes by gate_stream. */
	enum gate_body body;
	/* done(call): on the loop's thread, exactly once; ans is complete. */
	void (*done)(struct gate_call *call);
	/* For GATE_BODY_STREAM.  begun(call): instead of done.  resumed(call): after STREAM_PAUSE; both on the loop's thread, never from within gate_stream. */
	void (*begun)(struct gate_call *call);
	void (*resumed)(struct gate_call *call);
	void *owner;

	/* the gate's */
	struct gate *gate;
	struct writer_job job;
	struct task task;
	const struct operation *op;
	const char *operation; /* "create", "update", "read" ... for the audit */
	const struct audit_salts *salts;
	struct token
	    who; /* a copy for the audit of the answer; who.hash is "" when there is none */
	/* of a session: the token to use next, and who it is, for the audit; "": none */
	char next_token[SESSION_TEXT_LEN + 1];
	char accessor[SESSION_ACCESSOR_LEN + 1];
	char username[4 * USER_NAME_MAX + 1];
	char mount_path[130];
	const char *mount_type;
	bool audited;
	bool changed; /* by an OP_READ on the writer: see struct op */
	bool
	    limited; /* a use of the token is to be written down: one of a limited number, or one that a session must remember */
	struct gate_slow {
		struct slow *work;          /* NULL: none */
		const struct operation *op; /* that it is for, and the mount */
		char mount[UUID_LEN + 1];
		unsigned rounds; /* works so far */
		struct pool_job job;
		_Atomic enum gate_slow_state { SLOW_IDLE, SLOW_AT_WORK, SLOW_DROPPED } state;
		struct gate_call *next,
		    **at; /* the loop's list of those that have work; at is NULL: not in it */
	} slow;
	struct gate_stream *stream;
	enum gate_stage { GATE_WRITE, GATE_CHARGE, GATE_CHECK, GATE_CONTROL } stage;
};

struct gate_config {
	struct readers *readers;
	struct writer *writer;
	struct audit *audit;
	const struct clock *clock;
	const struct random *random;
	/* the operations that exist while there is no world: those of sys with OP_ANY_STATE */
	const struct engine *sys;
	void *sys_self;
	const struct engine_table *engines; /* that operators can mount */
	struct upkeep *upkeep;
	struct pool *pool; /* for slow work */
	/* token_ended(sys_self): a token had its last use; what depends on it waits to be purged.  On the writer's thread. */
	void (*token_ended)(void *sys_self);
	int64_t default_lease_ttl_s, max_lease_ttl_s;
};

MUST_USE enum status gate_new(const struct gate_config *config, struct gate **ret, struct err *err);
/* gate_free(g): the loops' threads have ended. */
void gate_free(struct gate **g);

/* gate_join(g, loop, err): make ready for the requests of a loop, before it starts; sets the loop's ctx and turn_end. */
MUST_USE enum status gate_join(struct gate *g, struct loop *loop, struct err *err);

/* gate_submit(g, call): on call->loop's thread.  Never fails: what cannot be done is answered. */
void gate_submit(struct gate *g, struct gate_call *call);

/*
 * gate_streams(g, call): on call->loop's thread, before gate_submit; call needs loop, req.verb and req.path.  Is what stands there a stream?  Says nothing about
 * rights.  While the store is closed: might it be one, for all that could be mounted?
 */
bool gate_streams(struct gate *g, const struct gate_call *call);

/* gate_stream_kind(call): of a stream that has begun. */
const struct stream_kind *gate_stream_kind(const struct gate_call *call);
/*
 * gate_stream(call, v): after begun, on the loop's thread: authorizes anew, and lets the operation do its part.  STREAM_OVER: the stream is at its end, audited, and
 * the call is done with; a last line says why when it is not a good end.  STREAM_PAUSE: resumed follows.
 * gate_stream_abort(call): it will not be visited any more; audited; the call is done with.  Not during a pause.
 */
MUST_USE enum stream_step gate_stream(struct gate_call *call, struct stream_visit *v);
void gate_stream_abort(struct gate_call *call);

/* gate_changed(call): in done: what was asked for changes something, or did so on its way (op->changed), and was carried out. */
bool gate_changed(const struct gate_call *call);

/* gate_forget(call): wipes what the gate keeps in a call that will not be used again. */
void gate_forget(struct gate_call *call);

/* gate_stopped(g): the store closes and all loops have stopped reading: returns when no slow work holds a key any more.  On the writer's thread. */
void gate_stopped(struct gate *g);

/* gate_closed(g): the store was closed; forget the writer's callers.  On the writer's thread. */
void gate_closed(struct gate *g);

/* gate_metrics(g, out): a source for metrics. */
void gate_metrics(void *gate, struct metrics_out *out);

#endif
