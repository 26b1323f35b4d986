/*
 * TLS for accepted sockets: 1.2 and 1.3, server side.  tls.c is the only includer of the TLS library.  The private key lives in the crypto
 * library's memory, which crypto/secret made locked and wiped.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/bytes.h"

enum tls_version { TLS_MIN_12, TLS_MIN_13 };
/* Whether clients are asked for a certificate: not at all; asked, and may have none; asked, and must have one. */
enum tls_client { TLS_CLIENT_NOT_ASKED, TLS_CLIENT_ASKED, TLS_CLIENT_MUST };

struct tls_settings {
	const char *cert_file; /* PEM, the chain, leaf first */
	const char *key_file;  /* PEM */
	enum tls_client client;
	const char *
	    client_ca_file; /* PEM; a certificate that a client shows must be good by these (chain, times, use); NULL: any may be shown.  In any case it has the key */
	enum tls_version min_version;
};

/* tls_version_parse("tls12"|"tls13"; empty means "tls12"): ST_INVALID for other words. */
MUST_USE enum status tls_version_parse(struct span s, enum tls_version *ret);

struct tls;      /* what one listener needs: certificate, key, rules */
struct tls_conn; /* one connection */

/* tls_new(settings, ret, err): reads the files; the strings must live as long as the result.  ST_IO, ST_INVALID with the file named. */
MUST_USE enum status tls_new(const struct tls_settings *settings, struct tls **ret,
                             struct err *err);
/* tls_reload(t, err): read the files again; connections that are open keep what they have.  On failure nothing changes.  Any thread. */
MUST_USE enum status tls_reload(struct tls *t, struct err *err);
void tls_free(struct tls **t);

enum tls_io {
	TLS_OK,
	TLS_WANT_READ,  /* again when the socket is readable */
	TLS_WANT_WRITE, /* again when it is writable */
	TLS_EOF,        /* the peer said good-bye, or left */
	TLS_FAILED      /* beyond repair: close the socket */
};

/* tls_accept(t, fd, ret): begin on a non-blocking socket, which stays the caller's.  Any thread. */
MUST_USE enum status tls_accept(struct tls *t, int fd, struct tls_conn **ret);
enum tls_io tls_handshake(struct tls_conn *c);
/*
 * tls_peer(c, ret, ret_n): after the handshake: the certificate that the client showed, DER, malloc'ed, and its length; NULL and 0: none.  That it has the key was proven in this very
 * handshake: no session is ever resumed.  ST_NOMEM.
 */
MUST_USE enum status tls_peer(const struct tls_conn *c, uint8_t **ret, size_t *ret_n);
enum tls_io tls_read(struct tls_conn *c, void *buf, size_t n, size_t *ret_n);
enum tls_io tls_write(struct tls_conn *c, struct span s, size_t *ret_n);
/* tls_pending(c): the library holds bytes that were read from the socket already, so that no event will tell of them. */
bool tls_pending(const struct tls_conn *c);
/* tls_bye(c): tell the peer that nothing follows (one try).  tls_conn_free: no sending. */
void tls_bye(struct tls_conn *c);
void tls_conn_free(struct tls_conn **c);

/*
 * tls_make_dev_files(dir, err): a throw-away authority and a certificate for localhost, 127.0.0.1 and ::1: ca.pem, cert.pem and
 * key.pem (mode 0600) in dir, which must exist; older ones are replaced.  For development servers.
 */
MUST_USE enum status tls_make_dev_files(const char *dir, struct err *err);

#endif
