#include "http/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEV_DAYS     365 /* how long development certificates are good */
#define KEY_FILE_MAX ((size_t)64 << 10)
/* Of clients' certificates.  A chain lies in locked memory as long as its connection; a signature of a huge key takes a loop's time. */
#define PEER_CHAIN_MAX    16384 /* bytes */
#define PEER_KEY_BITS_MAX 8192

struct tls {
	struct tls_settings settings;
	pthread_mutex_t lock; /* guards ctx: read at accept, replaced at reload */
	SSL_CTX *ctx;
};

struct tls_conn {
	SSL *ssl;
};

/* TLS 1.2: forward secrecy and AEAD only.  1.3 has no others. */
static const char cipher_list[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

enum status tls_version_parse(struct span s, enum tls_version *ret)
{
	if (s.n == 0 || span_eq_str(s, "tls12"))
		*ret = TLS_MIN_12;
	else if (span_eq_str(s, "tls13"))
		*ret = TLS_MIN_13;
	else
		return ST_INVALID;
	return ST_OK;
}

/* The library's last error, with what was being done; empties its queue. */
static enum status fail(struct err *err, enum status s, const char *what, const char *file)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
	err_set(err, s, "%s %s: %s", what, file, reason != NULL ? reason : "failed");
	ERR_clear_error();
	return s;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
	static const unsigned char offered[] = "\x08http/1.1";
	(void)ssl;
	(void)arg;
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, out_n, offered, sizeof(offered) - 1, in, in_n) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void set_rules(SSL_CTX *ctx, enum tls_version min)
{
	SSL_CTX_set_min_proto_version(ctx, min == TLS_MIN_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
	                             SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
	                             SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_read_ahead(
	    ctx, 1); /* one read a record instead of two; tls_pending tells what is held */
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
}

/* In place of the library's own: keys that are too large are refused before they are used, and without authorities whoever shows a certificate may. */
static int verify_client(X509_STORE_CTX *chain, void *arg)
{
	const struct tls_settings *set = arg;
	X509 *leaf = X509_STORE_CTX_get0_cert(chain);
	EVP_PKEY *key = leaf != NULL ? X509_get0_pubkey(leaf) : NULL;
	if (key == NULL || EVP_PKEY_get_bits(key) > PEER_KEY_BITS_MAX) {
		X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REJECTED);
		return 0;
	}
	if (set->client_ca_file != NULL)
		return X509_verify_cert(chain);
	X509_STORE_CTX_set_error(chain, X509_V_OK);
	return 1;
}

static enum status load_client_ca(SSL_CTX *ctx, const char *file, struct err *err)
{
	if (SSL_CTX_load_verify_file(ctx, file) != 1)
		return fail(err, ST_INVALID, "cannot load the client CA file", file);
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
	if (names == NULL)
		return fail(err, ST_INVALID, "cannot load the client CA file", file);
	SSL_CTX_set_client_CA_list(ctx, names);
	return ST_OK;
}

/* The settings live as long as the context and all its connections. */
static enum status ask_clients(SSL_CTX *ctx, struct tls_settings *set, struct err *err)
{
	if (set->client == TLS_CLIENT_NOT_ASKED)
		return ST_OK;
	SSL_CTX_set_verify(ctx,
	                   SSL_VERIFY_PEER | (set->client == TLS_CLIENT_MUST
	                                          ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT
	                                          : 0),
	                   NULL);
	SSL_CTX_set_cert_verify_callback(ctx, verify_client, set);
	SSL_CTX_set_max_cert_list(ctx, PEER_CHAIN_MAX);
	return set->client_ca_file != NULL ? load_client_ca(ctx, set->client_ca_file, err) : ST_OK;
}

/* A file's bytes in the library's memory, which is locked and wiped: stdio, which the library reads files with, would leave a copy in its buffer. */
static enum status read_key(const char *file, uint8_t **ret, size_t *ret_n, struct err *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), e = errno;
	uint8_t *p = OPENSSL_malloc(KEY_FILE_MAX);
	size_t n = 0;
	ssize_t k = -1;
	if (fd >= 0 && p != NULL) {
		while ((k = read(fd, p + n, KEY_FILE_MAX - n)) > 0)
			n += (size_t)k;
		e = k < 0 ? errno : EFBIG;
	}
	if (fd >= 0)
		close(fd);
	if (k == 0 && n < KEY_FILE_MAX) {
		*ret = p;
		*ret_n = n;
		return ST_OK;
	}
	if (p == NULL)
		e = ENOMEM;
	OPENSSL_clear_free(p, KEY_FILE_MAX);
	return err_set(err, ST_INVALID, "cannot load the key file %s: %s", file, strerror(e));
}

static enum status use_key(SSL_CTX *ctx, const char *file, struct err *err)
{
	uint8_t *text = NULL;
	size_t n = 0;
	enum status s = read_key(file, &text, &n, err);
	if (s != ST_OK)
		return s;
	BIO *bio = BIO_new_mem_buf(text, (int)n);
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	if (key == NULL || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		s = fail(err, ST_INVALID, "cannot load the key file", file);
	EVP_PKEY_free(key);
	BIO_free(bio);
	OPENSSL_clear_free(text, KEY_FILE_MAX);
	return s;
}

static enum status make_ctx(struct tls_settings *set, SSL_CTX **ret, struct err *err)
{
	enum status s;
	ERR_clear_error();
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL)
		return fail(err, ST_NOMEM, "cannot set up TLS for", set->cert_file);
	set_rules(ctx, set->min_version);
	s = ST_INVALID;
	if (SSL_CTX_set_cipher_list(ctx, cipher_list) != 1) {
		fail(err, s, "cannot set the ciphers for", set->cert_file);
		goto err0;
	}
	if (SSL_CTX_use_certificate_chain_file(ctx, set->cert_file) != 1) {
		fail(err, s, "cannot load the certificate file", set->cert_file);
		goto err0;
	}
	s = use_key(ctx, set->key_file, err);
	if (s != ST_OK)
		goto err0;
	if (SSL_CTX_check_private_key(ctx) != 1) {
		s = ST_INVALID;
		fail(err, s, "the certificate does not belong to the key file", set->key_file);
		goto err0;
	}
	s = ask_clients(ctx, set, err);
	if (s != ST_OK)
		goto err0;
	*ret = ctx;
	return ST_OK;

err0:
	SSL_CTX_free(ctx);
	return s;
}

enum status tls_new(const struct tls_settings *settings, struct tls **ret, struct err *err)
{
	if (settings->cert_file == NULL || settings->key_file == NULL)
		return err_set(err, ST_INVALID, "TLS needs a certificate file and a key file");
	struct tls *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	t->settings = *settings;
	enum status s = make_ctx(&t->settings, &t->ctx, err);
	if (s != ST_OK)
		goto err0;
	MUST(pthread_mutex_init(&t->lock, NULL) == 0);
	*ret = t;
	return ST_OK;

err0:
	free(t);
	return s;
}

enum status tls_reload(struct tls *t, struct err *err)
{
	SSL_CTX *fresh;
	enum status s = make_ctx(&t->settings, &fresh, err);
	if (s != ST_OK)
		return s;
	pthread_mutex_lock(&t->lock);
	SSL_CTX *old = t->ctx;
	t->ctx = fresh;
	pthread_mutex_unlock(&t->lock);
	SSL_CTX_free(old); /* open connections hold references of their own */
	return ST_OK;
}

void tls_free(struct tls **t)
{
	if (*t == NULL)
		return;
	SSL_CTX_free((*t)->ctx);
	pthread_mutex_destroy(&(*t)->lock);
	free(*t);
	*t = NULL;
}

enum status tls_accept(struct tls *t, int fd, struct tls_conn **ret)
{
	struct tls_conn *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return ST_NOMEM;
	pthread_mutex_lock(&t->lock);
	c->ssl = SSL_new(t->ctx);
	pthread_mutex_unlock(&t->lock);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1)
		goto err0;
	SSL_set_accept_state(c->ssl);
	*ret = c;
	return ST_OK;

err0:
	ERR_clear_error();
	tls_conn_free(&c);
	return ST_NOMEM;
}

/* What a result <= 0 of the library means; its error queue belongs to the thread and must be empty before the next call. */
static enum tls_io outcome(struct tls_conn *c, int result)
{
	int e = SSL_get_error(c->ssl, result);
	ERR_clear_error();
	switch (e) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_EOF;
	default:
		return TLS_FAILED;
	}
}

enum tls_io tls_handshake(struct tls_conn *c)
{
	int r = SSL_do_handshake(c->ssl);
	return r == 1 ? TLS_OK : outcome(c, r);
}

enum status tls_peer(const struct tls_conn *c, uint8_t **ret, size_t *ret_n)
{
	X509 *x = SSL_get0_peer_certificate(c->ssl);
	int n = x != NULL ? i2d_X509(x, NULL) : 0;
	uint8_t *der, *end;
	if (x == NULL) {
		*ret = NULL;
		*ret_n = 0;
		return ST_OK;
	}
	der = n > 0 ? malloc((size_t)n) : NULL;
	end = der;
	if (der == NULL || i2d_X509(x, &end) != n) {
		ERR_clear_error();
		free(der);
		return ST_NOMEM;
	}
	*ret = der;
	*ret_n = (size_t)n;
	return ST_OK;
}

enum tls_io tls_read(struct tls_conn *c, void *buf, size_t n, size_t *ret_n)
{
	size_t got;
	int r = SSL_read_ex(c->ssl, buf, n, &got);
	if (r != 1)
		return outcome(c, r);
	*ret_n = got;
	return TLS_OK;
}

enum tls_io tls_write(struct tls_conn *c, struct span s, size_t *ret_n)
{
	size_t put;
	int r = SSL_write_ex(c->ssl, s.p, s.n, &put);
	if (r != 1)
		return outcome(c, r);
	*ret_n = put;
	return TLS_OK;
}

bool tls_pending(const struct tls_conn *c)
{
	return SSL_has_pending(c->ssl) == 1;
}

void tls_bye(struct tls_conn *c)
{
	if (SSL_is_init_finished(c->ssl))
		SSL_shutdown(c->ssl);
	ERR_clear_error();
}

void tls_conn_free(struct tls_conn **c)
{
	if (*c == NULL)
		return;
	SSL_free((*c)->ssl);
	free(*c);
	*c = NULL;
}

/* --- throw-away certificates for development servers: an authority and one leaf, P-256 --- */

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (e == NULL)
		return false;
	bool ok = X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool set_serial(X509 *cert)
{
	unsigned char bytes[16];
	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] &= 0x7f; /* positive */
	BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
	BN_free(n);
	return ok;
}

/* An unsigned certificate of `key` with what both kinds share; NULL on failure. */
static X509 *draft(EVP_PKEY *key, const char *name)
{
	X509 *c = X509_new();
	if (c == NULL)
		return NULL;
	X509_NAME *subject = X509_get_subject_name(c);
	if (X509_set_version(c, X509_VERSION_3) == 1 && set_serial(c) &&
	    X509_set_pubkey(c, key) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(c), -3600) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(c), (long)DEV_DAYS * 86400) != NULL &&
	    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
	                               -1, 0) == 1)
		return c;
	X509_free(c);
	return NULL;
}

static X509 *make_ca(EVP_PKEY *key)
{
	X509 *c = draft(key, "Keyturn development CA");
	if (c == NULL)
		return NULL;
	if (X509_set_issuer_name(c, X509_get_subject_name(c)) == 1 &&
	    add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	    add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	    add_extension(c, c, NID_subject_key_identifier, "hash") &&
	    X509_sign(c, key, EVP_sha256()) > 0)
		return c;
	X509_free(c);
	return NULL;
}

static X509 *make_leaf(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key)
{
	X509 *c = draft(key, "localhost");
	if (c == NULL)
		return NULL;
	if (X509_set_issuer_name(c, X509_get_subject_name(ca)) == 1 &&
	    add_extension(c, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(c, ca, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(c, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
	    add_extension(c, ca, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
	    add_extension(c, ca, NID_subject_key_identifier, "hash") &&
	    add_extension(c, ca, NID_authority_key_identifier, "keyid") &&
	    X509_sign(c, ca_key, EVP_sha256()) > 0)
		return c;
	X509_free(c);
	return NULL;
}

static bool write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t k = write(fd, s.p, s.n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		s = span_from(s, (size_t)k);
	}
	return true;
}

/* dir/name with what the memory BIO holds.  The old file is removed first: its mode and its readers must not matter. */
static enum status write_file(const char *dir, const char *name, mode_t mode, BIO *bio,
                              struct err *err)
{
	char path_buf[1024];
	struct builder path;
	builder_init_fixed(&path, path_buf, sizeof(path_buf));
	builder_fmt(&path, "%s/%s", dir, name);
	builder_u8(&path, 0);
	if (builder_status(&path) != ST_OK)
		return err_set(err, ST_LIMIT, "the directory name is too long");
	char *bytes;
	long n = BIO_get_mem_data(bio, &bytes);
	if (unlink(path_buf) != 0 && errno != ENOENT)
		goto err0;
	int fd = open(path_buf, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		goto err0;
	bool ok = n > 0 && fchmod(fd, mode) == 0 && write_all(fd, span_of(bytes, (size_t)n));
	if (close(fd) != 0 || !ok)
		goto err0;
	return ST_OK;

err0:
	return err_set(err, ST_IO, "cannot write %s: %s", path_buf, strerror(errno));
}

static enum status write_cert(const char *dir, const char *name, X509 *cert, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	if (bio == NULL || PEM_write_bio_X509(bio, cert) != 1) {
		BIO_free(bio);
		return err_set(err, ST_NOMEM, "cannot encode the certificate");
	}
	enum status s = write_file(dir, name, 0644, bio, err);
	BIO_free(bio);
	return s;
}

static enum status write_key(const char *dir, const char *name, EVP_PKEY *key, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	if (bio == NULL ||
	    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
		BIO_free(bio);
		return err_set(err, ST_NOMEM, "cannot encode the key");
	}
	enum status s = write_file(dir, name, 0600, bio, err);
	BIO_free(bio);
	return s;
}

enum status tls_make_dev_files(const char *dir, struct err *err)
{
	enum status s = ST_NOMEM;
	X509 *ca = NULL, *leaf = NULL;
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	if (ca_key == NULL || key == NULL)
		goto err0;
	ca = make_ca(ca_key);
	if (ca == NULL)
		goto err0;
	leaf = make_leaf(key, ca, ca_key);
	if (leaf == NULL)
		goto err0;
	s = write_key(dir, "key.pem", key, err);
	if (s == ST_OK)
		s = write_cert(dir, "cert.pem", leaf, err);
	if (s == ST_OK)
		s = write_cert(dir, "ca.pem", ca, err);
	goto out;

err0:
	err_set(err, s, "cannot make the development certificates");
	ERR_clear_error();
out:
	X509_free(leaf);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	return s;
}
