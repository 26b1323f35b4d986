/*
 * Calls of transit without the gate: one mount in a store in memory; handlers run on a reader's transaction or the writer's, as their table says; slow work is
 * done at once.
 */
#ifndef TESTS_UNIT_ENGINE_BOOTH_H
#define TESTS_UNIT_ENGINE_BOOTH_H

#include "../barrier/rig.h"
#include "engine/transit.h"

struct booth {
	struct rig *rig;
	struct transit *transit;
	void *loop, *writer; /* what transit keeps for a thread */
	/* what a call finds changed when its slow work is done; for the next call that has some */
	void (*meanwhile)(struct booth *b);
	/* around each run of a handler and each work; NULL: nothing */
	void (*before)(void), (*after)(void);
	/* of the last call */
	enum status status;
	struct answer answer;
	struct json data;     /* of the answer of a call that went well */
	struct builder shown; /* the last text that was asked for */
	unsigned slow;        /* works that were done for it */
};

/* setup and teardown of a test: *state is a booth.  booth_process: setup of the group. */
int booth_process(void **state);
int booth_new(void **state);
int booth_free(void **state);

/* booth_ask(b, verb, path, body): path below the mount; body: JSON, or NULL.  The status of the call, after its commit. */
enum status booth_ask(struct booth *b, enum verb verb, const char *path, const char *body);
/* booth_post: a call of VERB_WRITE.  booth_good: one that must go well.  booth_refused: one that must be the caller's mistake, and whose error has `why` in it. */
enum status booth_post(struct booth *b, const char *path, const char *body, ...) PRINTF_LIKE(3, 4);
void booth_good(struct booth *b, const char *path, const char *body, ...) PRINTF_LIKE(3, 4);
void booth_refused(struct booth *b, const char *why, const char *path, const char *body, ...)
    PRINTF_LIKE(4, 5);

/*
 * Of the last answer, which must have it: booth_text: a string; booth_true: a boolean; booth_items: how many batch_results there are; booth_item: one of
 * them.  booth_member(b, v, name): a string of v; NULL: it has none of that name.  Strings are valid until the next one is asked for.
 */
const char *booth_text(struct booth *b, const char *name);
/* booth_keep: the same, copied with its NUL. */
void booth_keep(struct booth *b, const char *name, char *ret, size_t cap);
bool booth_true(struct booth *b, const char *name);
size_t booth_items(struct booth *b);
const struct json_value *booth_item(struct booth *b, size_t i);
const char *booth_member(struct booth *b, const struct json_value *v, const char *name);

/* booth_last_used(b, key, version, ret): the day on which a version was used last, as the server tells it. */
void booth_last_used(struct booth *b, const char *key, const char *version, char ret[static 16]);

#endif
