/* base64 as callers send it, read one character after another: what the fast reader is compared with. */
#ifndef LIB_SLOW_BASE64_H
#define LIB_SLOW_BASE64_H

#include "base/bytes.h"

/*
 * slow_base64(s, out, ret_at): RFC 4648, line ends passed over; appends the bytes to out (whatever it says).  false: *ret_at is the first that no good text could
 * have there; of a group that is cut off or has bits that mean nothing, the group's first; the length, when padding is missing at the end.
 */
bool slow_base64(struct span s, struct builder *out, size_t *ret_at);

#endif
