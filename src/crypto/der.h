/*
 * DER (ITU-T X.690), as much of it as keys and signatures need: tags of one byte, lengths up to 65535, definite and shortest.  Anything else
 * is ST_INVALID: BER is not read.  Private to crypto/.
 */
#ifndef CRYPTO_DER_H
#define CRYPTO_DER_H

#include "base/bytes.h"

#define DER_INTEGER    0x02
#define DER_BITS       0x03
#define DER_OCTETS     0x04
#define DER_NULL       0x05
#define DER_OID        0x06
#define DER_SEQUENCE   0x30
#define DER_CONTEXT(n) (0xa0 | (n)) /* [n], constructed */

/*
 * Reading, in order.  All or nothing: on ST_INVALID neither the cursor nor *ret has moved.  What is returned lies in the input.
 * der_read(c, tag, ret): the contents of the next element, which must have this tag.  der_enter: the same, to be read on.
 * der_next_is(c, tag): whether such an element follows.
 * der_uint(c, ret): an INTEGER that is not negative, as big-endian bytes without leading zeros; zero is empty.
 * der_version(c, max, ret): an INTEGER from 0 to max (at most 255).
 * der_bits(c, ret): a BIT STRING of whole bytes.
 * CT: lengths and tags show, contents do not, but for the leading bytes of an INTEGER, which say how long it is.
 */
bool der_next_is(const struct cursor *c, uint8_t tag);
MUST_USE enum status der_read(struct cursor *c, uint8_t tag, struct span *ret);
MUST_USE enum status der_enter(struct cursor *c, uint8_t tag, struct cursor *ret);
MUST_USE enum status der_uint(struct cursor *c, struct span *ret);
MUST_USE enum status der_version(struct cursor *c, uint8_t max, uint8_t *ret);
MUST_USE enum status der_bits(struct cursor *c, struct span *ret);
/* der_end(c): ST_INVALID unless everything was read. */
MUST_USE enum status der_end(const struct cursor *c);

/*
 * Writing, from the back: the last element first, so that a length is known when it is written.  A structure is what was written since a mark
 * (der_mark before its last element), closed by der_close with its tag.  Room that does not suffice marks the writer as
 * failed, and nothing is written from then on.
 */
struct der_writer {
	uint8_t *buf;
	size_t at; /* what is written starts here and ends with the buffer */
	size_t cap;
	bool failed;
};

void der_writer_init(struct der_writer *w, uint8_t *buf, size_t cap);
void der_raw(struct der_writer *w, struct span s);
size_t der_mark(const struct der_writer *w);
void der_close(struct der_writer *w, size_t mark, uint8_t tag);
/* der_put: an element with these contents.  der_put_uint: an INTEGER of big-endian bytes, with or without leading zeros.  der_put_bits: a BIT
 * STRING of whole bytes, closing what was written since the mark. */
void der_put(struct der_writer *w, uint8_t tag, struct span s);
void der_put_uint(struct der_writer *w, struct span s);
void der_close_bits(struct der_writer *w, size_t mark);
/* der_written(w): what was written, in buf; MUST that it did not fail. */
struct span der_written(const struct der_writer *w);

#endif
