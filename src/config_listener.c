/* Listener blocks of the configuration. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config_value.h"

#define REQUEST_SIZE_MAX (INT64_C(1) << 30)

#define LISTENER(member) offsetof(struct config_listener, member)

static const struct config_field common_fields[] = {
    {"max_request_size", config_set_size, LISTENER(max_request_size), 1024, REQUEST_SIZE_MAX},
    {"max_request_duration", config_set_duration, LISTENER(max_request_duration_ns), NS_PER_S},
    {"http_idle_timeout", config_set_duration, LISTENER(http_idle_timeout_ns), NS_PER_S},
    {"http_read_header_timeout", config_set_duration, LISTENER(http_read_header_timeout_ns),
     NS_PER_S},
    {"http_read_timeout", config_set_duration, LISTENER(http_read_timeout_ns), NS_PER_S},
    {"http_write_timeout", config_set_duration, LISTENER(http_write_timeout_ns), NS_PER_S},
    {"disable_unauthed_rekey_endpoints", config_set_bool,
     LISTENER(disable_unauthed_rekey_endpoints)},
    {"disable_unauthed_generate_root_endpoints", config_set_bool,
     LISTENER(disable_unauthed_generate_root_endpoints)},
    {NULL}};

static const struct config_field tcp_fields[] = {
    {"address", config_set_tcp, 0},
    {"cluster_address", config_set_ignored, .note = "this server runs alone"},
    {"tls_disable", config_set_bool, LISTENER(tls_disable)},
    {"tls_cert_file", config_set_string, LISTENER(tls_cert_file)},
    {"tls_key_file", config_set_string, LISTENER(tls_key_file)},
    {"tls_client_certificate", config_set_client_cert, LISTENER(tls_client_certificate)},
    {"tls_client_ca_file", config_set_string, LISTENER(tls_client_ca_file)},
    {"tls_require_and_verify_client_cert", config_set_bool, LISTENER(tls_require_client_cert)},
    {"tls_min_version", config_set_tls, LISTENER(tls_min_version)},
    {.more = common_fields}};

static const struct config_field unix_fields[] = {
    {"address", config_set_string, LISTENER(address)},
    {"socket_mode", config_set_octal, LISTENER(socket_mode)},
    {.more = common_fields}};

void config_listener_free(struct config_listener *l)
{
	free(l->where);
	free(l->address);
	free(l->host);
	free(l->tls_cert_file);
	free(l->tls_key_file);
	free(l->tls_client_ca_file);
}

/* One more listener at the end of the list, with the defaults. */
static enum status listener_add(struct config *c, enum config_listen kind,
                                struct config_listener **ret)
{
	struct config_listener *grown =
	    reallocarray(c->listeners, c->n_listeners + 1, sizeof *grown);
	struct config_listener *l;

	if (grown == NULL)
		return ST_NOMEM;
	c->listeners = grown;
	l = &grown[c->n_listeners++];
	*l = (struct config_listener){
	    .kind = kind,
	    .tls_min_version = CONFIG_TLS12,
	    .max_request_size = UINT64_C(32) << 20,
	    .max_request_duration_ns = 90 * NS_PER_S,
	    .http_idle_timeout_ns = 300 * NS_PER_S,
	    .http_read_header_timeout_ns = 10 * NS_PER_S,
	    .http_read_timeout_ns = 30 * NS_PER_S,
	    .http_write_timeout_ns = 60 * NS_PER_S,
	    .disable_unauthed_rekey_endpoints = true,
	    .disable_unauthed_generate_root_endpoints = true,
	    .socket_mode = 0600,
	};
	*ret = l;
	return ST_OK;
}

static enum status listener_address(struct config_listener *l, const char *address)
{
	char *copy = strdup(address);
	enum status s;

	if (copy == NULL)
		return ST_NOMEM;
	s = config_split_address(span_str(address), &l->host, &l->port);
	if (s != ST_OK) {
		free(copy);
		return s;
	}
	l->address = copy;
	return ST_OK;
}

enum status config_add_tcp(struct config *c, const char *address, struct config_listener **ret,
                           struct err *err)
{
	struct config_listener *l;
	enum status s;

	s = listener_add(c, CONFIG_TCP, &l);
	if (s != ST_OK)
		return err_set(err, s, "out of memory");
	s = listener_address(l, address);
	if (s == ST_OK) {
		l->where = strdup("command line");
		s = l->where == NULL ? ST_NOMEM : ST_OK;
	}
	if (s != ST_OK) {
		config_listener_free(l);
		c->n_listeners--;
		return err_set(err, s,
		               s == ST_INVALID ? "\"%s\" is no HOST:PORT" : "no memory for \"%s\"",
		               address);
	}
	l->tls_disable = true;
	if (ret != NULL)
		*ret = l;
	return ST_OK;
}

/* Two names say whether clients are asked for a certificate; the older one wants it to be verified too. */
static enum status check_clients(struct config_reader *r, struct config_listener *l, unsigned line,
                                 unsigned column)
{
	if (l->tls_require_client_cert && l->tls_client_ca_file == NULL)
		return config_bad(r, line, column,
		                  "tls_require_and_verify_client_cert needs tls_client_ca_file");
	if (l->tls_require_client_cert && l->tls_client_certificate == CONFIG_CLIENT_REQUEST)
		return config_bad(r, line, column,
		                  "tls_require_and_verify_client_cert and tls_client_certificate "
		                  "= \"request\" exclude each other");
	if (l->tls_require_client_cert)
		l->tls_client_certificate = CONFIG_CLIENT_REQUIRE;
	if (l->tls_disable && l->tls_require_client_cert)
		return config_bad(
		    r, line, column,
		    "tls_require_and_verify_client_cert and tls_disable exclude each other");
	if (l->tls_disable && l->tls_client_certificate != CONFIG_CLIENT_NONE)
		return config_bad(r, line, column,
		                  "tls_client_certificate and tls_disable exclude each other");
	return ST_OK;
}

static enum status check_tcp(struct config_reader *r, struct config_listener *l, unsigned line,
                             unsigned column)
{
	if (!l->tls_disable && (l->tls_cert_file == NULL || l->tls_key_file == NULL))
		return config_bad(r, line, column,
		                  "listener \"tcp\" %s needs tls_cert_file and tls_key_file, or "
		                  "tls_disable = true",
		                  l->address);
	return check_clients(r, l, line, column);
}

enum status config_visit_listener(void *arg, const struct span *labels,
                                  const struct hcl_value *body, struct err *err)
{
	struct config_reader *r = arg;
	struct config_listener *l;
	enum config_listen kind;
	enum status s;

	if (span_eq_str(labels[0], "tcp"))
		kind = CONFIG_TCP;
	else if (span_eq_str(labels[0], "unix"))
		kind = CONFIG_UNIX;
	else
		return config_bad(r, body->line, body->column, "a listener is \"tcp\" or \"unix\"");
	s = listener_add(r->c, kind, &l);
	if (s == ST_OK)
		s = config_place(r, body->line, body->column, &l->where);
	if (s == ST_OK)
		s = config_read_fields(r, body, kind == CONFIG_TCP ? tcp_fields : unix_fields,
		                       config_no_blocks, l);
	if (s == ST_OK && kind == CONFIG_TCP && l->address == NULL)
		s = listener_address(l, l->tls_client_certificate == CONFIG_CLIENT_NONE
		                            ? CONFIG_ADDRESS_DEFAULT
		                            : CONFIG_ADDRESS_SMARTCARD);
	if (s != ST_OK)
		return s;
	if (l->address == NULL)
		return config_bad(r, body->line, body->column,
		                  "listener \"unix\" needs an address");
	return kind == CONFIG_TCP ? check_tcp(r, l, body->line, body->column) : ST_OK;
}

enum status config_listener_default(struct config_reader *r, const char *name)
{
	struct config_listener *l;
	enum status s;

	s = listener_add(r->c, CONFIG_TCP, &l);
	if (s == ST_OK)
		s = listener_address(l, CONFIG_ADDRESS_DEFAULT);
	if (s != ST_OK)
		return err_set(r->err, s, "out of memory");
	l->where = strdup("default");
	if (l->where == NULL)
		return err_set(r->err, ST_NOMEM, "out of memory");
	r->file = name;
	return check_tcp(r, l, 1, 1);
}
