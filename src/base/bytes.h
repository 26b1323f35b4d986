/*
 * Bytes move only through these: a span looks at bytes, a cursor reads them in order, a builder makes them.
 * All are bounded; none of the functions may be handed a length that was not checked.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Bytes that somebody else owns.  {NULL, 0} is the empty span. */
struct span {
	const uint8_t *p;
	size_t n;
};

/* span_of(p, n), span_str(s): look at n bytes at p, at the characters of s without its NUL.  p may be NULL if n is 0. */
struct span span_of(const void *p, size_t n);
struct span span_str(const char *s);

/* span_eq, span_eq_str: same length and bytes; NOT for secrets (ct_equal).  span_cmp: memcmp order, shorter first. */
bool span_eq(struct span a, struct span b);
bool span_eq_str(struct span a, const char *s);
/* span_eq_word(a, word): equal but for capital letters (ASCII); word is in small ones. */
bool span_eq_word(struct span a, const char *word);
int span_cmp(struct span a, struct span b);
bool span_starts(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);
/* span_from(s, at): what follows the first `at` bytes; at <= s.n. */
struct span span_from(struct span s, size_t at);
/* span_cstr(s, buf, cap): copy s and a NUL into buf; ST_LIMIT when it does not fit, ST_INVALID when s holds a NUL. */
MUST_USE enum status span_cstr(struct span s, char *buf, size_t cap);

/* Checked arithmetic: false, and *ret untouched, when the result does not fit. */
MUST_USE bool size_add(size_t a, size_t b, size_t *ret);
MUST_USE bool size_mul(size_t a, size_t b, size_t *ret);

/*
 * Reading in order, big-endian.  Each function is all or nothing: ST_CORRUPT when fewer bytes are left, and then
 * neither the cursor nor *ret has moved.
 */
struct cursor {
	const uint8_t *p;
	size_t left;
};

struct cursor cursor_of(struct span s);
MUST_USE enum status cursor_u8(struct cursor *c, uint8_t *ret);
MUST_USE enum status cursor_u16(struct cursor *c, uint16_t *ret);
MUST_USE enum status cursor_u32(struct cursor *c, uint32_t *ret);
MUST_USE enum status cursor_u64(struct cursor *c, uint64_t *ret);
MUST_USE enum status cursor_span(struct cursor *c, size_t n, struct span *ret);
MUST_USE enum status cursor_copy(struct cursor *c, uint8_t *ret, size_t n);
/* cursor_lv(c, ret): a 32-bit length and that many bytes. */
MUST_USE enum status cursor_lv(struct cursor *c, struct span *ret);
/* cursor_end(c): ST_CORRUPT unless everything was read. */
MUST_USE enum status cursor_end(const struct cursor *c);

/*
 * Building.  A builder grows on the heap up to `max` bytes, or lives in a fixed buffer.  The adding functions
 * return nothing: the first one that does not fit, or that finds no memory, marks the builder as failed, nothing is
 * added from then on, and builder_status tells (ST_LIMIT or ST_NOMEM).  What a builder held is wiped whenever its
 * memory moves or is freed, so a builder may hold what must not linger (but never key bytes: those are in struct secret).
 * A zeroed builder is an empty heap builder with BUILDER_MAX_DEFAULT.
 */
#define BUILDER_MAX_DEFAULT ((size_t)256 << 20)

struct builder {
	uint8_t *p; /* the bytes; may be NULL while n is 0 */
	size_t n;   /* how many are there; n <= cap <= max */
	size_t cap;
	size_t max;         /* 0 means BUILDER_MAX_DEFAULT */
	enum status failed; /* ST_OK until something did not fit */
	bool fixed;         /* p is the caller's buffer of cap bytes */
};

void builder_init(struct builder *b, size_t max);
void builder_init_fixed(struct builder *b, void *buf, size_t cap);
/* builder_reset: forget the bytes and the failure, keep the memory; wiped.  builder_free: wiped, freed, zeroed. */
void builder_reset(struct builder *b);
void builder_free(struct builder *b);
MUST_USE enum status builder_status(const struct builder *b);
/* builder_span(b): what it holds; valid until the next add, reset or free. */
struct span builder_span(const struct builder *b);

void builder_u8(struct builder *b, uint8_t v);
void builder_u16(struct builder *b, uint16_t v);
void builder_u32(struct builder *b, uint32_t v);
void builder_u64(struct builder *b, uint64_t v);
void builder_add(struct builder *b, struct span s);
void builder_lv(struct builder *b, struct span s);
void builder_str(struct builder *b, const char *s);
void builder_fmt(struct builder *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void builder_dec(struct builder *b, uint64_t v);
/*
 * builder_room(b, n): at least n writable bytes behind what is there, or NULL and the builder failed; then
 * builder_took(b, k), k <= n, says how many were filled.  For ciphers and codecs that write in place.  Room that was filled
 * but not taken is wiped by builder_free, not by builder_reset.
 */
uint8_t *builder_room(struct builder *b, size_t n);
void builder_took(struct builder *b, size_t k);

/* builder_rewind(b): as builder_reset, but what was there is wiped only when it is overwritten or freed: for one text after another in the same memory. */
void builder_rewind(struct builder *b);
/* builder_cut(b, n): only the first n bytes stay (n <= b->n); the others are wiped.  A failure stays. */
void builder_cut(struct builder *b, size_t n);

/* wipe(p, n): overwrite; never optimised away (explicit_bzero). */
void wipe(void *p, size_t n);

/*
 * Hex and base64 (RFC 4648) of public or wrapped data.  Decoding is strict and canonical: no white space, full
 * padding, unused bits zero.  base64 runs SIMD on x86-64 and a scalar twin elsewhere, equal in every answer.
 * Not constant time: for key bytes use crypto's codec.
 */
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

void builder_hex(struct builder *b, struct span s);
/* builder_unhex, builder_unbase64: decode s onto b; ST_INVALID when malformed, and then b is as it was. */
MUST_USE enum status builder_unhex(struct builder *b, struct span s);
void builder_base64(struct builder *b, struct span s);
MUST_USE enum status builder_unbase64(struct builder *b, struct span s);
/* The same in the alphabet that is safe in addresses, without padding (RFC 4648 section 5), as JSON web signatures have it.  For short texts: the text is copied. */
void builder_base64url(struct builder *b, struct span s);
MUST_USE enum status builder_unbase64url(struct builder *b, struct span s);
/* base64_encode(s, out): exactly BASE64_LEN(s.n) characters, no NUL.  base64_decode(s, out, ret_n): at most s.n / 4 * 3 bytes;
 * ST_INVALID when malformed (out's bytes are then unspecified).  The *_scalar twins exist for tests. */
void base64_encode(struct span s, uint8_t *out);
MUST_USE enum status base64_decode(struct span s, uint8_t *out, size_t *ret_n);
void base64_encode_scalar(struct span s, uint8_t *out);
MUST_USE enum status base64_decode_scalar(struct span s, uint8_t *out, size_t *ret_n);

#endif
