/*
 * config: a configuration text in HCL or JSON.
 *   - each complaint begins with the file's name and a place, and nothing else comes back;
 *   - what is taken strictly is taken leniently too, to the same, without warnings about names;
 *   - what is taken satisfies what config.h promises of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "fuzz.h"

static void check_listener(const struct config_listener *l)
{
	MUST(l->where != NULL && l->address != NULL);
	if (l->kind == CONFIG_TCP) {
		MUST(l->host != NULL);
		MUST(l->tls_disable || (l->tls_cert_file != NULL && l->tls_key_file != NULL));
		MUST(!l->tls_require_client_cert || l->tls_client_ca_file != NULL);
		MUST(!l->tls_require_client_cert ||
		     l->tls_client_certificate == CONFIG_CLIENT_REQUIRE);
		MUST(!l->tls_disable || l->tls_client_certificate == CONFIG_CLIENT_NONE);
	}
	MUST(l->max_request_size > 0 && l->max_request_duration_ns > 0 && l->socket_mode <= 0777);
	MUST(l->http_idle_timeout_ns >= 0 && l->http_read_header_timeout_ns >= 0 &&
	     l->http_read_timeout_ns >= 0);
}

static void check(const struct config *c)
{
	MUST(c->storage != CONFIG_STORAGE_LMDB || c->storage_path != NULL);
	MUST(c->n_listeners >= 1);
	MUST(c->default_lease_ttl_ns > 0 && c->default_lease_ttl_ns <= c->max_lease_ttl_ns);
	for (size_t i = 0; i < c->n_listeners; i++)
		check_listener(&c->listeners[i]);
	for (size_t i = 0; i < c->n_audits; i++) {
		MUST(c->audits[i].where != NULL && c->audits[i].name != NULL);
		MUST(c->audits[i].file_path != NULL && c->audits[i].mode <= 0777);
	}
	for (size_t i = 0; i < c->n_warnings; i++)
		MUST(strncmp(c->warnings[i], "x.hcl:", 6) == 0 &&
		     strchr(c->warnings[i], '\n') == NULL);
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void check_same(const struct config *a, const struct config *b)
{
	MUST(a->storage == b->storage && same_text(a->storage_path, b->storage_path) &&
	     a->storage_map_size == b->storage_map_size && a->n_listeners == b->n_listeners &&
	     a->n_audits == b->n_audits && same_text(a->api_addr, b->api_addr) &&
	     same_text(a->cluster_name, b->cluster_name) && a->log_level == b->log_level &&
	     a->default_lease_ttl_ns == b->default_lease_ttl_ns &&
	     a->max_connections == b->max_connections && a->n_warnings == b->n_warnings);
	for (size_t i = 0; i < a->n_listeners; i++)
		MUST(same_text(a->listeners[i].address, b->listeners[i].address) &&
		     a->listeners[i].port == b->listeners[i].port);
}

static enum status parse(struct span text, enum config_mode mode, struct config **ret)
{
	uint8_t *exact = fuzz_copy(text);
	struct err err = {0};
	unsigned line = 0, column = 0;
	enum status st = config_parse("x.hcl", span_of(exact, text.n), mode, ret, &err);

	MUST(st == ST_OK || st == ST_INVALID || st == ST_LIMIT);
	if (st == ST_OK)
		check(*ret);
	else
		MUST(*ret == NULL && sscanf(err.text, "x.hcl:%u:%u: ", &line, &column) == 2 &&
		     line > 0 && strchr(err.text, '\n') == NULL);
	free(exact);
	return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config *strict = NULL, *lenient = NULL;
	enum status st = parse(span_of(data, n), CONFIG_STRICT, &strict);

	if (st == ST_OK) {
		MUST(parse(span_of(data, n), CONFIG_LENIENT, &lenient) == ST_OK);
		check_same(strict, lenient);
	} else {
		(void)parse(span_of(data, n), CONFIG_LENIENT, &lenient);
	}
	config_free(&strict);
	config_free(&lenient);
	return 0;
}
