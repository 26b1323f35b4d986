#include "engine/pwgen.h"

#include <string.h>

#include "engine/words.h"

#define CHARACTERS_MAX 1024
#define OPIE_BITS      128
#define WORD_BITS      11
#define WORDS_LEAST    256 /* of a list that is left by min_char and max_char */
#define POLICY_TRIES   100000
/* Signs that need no care in quotes, in a shell's or in a page. */
#define SIGNS   "!#%()*+,-./:;=?@[]^_{}~"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

static const struct {
	const char *name;
	size_t length, max;
} types[PWGEN_TYPES] = {
    [PWGEN_SECURE] = {"secure", 40, CHARACTERS_MAX},
    [PWGEN_PRONOUNCEABLE] = {"pronounceable", 12, CHARACTERS_MAX},
    [PWGEN_PIN] = {"pin", 4, 100},
    [PWGEN_BYTES] = {"bytes", 32, 1024},
    [PWGEN_DICEWORD] = {"diceword", 0, 0},
    [PWGEN_OPIE] = {"opie", OPIE_BITS, OPIE_BITS},
};

const char *pwgen_type_name(enum pwgen_type t)
{
	MUST(t < PWGEN_TYPES);
	return types[t].name;
}

enum status pwgen_type_find(struct span name, enum pwgen_type *ret)
{
	if (span_eq_str(name, "pronouncable")) {
		*ret = PWGEN_PRONOUNCEABLE;
		return ST_OK;
	}
	for (unsigned t = 0; t < PWGEN_TYPES; t++) {
		if (span_eq_str(name, types[t].name)) {
			*ret = (enum pwgen_type)t;
			return ST_OK;
		}
	}
	return ST_NOT_FOUND;
}

struct pwgen pwgen_default(enum pwgen_type type)
{
	return (struct pwgen){.type = type,
	                      .length = types[type].length,
	                      .words = 5,
	                      .min_char = 2,
	                      .delimiter = span_str("-")};
}

static void add_text(struct builder *out, const struct random *random, const char *alphabet,
                     size_t n)
{
	uint8_t *room = builder_room(out, n);

	if (room == NULL)
		return;
	random_text(random, alphabet, (char *)room, n);
	builder_took(out, n);
}

static void add_pronounceable(struct builder *out, const struct random *random, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_text(out, random, i % 2 == 0 ? "bcdfghjklmnprstvwz" : "aeiouy", 1);
}

static void add_bytes(struct builder *out, const struct random *random, size_t n)
{
	add_text(out, random, "0123456789abcdef", 2 * n);
}

/* A number below n, each equally likely. */
static size_t below(const struct random *random, size_t n)
{
	uint8_t be[4];
	uint32_t v, over = (uint32_t)(UINT32_MAX - UINT32_MAX % n);

	do {
		random_fill(random, be, sizeof be);
		v = (uint32_t)be[0] << 24 | (uint32_t)be[1] << 16 | (uint32_t)be[2] << 8 | be[3];
	} while (v >= over);
	return v % n;
}

static bool fits(const struct pwgen *p, const char *word)
{
	size_t n = strlen(word);

	return n >= p->min_char && (p->max_char == 0 || n <= p->max_char);
}

static enum status add_words(struct builder *out, const struct random *random,
                             const struct pwgen *p, struct err *err)
{
	size_t left = 0;

	if (p->words == 0 || p->words > PWGEN_WORDS_MAX)
		return err_set(err, ST_INVALID, "words must be 1 to %d", PWGEN_WORDS_MAX);
	if (p->delimiter.n > PWGEN_DELIMITER_MAX)
		return err_set(err, ST_INVALID, "delimiter must have at most %d bytes",
		               PWGEN_DELIMITER_MAX);
	for (size_t i = 0; i < words_eff.n; i++)
		left += fits(p, words_eff.words[i]);
	if (left < WORDS_LEAST)
		return err_set(err, ST_INVALID,
		               "min_char and max_char leave too few words to choose from");
	for (size_t made = 0; made < p->words;) {
		const char *word = words_eff.words[below(random, words_eff.n)];

		if (!fits(p, word))
			continue;
		if (made > 0)
			builder_add(out, p->delimiter);
		builder_str(out, word);
		made++;
	}
	return ST_OK;
}

/* RFC 1751: 64 bits and the sum of their pairs, two bits, as six words. */
static void add_opie_half(struct builder *out, const struct random *random)
{
	uint8_t bytes[9] = {0};
	unsigned parity = 0;

	random_fill(random, bytes, 8);
	for (size_t i = 0; i < 8; i++)
		for (unsigned k = 0; k < 8; k += 2)
			parity += (unsigned)bytes[i] >> k & 3u;
	bytes[8] = (uint8_t)(parity << 6);
	for (size_t w = 0; w < 6; w++) {
		size_t index = 0;

		for (size_t bit = w * WORD_BITS; bit < (w + 1) * WORD_BITS; bit++)
			index = index << 1 | ((size_t)bytes[bit / 8] >> (7 - bit % 8) & 1u);
		if (out->n > 0)
			builder_u8(out, ' ');
		builder_str(out, words_otp.words[index]);
	}
	wipe(bytes, sizeof bytes);
}

static bool keeps(const struct passphrase_policy *policy, struct span text)
{
	for (size_t i = 0; policy != NULL && i < policy->n_rules; i++)
		if (!passphrase_keeps(&policy->rules[i], text))
			return false;
	return true;
}

/* Those that do not keep the policy are thrown away, so that the rest stay equally likely. */
static enum status add_secure(struct builder *out, const struct random *random,
                              const struct pwgen *p, struct err *err)
{
	for (unsigned tries = 0; tries < POLICY_TRIES; tries++) {
		size_t before = out->n;

		add_text(out, random, LETTERS DIGITS SIGNS, p->length);
		if (builder_status(out) != ST_OK ||
		    keeps(p->policy, span_from(builder_span(out), before)))
			return builder_status(out);
		builder_reset(out);
		if (p->length < 4)
			break;
	}
	return err_set(err, ST_INVALID, "no passphrase of this length keeps the policy");
}

static enum status check_length(const struct pwgen *p, struct err *err)
{
	if (p->type == PWGEN_DICEWORD)
		return ST_OK;
	if (p->type == PWGEN_OPIE && p->length != OPIE_BITS)
		return err_set(err, ST_INVALID, "length of opie must be %d", OPIE_BITS);
	if (p->length == 0 || p->length > types[p->type].max)
		return err_set(err, ST_INVALID, "length of %s must be 1 to %zu",
		               types[p->type].name, types[p->type].max);
	if (p->policy == NULL)
		return ST_OK;
	for (size_t i = 0; i < p->policy->n_rules; i++)
		if (p->policy->rules[i].test == PASSPHRASE_MIN_LENGTH &&
		    p->length < p->policy->rules[i].value)
			return err_set(err, ST_INVALID,
			               "the policy asks for at least %u characters",
			               p->policy->rules[i].value);
	return ST_OK;
}

enum status pwgen_make(const struct pwgen *p, const struct random *random, struct builder *out,
                       struct err *err)
{
	enum status st = check_length(p, err);

	MUST(out->n == 0);
	if (st != ST_OK)
		return st;
	switch (p->type) {
	case PWGEN_SECURE:
		st = add_secure(out, random, p, err);
		break;
	case PWGEN_PRONOUNCEABLE:
		add_pronounceable(out, random, p->length);
		break;
	case PWGEN_PIN:
		add_text(out, random, DIGITS, p->length);
		break;
	case PWGEN_BYTES:
		add_bytes(out, random, p->length);
		break;
	case PWGEN_DICEWORD:
		st = add_words(out, random, p, err);
		break;
	case PWGEN_OPIE:
		add_opie_half(out, random);
		add_opie_half(out, random);
		break;
	}
	return st == ST_OK ? builder_status(out) : st;
}
