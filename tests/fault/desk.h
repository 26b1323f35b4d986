/*
 * A house behind a counter: requests as http has them, one at a time.  Its loop is the test's own thread, and nothing in here allocates while a request is under
 * way, so that what is counted is the server's.
 */
#ifndef TESTS_FAULT_DESK_H
#define TESTS_FAULT_DESK_H

#include "api/api.h"
#include "engine/engine.h"

#define DESK_SHARES    5
#define DESK_THRESHOLD 3

struct desk;

/* desk_process(state): as house_process. */
int desk_process(void **state);

/* desk_new(): a new store, the server started, not initialised.  desk_ready(): initialised, open, kv at secret/, the toy (fault/toy.h) at toy/, by the root token. */
struct desk *desk_new(void);
struct desk *desk_ready(void);
/* desk_ready_with(engine, self): initialised, open, kv at secret/; and what can be mounted besides is this engine, not the toy. */
struct desk *desk_ready_with(const struct engine *engine, void *self);
void desk_free(struct desk **d);
/* desk_restart(d): a clean stop and a start over the same store; not open. */
void desk_restart(struct desk *d);

/*
 * desk_ask(d, method, target, token, body): one request on a connection of its own, waited for; the HTTP status.  token: NULL: none; body: JSON or NULL.
 * Where what it asks for is a stream, the body goes there in two pieces; then the status is 200 unless a line says "error", or the client was cut off (503).
 * desk_body(d): the text of its answer.  desk_member(d, path, buf, cap): a string of it, "data/id"; fails the test when there is none.
 */
unsigned desk_ask(struct desk *d, enum http_method method, const char *target, const char *token,
                  const char *body);
const char *desk_body(const struct desk *d);
void desk_member(const struct desk *d, const char *path, char *buf, size_t cap);

/* desk_root(d): by the root token, with the test failing unless the status is `want`. */
const char *desk_root(const struct desk *d);
void desk_must(struct desk *d, unsigned want, enum http_method method, const char *target,
               const char *body);

/* desk_init(d): the request.  desk_keep(d): remember the shares and the root token that its answer holds.  desk_share(d, i): as hex. */
unsigned desk_init(struct desk *d);
void desk_keep(struct desk *d);
const char *desk_share(const struct desk *d, unsigned i);
/* desk_unseal(d, from): hands in as many shares as are needed, beginning at this one; it must be open then. */
void desk_unseal(struct desk *d, unsigned from);
bool desk_is_open(struct desk *d);

/* desk_settle(d): what was due at the clock's time is done.  desk_later(d): ten minutes later (what failed is tried again), and settled. */
void desk_settle(struct desk *d);
/* desk_now(d): the wall time. */
int64_t desk_now(const struct desk *d);
void desk_later(struct desk *d);

/*
 * desk_dump(d, out): everything that an open server holds and shows: terms, settings, mounts, policies, all records in clear; but for what the gate itself
 * records (uses of tokens).  Fails the test unless the records under each term are as many as the usage says.
 */
void desk_dump(struct desk *d, struct builder *out);

#endif
