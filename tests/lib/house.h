/*
 * All of the server but http: a store in memory that can fail, the writer's thread, seal, sys and gate, and one event loop; for tests of the gate and
 * the dialects.  The clock is set by hand.
 */
#ifndef LIB_HOUSE_H
#define LIB_HOUSE_H

#include <pthread.h>

#include "core/floor.h"
#include "core/gate.h"
#include "core/sys.h"
#include "lib/faultstore.h"

/* Who runs the loop: a thread of its own, or the test, which waits for nothing else then. */
enum house_runner { HOUSE_THREAD, HOUSE_TEST };

/* One loop: what is posted is run, then the turn ends. */
struct house_loop {
	struct loop loop; /* first member */
	enum house_runner runner;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct task *first, **last;
	bool ending;
	pthread_t thread;
};

/* The index of its loop; smaller ones are free for others, which a test joins to its gate. */
#define HOUSE_LOOP 100
/* Slow work that waits at most. */
#define HOUSE_WAITING 4

/* What a test wants otherwise than it is with zeros. */
struct house_config {
	const char *audit_file;              /* a file device writes there; NULL: none */
	const struct engine *engine;         /* operators can mount this one too */
	void *self;                          /* its own */
	const struct storage_driver *driver; /* NULL: a faultstore */
	enum house_runner runner;
	int64_t ttl_s;    /* of tokens, the longest; 0: two hours, and one unless asked */
	unsigned waiting; /* slow work that waits at most; 0: HOUSE_WAITING */
};

struct house {
	struct house_config config;
	/* what outlives a server */
	struct storage *store;
	struct clock_manual clock;
	struct slots *slots;
	/* the server */
	struct readers *readers;
	struct writer *writer;
	struct seal *seal;
	struct sched *sched;
	struct engine_table engines; /* kv, and what the test adds */
	struct upkeep *upkeep;
	struct pool *pool; /* one worker */
	struct audit *audit;
	struct metrics *metrics;
	struct sys *sys;
	struct gate *gate;
	struct floor floor;
	struct house_loop loop;
	char root[64], share[128]; /* after house_open */
	/* of the last house_ask; texts end in NUL */
	struct builder data, auth;
	char text[ERR_TEXT_MAX];
};

/* setup of a test group: guarded memory, no log. */
int house_process(void **state);

/* house_build(config): a store not initialised yet.  house_new(audit_file), house_with(engine, self, audit_file): shorter. */
struct house *house_build(const struct house_config *config);
struct house *house_new(const char *audit_file);
struct house *house_with(const struct engine *engine, void *self, const char *audit_file);
/* house_open: initialise with one share and unseal (HOUSE_THREAD).  house_free: a clean stop.  house_restart: a clean stop, and a new server over the same
 * store, sealed. */
void house_open(struct house *h);
void house_free(struct house **h);
void house_restart(struct house *h);

/*
 * One request (HOUSE_THREAD).  path may begin with the query's parameters behind a '?', not escaped; body: JSON or NULL; token "": none.  house_ask waits and gives the
 * status of the answer; house_send does not wait, house_wait gives the status later.
 */
struct house_call;
struct house_call *house_send(struct house *h, enum verb verb, const char *path, const char *token,
                              const char *body);
enum status house_wait(struct house *h, struct house_call **c);
enum status house_ask(struct house *h, enum verb verb, const char *path, const char *token,
                      const char *body);
/* house_member(text, name, buf, cap): a string among the members of the JSON object `text`. */
void house_member(const struct builder *text, const char *name, char *buf, size_t cap);
/* house_token(h, body, buf): auth/token/create by the root token. */
void house_token(struct house *h, const char *body, char buf[static 64]);
/* house_policy(h, name, path, capabilities): one rule, e.g. "read\",\"list". */
void house_policy(struct house *h, const char *name, const char *path, const char *capabilities);

/* house_turn(h): HOUSE_TEST: end the turn, wait until something is posted, and run it. */
void house_turn(struct house *h);
/* house_on_loop(h, fn, arg): HOUSE_THREAD: fn on the loop's thread, waited for. */
void house_on_loop(struct house *h, void (*fn)(void *arg), void *arg);
/* house_flush(h): the loop has handed over, or answered, what was sent before. */
void house_flush(struct house *h);
/* house_hold(h): the writer stands still until house_release: what is sent meanwhile comes into one group. */
void house_hold(struct house *h);
void house_release(struct house *h);
/* house_settle(h): what was due at the clock's time is done, or was tried.  house_later(h, s): s seconds later, and settled. */
void house_settle(struct house *h);
/* house_due(h): what was due ran; true: something is due still, or again. */
bool house_due(struct house *h);
void house_later(struct house *h, int64_t seconds);

/* fn in a transaction of the writer; its status after the commit. */
enum status house_write(struct house *h,
                        enum status (*fn)(void *arg, struct txn *t, struct err *err), void *arg);
/* fn alone on the writer's thread, as a control job, t being NULL. */
enum status house_control(struct house *h,
                          enum status (*fn)(void *arg, struct txn *t, struct err *err), void *arg);
/* house_fail_commit(h, how): the next commit. */
void house_fail_commit(struct house *h, enum faultstore_commit how);

#endif
