/*
 * Shamir's secret sharing over GF(256), byte by byte, without tables (A. Shamir, "How to share a secret", 1979).  A share is the
 * polynomial's values followed by one byte of x coordinate (1 to 255), the form that operators of Vault know.
 * CT: the number and length of shares may show in timing, nothing else.
 */
#ifndef SEAL_SHAMIR_H
#define SEAL_SHAMIR_H

#include "crypto/random.h"
#include "crypto/secret.h"

#define SHAMIR_SHARES_MAX 255

/*
 * shamir_split(whole, shares, threshold, random, ret): fill ret[0..shares) with new secrets of secret_len(whole) + 1 bytes, the caller's to free.
 * 2 <= threshold <= shares <= 255 (MUST).  x coordinates are distinct and in random order.  ST_NOMEM.
 */
MUST_USE enum status shamir_split(const struct secret *whole, unsigned shares, unsigned threshold,
                                  const struct random *random, struct secret **ret);

/*
 * shamir_join(shares, n, ret): the secret through n shares of equal length; ret has that length less one.  Fewer shares than the threshold give a wrong
 * secret, not an error.  ST_INVALID: lengths differ, an x coordinate is 0 or stands twice.
 */
MUST_USE enum status shamir_join(struct secret *const *shares, unsigned n, struct secret *ret);

#endif
