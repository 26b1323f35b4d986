/* What the JSON reader and the JSON writer share: finding the bytes of a string that need care. */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include "base/bytes.h"

/*
 * json_plain(s): how many bytes at the start of s stand for themselves in a JSON string: ASCII without control bytes, quote and
 * backslash.  SSE2 on x86-64; json_plain_scalar is its twin for elsewhere and for tests.
 */
size_t json_plain(struct span s);
size_t json_plain_scalar(struct span s);

#endif
