/*
 * OpenSSL cipher contexts of one key.  A context holds a key schedule and may be used by one thread at a time.  Making one for each message
 * costs five times the cipher, and one kept in each thread would keep the schedules of keys that were destroyed.  So a key owns a small
 * shelf of contexts: a call takes one (or makes one when the shelf is empty) and puts it back; freeing the key frees
 * them all.  Private to crypto/.
 */
#ifndef CRYPTO_EVP_SHELF_H
#define CRYPTO_EVP_SHELF_H

#include <openssl/evp.h>

#include "base/bytes.h"

struct evp_shelf;

/*
 * evp_shelf_new(cipher, key, ret): contexts of this cipher with this key set; with an empty key, none: who takes one sets it.  In guarded
 * memory, the first context made.  ST_NOMEM (also when cipher is NULL: it could not be fetched).  evp_shelf_free: wiped; nobody has one taken.
 */
MUST_USE enum status evp_shelf_new(const EVP_CIPHER *cipher, struct span key,
                                   struct evp_shelf **ret);
void evp_shelf_free(struct evp_shelf **s);

/*
 * evp_shelf_take(s): a context for this thread alone; NULL without memory.  evp_shelf_give: back, good for the next use.  evp_shelf_drop: one in an
 * unknown state is not used again; clears OpenSSL's errors.  Any thread, no lock.
 */
EVP_CIPHER_CTX *evp_shelf_take(struct evp_shelf *s);
void evp_shelf_give(struct evp_shelf *s, EVP_CIPHER_CTX *c);
void evp_shelf_drop(EVP_CIPHER_CTX *c);

#endif
