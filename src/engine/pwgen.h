/* Passphrases at random.  Nothing is longer or more than its maximum; each possible result is equally likely. */
#ifndef ENGINE_PWGEN_H
#define ENGINE_PWGEN_H

#include "crypto/random.h"
#include "engine/passphrase.h"

enum pwgen_type {
	PWGEN_SECURE,        /* letters, digits and signs */
	PWGEN_PRONOUNCEABLE, /* consonants and vowels in turn */
	PWGEN_PIN,           /* digits */
	PWGEN_BYTES,         /* as hexadecimal digits */
	PWGEN_DICEWORD,      /* words of a long list */
	PWGEN_OPIE           /* 128 bits as twelve short words (RFC 1751) */
};
#define PWGEN_TYPES 6

/* pwgen_type_name(t): "secure".  pwgen_type_find(name, ret): also "pronouncable", as a client spells it.  ST_NOT_FOUND. */
const char *pwgen_type_name(enum pwgen_type t);
MUST_USE enum status pwgen_type_find(struct span name, enum pwgen_type *ret);

struct pwgen {
	enum pwgen_type type;
	size_t length;                          /* of all but words: characters, or bytes */
	size_t words;                           /* of PWGEN_DICEWORD */
	size_t min_char, max_char;              /* of each word; max_char 0: any */
	struct span delimiter;                  /* between words */
	const struct passphrase_policy *policy; /* PWGEN_SECURE keeps it; NULL: none */
};
#define PWGEN_WORDS_MAX     64
#define PWGEN_DELIMITER_MAX 8 /* bytes */

/* pwgen_default(type): what a call that says nothing else gets. */
struct pwgen pwgen_default(enum pwgen_type type);

/* pwgen_make(p, random, out, err): into out, which is empty.  ST_INVALID names what cannot be: too long, too few words of this length, a policy that asks for more than length. */
MUST_USE enum status pwgen_make(const struct pwgen *p, const struct random *random,
                                struct builder *out, struct err *err);

#endif
