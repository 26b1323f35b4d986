/* What the files of the gate share. */
#ifndef CORE_GATE_IMPL_H
#define CORE_GATE_IMPL_H

#include "core/gate.h"
#include "core/token_cache.h"

#define GATE_LOOPS_MAX EPOCH_READERS_MAX

/* Requests by what became of them. */
enum gate_outcome { OUT_OK, OUT_REFUSED, OUT_DENIED, OUT_FAILED, OUT_COUNT };

struct gate_loop {
	struct reader *reader;
	struct token_cache *cache;
	_Atomic uint64_t outcomes[OUT_COUNT];
};

struct gate {
	struct gate_config config;
	struct token_cache *writer_cache; /* the writer's thread only */
	struct gate_loop *loops[GATE_LOOPS_MAX];
};

/* A thread's means for one call. */
struct gate_place {
	struct gate *gate;
	struct txn *txn; /* NULL: closed */
	const struct core_world *world;
	struct token_cache *cache;
};

/* What gate_authorize found out. */
struct gate_pass {
	struct op op;
	struct caller caller;
	struct mount_facts facts;
	const struct known *known; /* NULL: no token was needed, or it is none */
	bool
	    bound; /* a rule speaks of parameters: the query, which it has not looked at, must not reach the handler */
};

/*
 * gate_authorize(p, at, call): token, mount, operation, policy: may this call go on, and to what?  Fills in p and call's operation and mount, whatever
 * it says; the refusal is in call->ans.  On the thread of `at`.
 */
MUST_USE enum status gate_authorize(struct gate_pass *p, const struct gate_place *at,
                                    struct gate_call *call);

#endif
