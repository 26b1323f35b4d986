/*
 * Key material on its way in or out, checked and brought into the form that records hold, and back.  Private to engine/transit*.
 */
#ifndef ENGINE_TRANSIT_MATERIAL_H
#define ENGINE_TRANSIT_MATERIAL_H

#include "crypto/pkey.h"
#include "engine/transit_key.h"

/* The longest that import takes, in bytes: more than any key's PKCS#8 has. */
#define MATERIAL_MAX 16384u

/*
 * material_from_bytes(type, bytes, m, err): symmetric material as it is, or PKCS#8 DER.  material_from_pem(type, pem, m, err): a public key alone, "-----BEGIN
 * PUBLIC KEY-----".  *m is zeroed before; key_material_free wipes it.  It has no mac_key, unless it is an hmac key's.  ST_INVALID with a text: it is no key of this
 * type; ST_NOMEM.  Any thread; RSA takes some milliseconds.
 */
MUST_USE enum status material_from_bytes(enum key_type type, struct span bytes,
                                         struct key_material *m, struct err *err);
MUST_USE enum status material_from_pem(enum key_type type, struct span pem, struct key_material *m,
                                       struct err *err);

/* material_pkey(type, d, ret, err): the key of a stored version, private if it has that half; not of a destroyed one.  ST_CORRUPT, ST_NOMEM. */
MUST_USE enum status material_pkey(enum key_type type, const struct version_data *d,
                                   struct pkey **ret, struct err *err);

#endif
