/* Throw-away certificates for development servers: an authority and one leaf, P-256. */
#include "http/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEV_DAYS 365

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
