/*
 * Guarded memory: locked, kept out of core dumps and forked children, fenced by guard pages, wiped on release.
 * Key bytes live here and nowhere else.  Served from a few arenas, since one guarded allocation each would cost 8 KB.
 */
#ifndef CRYPTO_SECRET_H
#define CRYPTO_SECRET_H

#include "base/bytes.h"

/*
 * secret_setup(budget, err): once, before threads and before any other call of crypto/.  Makes the process undumpable with core
 * limit 0, initialises libsodium, checks that `budget` bytes can be locked (RLIMIT_MEMLOCK; raised to the hard limit first) and puts
 * OpenSSL's allocator on locked memory (CRYPTO_set_mem_functions) that is wiped on free.  ST_LIMIT with a text that names
 * the limit to raise when they cannot; it is never skipped.  ST_UNAVAILABLE when OpenSSL was used before.  A server that
 * drops privilege does so first: what root may lock, its successor may not, and a change of user makes a process dumpable again.
 * A child forked later sees zeros where secrets and OpenSSL's objects were: it may only exec or _exit.  Calling it again is allowed.
 */
#define SECRET_BUDGET_DEFAULT ((size_t)4 << 20)
MUST_USE enum status secret_setup(size_t budget, struct err *err);

/*
 * secret_starved(): whether OpenSSL was refused memory on this thread since this was asked last.  Its functions do not always say so: some give the same
 * answer as for wrong input.
 */
bool secret_starved(void);

/*
 * secret_alloc(n): n zeroed bytes aligned to 64, for expanded keys and other structures that hold key material; NULL when
 * no memory can be had or locked.  secret_release(p): wiped and given back; NULL is fine.  Any thread.
 */
void *secret_alloc(size_t n);
void secret_release(void *p);

/* Some key bytes with their length.  Never copied by assignment, never formatted; there is no function that prints one. */
struct secret;

/* secret_new(n, ret): n zero bytes.  secret_from(bytes, ret): a copy; the caller wipes its own.  ST_NOMEM.  secret_free: wiped. */
MUST_USE enum status secret_new(size_t n, struct secret **ret);
MUST_USE enum status secret_from(struct span bytes, struct secret **ret);
void secret_free(struct secret **s);
size_t secret_len(const struct secret *s);
uint8_t *secret_bytes(struct secret *s);
struct span secret_span(const struct secret *s);

/* secret_locked_bytes(): how much memory is locked now, in use or kept for the next use (OpenSSL's too), for metrics.  Any thread. */
size_t secret_locked_bytes(void);

/*
 * Scratch memory for decrypted values: blocks of locked memory handed out front to back and all wiped at once.
 * One thread each.  arena_alloc never moves what it gave.  arena_reset wipes what was used and keeps the first block;
 * arena_free wipes and frees all (and zeroes the struct).  A zeroed struct is an empty arena.
 */
struct arena_block;
struct arena {
	struct arena_block *first, *last;
	size_t used; /* bytes given since the last reset */
};
uint8_t *arena_alloc(struct arena *a, size_t n); /* NULL: no memory; aligned to 16 */
void *arena_alloc64(struct arena *a, size_t n);  /* the same, aligned to 64: for aead_key_place */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
