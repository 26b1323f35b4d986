/* Textual encoding of DER: "-----BEGIN LABEL-----".  Source: RFC 7468.  Private to crypto/. */
#ifndef CRYPTO_PEM_H
#define CRYPTO_PEM_H

#include "base/bytes.h"

/* pem_len(label, n): characters of a block that holds n bytes, its last line end included.  pem_write(label, der, out): just so many, no NUL.
 * CT: der's length only. */
size_t pem_len(const char *label, size_t n);
void pem_write(const char *label, struct span der, char *out);

/*
 * pem_next(c, label, ret): the contents of the next block onto ret, with the cursor behind it; text before a block is passed over.  ST_NOT_FOUND: there is no further
 * block.  ST_INVALID: it has another label, no end, header lines, no contents or malformed ones.  ST_LIMIT, ST_NOMEM: as the builder.  After a failure
 * ret may hold a part.  For public text alone.
 */
MUST_USE enum status pem_next(struct cursor *c, const char *label, struct builder *ret);

#endif
