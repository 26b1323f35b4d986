/* Lists of words that passphrases are made of. */
#ifndef ENGINE_WORDS_H
#define ENGINE_WORDS_H

#include <stddef.h>

struct word_list {
	const char *const *words;
	size_t n;
};

extern const struct word_list words_eff; /* 7,776 English words */
extern const struct word_list words_otp; /* 2,048 short ones, each for 11 bits (RFC 2289) */

#endif
