/*
 * A body of multipart/form-data, taken apart where it lies.  Sources: RFC 7578, RFC 2046 section 5.1.  Strict: no text before the first boundary or after the last, lines end in CR LF,
 * names are there and differ, and nothing is encoded on its way.
 */
#ifndef API_MULTIPART_H
#define API_MULTIPART_H

#include "base/bytes.h"

#define MULTIPART_BOUNDARY_MAX 70

enum multipart_kind {
	MULTIPART_FIELD, /* a value */
	MULTIPART_FILE   /* it has a file name, which is not kept */
};

/* Spans look into the body. */
struct multipart_part {
	enum multipart_kind kind;
	struct span name; /* UTF-8, not empty, without control characters and quotes */
	struct span content;
};

/* multipart_boundary(content_type, ret, err): the boundary that this header's value names.  ST_NOT_FOUND: it is another type; ST_INVALID: this one, with no boundary or a malformed one. */
MUST_USE enum status multipart_boundary(struct span content_type, struct span *ret,
                                        struct err *err);

/*
 * multipart_parse(body, boundary, parts, cap, ret_n, err): at least one part, in their order.  ST_INVALID with the reason; ST_LIMIT: more than cap.  `parts` is written on failure too.
 * Costs by the body's length.
 */
MUST_USE enum status multipart_parse(struct span body, struct span boundary,
                                     struct multipart_part *parts, size_t cap, size_t *ret_n,
                                     struct err *err);

#endif
