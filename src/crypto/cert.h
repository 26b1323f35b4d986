/*
 * What binds a key to a name: requests for certificates (RFC 2986, PKCS#10) and chains of certificates (RFC 5280).  Whom to trust is nobody's question here: a
 * chain is looked at, not verified.
 */
#ifndef CRYPTO_CERT_H
#define CRYPTO_CERT_H

#include "crypto/pkey.h"

#define CERT_CHAIN_MAX 16 /* certificates in a chain */

/*
 * cert_request(k, template, ret, err): a request for k, signed by k, as PEM onto ret.  template is a request in PEM: its subject and attributes (requested extensions
 * among them) are kept, its key and signature are not looked at; empty: no subject, no attributes.  RSA signs with PKCS#1 v1.5 and SHA-256, a
 * curve with the SHA-2 of its length.  ST_INVALID: the template is none, or longer than der.h's 64 KiB.  ST_UNAVAILABLE: no private key.  ST_NOMEM, or ret's failure.  Any thread;
 * takes a signature's time.
 */
MUST_USE enum status cert_request(const struct pkey *k, struct span template, struct builder *ret,
                                  struct err *err);

/*
 * A chain is a list of DER certificates, each with its 32-bit length before it (cursor_lv), the one of the key itself first.
 * cert_chain_read(pem, ret, err): "CERTIFICATE" blocks onto ret.  ST_INVALID: none, or one that is no certificate.  ST_LIMIT: more than CERT_CHAIN_MAX.  ST_NOMEM.
 */
MUST_USE enum status cert_chain_read(struct span pem, struct builder *ret, struct err *err);

/*
 * cert_chain_check(k, chain, err): ST_INVALID unless there is a certificate, the first is of k's public key and no authority's, and all that follow are
 * authorities' (basic constraints).  The chain may come from anywhere: ST_INVALID and ST_LIMIT also as cert_chain_read.  ST_NOMEM.
 */
MUST_USE enum status cert_chain_check(const struct pkey *k, struct span chain, struct err *err);

/* cert_chain_pem(chain, ret): as PEM, one block after the other.  ST_INVALID: no such list.  Otherwise ret's failure. */
MUST_USE enum status cert_chain_pem(struct span chain, struct builder *ret);

#endif
