/* What is exported of a version, as JSON.  Private to engine/transit*. */
#ifndef ENGINE_TRANSIT_EXPORT_H
#define ENGINE_TRANSIT_EXPORT_H

#include "engine/transit_key.h"

enum export_kind {
	EXPORT_ENCRYPTION,
	EXPORT_SIGNING,
	EXPORT_HMAC,
	EXPORT_PUBLIC,
	EXPORT_CHAIN,
	EXPORT_KINDS
};

enum export_format { FORMAT_DEFAULT, FORMAT_RAW, FORMAT_DER, FORMAT_PEM, FORMATS };

/* What of a key, and how. */
struct export_form {
	enum export_kind kind;
	enum export_format format;
	enum key_type type;
};

/* export_is_slow(f): a version takes as long as reading a key (60 us and more) or writing a chain of certificates: too long for many of them on a loop. */
bool export_is_slow(const struct export_form *f);
/* export_parts(f, d, ret): the parts of a version that export_value needs; the rest of *ret is empty. */
void export_parts(const struct export_form *f, const struct version_data *d,
                  struct version_data *ret);

/*
 * export_value(f, d, room, w, err): the value of one version, behind its name.  room: EXPORT_ROOM bytes of locked memory for what is written on the way.  ST_INVALID
 * with a text: not in this format; ST_CORRUPT, ST_NOMEM.  Any thread.
 */
#define EXPORT_ROOM ((size_t)8192) /* more than any key has as base64 or PEM */
MUST_USE enum status export_value(const struct export_form *f, const struct version_data *d,
                                  char *room, struct json_writer *w, struct err *err);

#endif
