/*
 * What kind of file begins with some bytes: what libmagic says of them, by the database that Debian packages with it, and the extension of the file's name where many kinds begin alike
 * (a document of an office is a zip, a table is text).
 */
#ifndef ENGINE_MIME_H
#define ENGINE_MIME_H

#include "base/bytes.h"

#define MIME_BYTES_MAX     64 /* of a file's beginning; the library never sees more */
#define MIME_EXTENSION_MAX 25 /* bytes of one, without its dot */

struct mime; /* one thread at a time */

/* mime_new(ret, err): opens the database; takes some hundred microseconds, at first some milliseconds.  ST_UNAVAILABLE: it is not there.  ST_NOMEM. */
MUST_USE enum status mime_new(struct mime **ret, struct err *err);
void mime_free(struct mime **m);

/*
 * mime_of(m, bytes, extension, ret, err): the type, "application/pdf"; valid until the next call.  At most MIME_BYTES_MAX bytes (MUST).  extension: without its dot, any letters; "": none.
 * Takes up to half a millisecond.  ST_NOMEM.
 */
MUST_USE enum status mime_of(struct mime *m, struct span bytes, struct span extension,
                             const char **ret, struct err *err);

#endif
