/*
 * Keys as DER and PEM.  Sources: RFC 5280 (SubjectPublicKeyInfo), RFC 5958 (PKCS#8), RFC 8017 A.1 (PKCS#1), RFC 5915 (SEC 1), RFC 8410 (Ed25519),
 * RFC 7468 (PEM).  Our own reader takes DER alone; a curve is named, a point not compressed, an RSA key has two primes.  Keys that say they
 * are for RSA-PSS only (RFC 4055) are taken as RSA keys.
 *
 * Everything here: ST_INVALID when the text is not such a key, or one of an algorithm that is not in the table; ST_NOMEM.  Any thread.
 */
#ifndef CRYPTO_PKEY_TEXT_H
#define CRYPTO_PKEY_TEXT_H

#include "crypto/pkey.h"

/*
 * pkey_from_spki(der, ret), pkey_from_spki_pem(pem, ret): a public key; the PEM form is one "PUBLIC KEY" block; text around it is passed over.
 * pkey_spki(k, out), pkey_spki_pem(k, out): the public half onto the builder; its failure is the builder's.
 */
MUST_USE enum status pkey_from_spki(struct span der, struct pkey **ret);
MUST_USE enum status pkey_from_spki_pem(struct span pem, struct pkey **ret);
MUST_USE enum status pkey_spki(const struct pkey *k, struct builder *out);
MUST_USE enum status pkey_spki_pem(const struct pkey *k, struct builder *out);

/* pkey_from_pkcs8(der, trust, ret): a private key.  What PKEY_TRUSTED leaves out is in pkey.h; it costs 20 to 60 us for what pkey_pkcs8 gave. */
MUST_USE enum status pkey_from_pkcs8(struct span der, enum pkey_trust trust, struct pkey **ret);

/*
 * The private key as text: ST_UNAVAILABLE when k has none.
 * pkey_pkcs8(k, ret): DER.  pkey_pkcs8_pem: "PRIVATE KEY".
 * pkey_export(k, ret): what the Vault API exports: RSA as PKCS#1 PEM ("RSA PRIVATE KEY"), EC as SEC 1 PEM ("EC PRIVATE KEY"), Ed25519 as the base64 of
 * seed and public key.  PEM ends with a line end.
 */
MUST_USE enum status pkey_pkcs8(const struct pkey *k, struct secret **ret);
MUST_USE enum status pkey_pkcs8_pem(const struct pkey *k, struct secret **ret);
MUST_USE enum status pkey_export(const struct pkey *k, struct secret **ret);

#endif
