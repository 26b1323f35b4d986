#include "base/json_names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

/* Up to here comparing each with each is faster than hashing. */
#define PAIRWISE_MAX 16
/* Slots of the set on the stack; a set is at most half full. */
#define STACK_SLOTS 128

static bool same(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static const struct json_value *pairwise(const struct json_value *object)
{
	const struct json_value *v = json_first(object);

	for (uint32_t i = 0; i < object->count; i++, v = json_next(v)) {
		const struct json_value *before = json_first(object);
		for (; before != v; before = json_next(before)) {
			if (same(before->name, v->name))
				return v;
		}
	}
	return NULL;
}

static uint64_t rotate(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

struct sip {
	uint64_t a, b, c, d;
};

static void sip_round(struct sip *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = rotate(s->b, 13) ^ s->a;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a = rotate(s->a, 32);
	s->c += s->b;
	s->a += s->d;
	s->b = rotate(s->b, 17) ^ s->c;
	s->d = rotate(s->d, 21) ^ s->a;
	s->c = rotate(s->c, 32);
}

/* SipHash-1-3.  Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF" (2012). */
static uint64_t sip_hash(const uint64_t key[static 2], struct span s)
{
	struct sip state = {.a = key[0] ^ UINT64_C(0x736f6d6570736575),
	                    .b = key[1] ^ UINT64_C(0x646f72616e646f6d),
	                    .c = key[0] ^ UINT64_C(0x6c7967656e657261),
	                    .d = key[1] ^ UINT64_C(0x7465646279746573)};
	size_t at = 0;
	uint64_t word;

	for (; s.n - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, s.p + at, sizeof(word));
		state.d ^= word;
		sip_round(&state);
		state.a ^= word;
	}
	word = (uint64_t)s.n << 56;
	for (unsigned shift = 0; at < s.n; at++, shift += 8)
		word |= (uint64_t)s.p[at] << shift;
	state.d ^= word;
	sip_round(&state);
	state.a ^= word;
	state.c ^= 0xff;
	sip_round(&state);
	sip_round(&state);
	sip_round(&state);
	return state.a ^ state.b ^ state.c ^ state.d;
}

/*
 * The hash's key: 16 random bytes that the kernel gives each process, so that nobody outside can choose names that share
 * a slot.  Answers do not depend on it.
 */
static void set_key(uint64_t key[static 2])
{
	const void *random = (const void *)getauxval(AT_RANDOM);

	MUST(random != NULL);
	memcpy(key, random, 2 * sizeof(key[0]));
}

/* slots: zeroed, a power of two of them; a slot holds the distance from the object to a member. */
static const struct json_value *hashed(const struct json_value *object, uint32_t *slots, size_t n)
{
	const struct json_value *v = json_first(object);
	uint64_t key[2];

	set_key(key);
	for (uint32_t i = 0; i < object->count; i++, v = json_next(v)) {
		size_t slot = (size_t)sip_hash(key, v->name) & (n - 1);
		for (; slots[slot] != 0; slot = (slot + 1) & (n - 1)) {
			if (same(object[slots[slot]].name, v->name))
				return v;
		}
		slots[slot] = (uint32_t)(v - object);
	}
	return NULL;
}

enum status json_names_check(const struct json_value *object, const struct json_value **ret_twice)
{
	uint32_t stack[STACK_SLOTS] = {0};
	size_t n = STACK_SLOTS;

	if (object->count <= PAIRWISE_MAX) {
		*ret_twice = pairwise(object);
		return ST_OK;
	}
	while (n / 2 < object->count)
		n *= 2;
	uint32_t *slots = n > STACK_SLOTS ? calloc(n, sizeof(*slots)) : stack;
	if (slots == NULL)
		return ST_NOMEM;
	*ret_twice = hashed(object, slots, n);
	if (slots != stack)
		free(slots);
	return ST_OK;
}
