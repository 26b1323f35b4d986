/* The text of a ciphertext, a signature or a MAC: "vault:v7:" and base64; and base64 as callers send it. */
#ifndef ENGINE_TRANSIT_TEXT_H
#define ENGINE_TRANSIT_TEXT_H

#include "base/bytes.h"

/* Why one item of a request fails: a constant text; with `at` where it says so. */
struct item_error {
	const char *text; /* NULL: none */
	size_t at;        /* for texts that end in "byte" */
	bool internal;    /* not the caller's mistake */
	bool starved;     /* internal, and memory was what was lacking */
	bool
	    unreadable; /* the text says why a ciphertext cannot be decrypted (transit_manner.unreadable) */
};
#define ITEM_BAD_BASE64 "illegal base64 data at input byte"
#define ITEM_BAD_INPUT  "unable to decode input as base64: " ITEM_BAD_BASE64
#define ITEM_BAD_HMAC   "unable to decode verification HMAC as base64: " ITEM_BAD_BASE64
/* item_error_put(e, b): the text, in JSON's string without quotes (constant texts hold nothing to escape). */
void item_error_put(const struct item_error *e, struct builder *b);
/* item_fail(e, text), item_fail_inside(e, text): ST_INVALID, with *e saying why: a mistake of the caller's; a failure here. */
enum status item_fail(struct item_error *e, const char *text);
enum status item_fail_inside(struct item_error *e, const char *text);
/* item_error_status(e): what a call of one item is answered with: ST_INVALID; ST_NOMEM, ST_IO: internal. */
enum status item_error_status(const struct item_error *e);

/*
 * text_parse(text, prefix, kind, ret_version, ret_rest, ret_error): prefix "vault:v"; kind for the wording.  Version 0 of a ciphertext is 1, as in the
 * reference; otherwise it is what it says, negative ones too.  ST_INVALID: ret_error is set.
 */
enum text_kind { TEXT_CIPHERTEXT, TEXT_SIGNATURE, TEXT_HMAC };
MUST_USE enum status text_parse(struct span text, const char *prefix, enum text_kind kind,
                                int64_t *ret_version, struct span *ret_rest,
                                struct item_error *ret_error);
/* text_is_ours(text, prefix, version): it begins as text_begin writes it, and has no line ends. */
bool text_is_ours(struct span text, const char *prefix, int64_t version);
/* text_line_end(text): where the first line end stands; text.n: there is none. */
size_t text_line_end(struct span text);
/* text_begin(b, prefix, version): "vault:v7:". */
void text_begin(struct builder *b, const char *prefix, uint32_t version);

/*
 * text_unbase64(text, b, ret_error): decoded onto b.  Line ends within are passed over, as Go's decoder does, since tools that wrap lines are used with
 * it; everything else is strict.  ST_INVALID: ret_error says at which byte.  ST_NOMEM, ST_LIMIT: the builder's.
 */
MUST_USE enum status text_unbase64(struct span text, struct builder *b,
                                   struct item_error *ret_error);

#endif
