/*
 * The allocator under secret_alloc, the arenas and OpenSSL: locked pages cut into slots of fixed sizes.  Private to crypto/.
 */
#ifndef CRYPTO_SECRET_POOL_H
#define CRYPTO_SECRET_POOL_H

#include <stdbool.h>
#include <stddef.h>

/* Slots from 64 bytes up start at a multiple of 64, smaller ones at a multiple of 16. */
#define SECRET_ALIGN ((size_t)64)

/*
 * secret_pool_get(n): n zeroed bytes of locked memory, n > 0; NULL when no memory can be had or locked.  secret_pool_put(p): wiped and
 * given back; a pointer that was not handed out, or was given back already, is a MUST.  Any thread.
 */
void *secret_pool_get(size_t n);
void secret_pool_put(void *p);

/* secret_pool_room(p): how many bytes may be used at p, at least what was asked for. */
size_t secret_pool_room(const void *p);

/* secret_pool_lockable(n): true when n more bytes can be locked now; they are given back at once. */
bool secret_pool_lockable(size_t n);

/* secret_pool_locked(): bytes of locked pages, used or waiting for use. */
size_t secret_pool_locked(void);

#endif
