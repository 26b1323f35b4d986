/*
 * Large whole numbers, as big-endian bytes and as decimal text: backups of keys hold them as decimal integers.  They are secrets: the caller's
 * buffers are locked memory, and nothing else is written but the thread's scratch memory, which is wiped.
 * CT: lengths show, and how many digits or bytes the number has; nothing else.
 */
#ifndef CRYPTO_DECIMAL_H
#define CRYPTO_DECIMAL_H

#include "base/bytes.h"

/* The largest number, in bytes. */
#define DECIMAL_BYTES_MAX ((size_t)1024)
/* Digits that n bytes may have. */
#define DECIMAL_LEN(n) ((n)*241 / 100 + 1)

/*
 * decimal_parse(text, out, n): the number into just n bytes, n at most DECIMAL_BYTES_MAX (MUST), with leading zeros.  text is digits alone and has
 * no leading zero, unless it is "0": ST_INVALID.  ST_LIMIT: it needs more than n bytes.  After a failure out is zero.
 */
MUST_USE enum status decimal_parse(struct span text, uint8_t *out, size_t n);

/*
 * decimal_text(number, out, ret_n): the digits of the number, which may have leading zeros and at most DECIMAL_BYTES_MAX bytes (MUST), into
 * DECIMAL_LEN(number.n) bytes at out, of which ret_n are used; no NUL.  Zero, and no bytes at all, are "0".  ST_NOMEM: no scratch memory.
 */
MUST_USE enum status decimal_text(struct span number, char *out, size_t *ret_n);

#endif
