/*
 * What tests look at from outside while the server runs; only in builds with -Dtest_hooks=true, else hooks_new gives NULL and nothing is called.
 *
 * KEYTURN_TEST_COUNT_FILE names a file of little-endian 64-bit counters, one a term (index: the term's number): every encryption under a term is
 * counted there before it is done, in mapped memory, so that the count survives the death of the process.
 *
 * KEYTURN_TEST_DUMPABLE=1 takes back that the process is undumpable, so that a test without privilege may read its memory.
 */
#ifndef HOOKS_H
#define HOOKS_H

#include <stdint.h>

#include "base/status.h"

struct hooks;

/* hooks_new(ret, err): after secret_setup.  *ret is NULL when nothing is to be counted. */
MUST_USE enum status hooks_new(struct hooks **ret, struct err *err);
void hooks_free(struct hooks **h);
/* On the writer's thread. */
void hooks_term_made(struct hooks *h, uint32_t term);
void hooks_encrypted(struct hooks *h, uint32_t term);

#endif
