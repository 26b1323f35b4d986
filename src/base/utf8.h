/* UTF-8 as RFC 3629 section 4 defines it. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/bytes.h"

/* utf8_length(s): how many bytes the character at the start of s has; 0 when it is malformed or cut, or s is empty. */
size_t utf8_length(struct span s);
/* utf8_valid(s): s is nothing but such characters. */
bool utf8_valid(struct span s);

/* utf8_encode(code, out): the bytes of a code point, at most four; 0 when it is a surrogate or above 0x10ffff. */
size_t utf8_encode(uint32_t code, uint8_t out[static 4]);

#endif
