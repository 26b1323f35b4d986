/*
 * The server's configuration file: HCL or JSON text into a plain struct.  Nothing that it names is opened here.
 *
 * Inside one file a name may stand once (listener and audit blocks any number of times); of several files the later one wins,
 * and their listeners and audit devices add up.  Every complaint starts with "FILE:LINE:COLUMN: ".
 */
#ifndef CONFIG_H
#define CONFIG_H

#include "base/bytes.h"
#include "base/log.h"

/* What a name that nobody knows is: an error, or a warning (-config-lenient). */
enum config_mode { CONFIG_STRICT, CONFIG_LENIENT };

enum config_storage { CONFIG_STORAGE_INMEM, CONFIG_STORAGE_LMDB };
enum config_listen { CONFIG_TCP, CONFIG_UNIX };
enum config_tls { CONFIG_TLS12, CONFIG_TLS13 };
enum config_client_cert { CONFIG_CLIENT_NONE, CONFIG_CLIENT_REQUEST, CONFIG_CLIENT_REQUIRE };
enum config_gcm { CONFIG_GCM_AUTO, CONFIG_GCM_MB, CONFIG_GCM_EVP };

#define CONFIG_ADDRESS_DEFAULT   "127.0.0.1:8200"
#define CONFIG_ADDRESS_SMARTCARD "127.0.0.1:8443" /* of a listener with tls_client_certificate */

/* Strings that were not given are NULL, here and in the other structs. */
struct config_listener {
	enum config_listen kind;
	char *where;   /* "keyturn.hcl:12:1", or "default": for what goes wrong when it is opened */
	char *address; /* as written: "127.0.0.1:8200"; of a unix listener the socket's path */
	char *host;    /* tcp: "127.0.0.1", "::1" (no brackets), "" for all addresses */
	uint16_t port; /* tcp; 0: any free one */
	bool tls_disable; /* tcp: else both files below are there */
	char *tls_cert_file, *tls_key_file;
	char *tls_client_ca_file;
	enum config_client_cert
	    tls_client_certificate; /* none; require also where the next one is true */
	bool
	    tls_require_client_cert; /* tls_require_and_verify_client_cert; then tls_client_ca_file is there */
	enum config_tls tls_min_version;
	uint64_t max_request_size;                     /* bytes of a body; default 32 MiB */
	int64_t max_request_duration_ns;               /* 90s */
	int64_t http_idle_timeout_ns;                  /* 5m */
	int64_t http_read_header_timeout_ns;           /* 10s */
	int64_t http_read_timeout_ns;                  /* 30s */
	int64_t http_write_timeout_ns;                 /* 60s */
	bool disable_unauthed_rekey_endpoints;         /* true */
	bool disable_unauthed_generate_root_endpoints; /* true */
	unsigned socket_mode;                          /* unix: 0600 */
};

/* `audit "file" "NAME" { file_path mode log_raw hmac_accessor description }`, or the first four in `options {}`. */
struct config_audit {
	char *where;
	char *name;
	char *description;
	char *file_path;    /* always there */
	unsigned mode;      /* 0600 */
	bool log_raw;       /* false */
	bool hmac_accessor; /* true */
};

struct config {
	enum config_storage storage;
	char *storage_path;        /* lmdb: always there */
	uint64_t storage_map_size; /* bytes; 0: the driver's default */

	struct config_listener *listeners;
	size_t n_listeners;
	struct config_audit *audits;
	size_t n_audits;

	char *api_addr, *cluster_addr, *cluster_name;
	char *pid_file;
	enum log_level log_level; /* info */
	enum log_format log_format;
	char *log_file;
	int64_t default_lease_ttl_ns, max_lease_ttl_ns; /* 768h; default <= max */
	bool ui;
	enum config_gcm gcm;
	unsigned max_connections;        /* 0: what the limits of the process allow */
	unsigned loops;                  /* 0: one a core */
	int64_t prometheus_retention_ns; /* telemetry; 24h */
	bool telemetry_disable_hostname;

	char **warnings; /* complete lines without line end */
	size_t n_warnings;
};

/*
 * config_load(paths, n_paths, mode, ret, err): read the files in order; a folder stands for its *.hcl and *.json in the order of their
 * names (hidden ones left out).  Without a listener one is added: tcp at CONFIG_ADDRESS_DEFAULT, which asks for TLS like any other.
 * ST_INVALID for what is written wrongly, ST_LIMIT for a text that is too long or nested too deep, ST_IO for what cannot be read, ST_NOMEM, each with a
 * text.
 */
MUST_USE enum status config_load(const char *const *paths, size_t n_paths, enum config_mode mode,
                                 struct config **ret, struct err *err);
/* config_parse(name, text, mode, ret, err): the same for one text; `name` stands in the complaints. */
MUST_USE enum status config_parse(const char *name, struct span text, enum config_mode mode,
                                  struct config **ret, struct err *err);
/* config_defaults(ret): what an empty file would give if it were allowed: storage inmem, no listener.  For -dev. */
MUST_USE enum status config_defaults(struct config **ret);
void config_free(struct config **c);

/*
 * config_add_tcp(c, address, ret, err): one more tcp listener with the defaults, TLS disabled, at "HOST:PORT" ("[::1]:8200", ":8200").
 * *ret (may be NULL) is valid until the next one is added.  ST_INVALID: no such address; ST_NOMEM.
 */
MUST_USE enum status config_add_tcp(struct config *c, const char *address,
                                    struct config_listener **ret, struct err *err);

#endif
