/* The configuration file: what is taken, what is refused and where the complaint points to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

#define NS INT64_C(1000000000)

#define STORE "storage \"inmem\" {}\n"
#define PLAIN "listener \"tcp\" { tls_disable = true }\n"
#define FULL  STORE PLAIN

static struct config *parse_good(const char *text)
{
	struct config *c = NULL;
	struct err err = {0};

	if (config_parse("k.hcl", span_str(text), CONFIG_STRICT, &c, &err) != ST_OK)
		fail_msg("refused: %s\n%s", err.text, text);
	return c;
}

static void test_defaults(void **state)
{
	struct config *c = parse_good(FULL);
	const struct config_listener *l = &c->listeners[0];

	assert_int_equal(c->storage, CONFIG_STORAGE_INMEM);
	assert_null(c->storage_path);
	assert_int_equal(c->default_lease_ttl_ns, 768 * 3600 * NS);
	assert_int_equal(c->max_lease_ttl_ns, 768 * 3600 * NS);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(c->log_format, LOG_STANDARD);
	assert_int_equal(c->gcm, CONFIG_GCM_AUTO);
	assert_int_equal(c->loops, 0);
	assert_int_equal(c->max_connections, 0);
	assert_false(c->ui);
	assert_int_equal(c->n_audits, 0);
	assert_int_equal(c->n_warnings, 0);
	assert_int_equal(c->n_listeners, 1);
	assert_int_equal(l->kind, CONFIG_TCP);
	assert_string_equal(l->address, "127.0.0.1:8200");
	assert_string_equal(l->host, "127.0.0.1");
	assert_int_equal(l->port, 8200);
	assert_string_equal(l->where, "k.hcl:2:16");
	assert_true(l->tls_disable);
	assert_int_equal(l->tls_min_version, CONFIG_TLS12);
	assert_int_equal(l->max_request_size, 32 << 20);
	assert_int_equal(l->max_request_duration_ns, 90 * NS);
	assert_true(l->disable_unauthed_rekey_endpoints);
	assert_true(l->disable_unauthed_generate_root_endpoints);
	config_free(&c);
	assert_null(c);
	config_free(&c);
}

static const char everything[] =
    "storage \"lmdb\" {\n  path = \"/var/lib/keyturn\"\n  map_size = \"64GiB\"\n}\n"
    "listener \"tcp\" {\n"
    "  address = \"[::1]:8300\"\n"
    "  tls_cert_file = \"/c\"\n  tls_key_file = \"/k\"\n  tls_client_ca_file = \"/ca\"\n"
    "  tls_require_and_verify_client_cert = true\n"
    "  tls_min_version = \"tls13\"\n"
    "  max_request_size = 1048576\n  max_request_duration = \"30s\"\n"
    "  http_idle_timeout = \"1m\"\n  http_read_header_timeout = 5\n  http_read_timeout = \"7s\"\n"
    "  http_write_timeout = \"8s\"\n"
    "  disable_unauthed_rekey_endpoints = false\n"
    "  disable_unauthed_generate_root_endpoints = \"false\"\n"
    "}\n"
    "listener \"unix\" {\n  address = \"/run/k.sock\"\n  socket_mode = \"0660\"\n}\n"
    "audit \"file\" \"main\" {\n  description = \"d\"\n  options {\n    file_path = \"/a\"\n"
    "    mode = \"0640\"\n    log_raw = true\n    hmac_accessor = false\n  }\n}\n"
    "audit \"file\" \"second\" { file_path = \"/b\" }\n"
    "seal \"shamir\" {}\n"
    "telemetry {\n  prometheus_retention_time = \"30s\"\n  disable_hostname = true\n}\n"
    "crypto { aes_gcm = \"evp\" }\n"
    "api_addr = \"https://k.example:8200\"\ncluster_addr = \"https://k.example:8201/\"\n"
    "cluster_name = \"c\"\npid_file = \"/run/k.pid\"\n"
    "log_level = \"debug\"\nlog_format = \"json\"\nlog_file = \"/l\"\n"
    "default_lease_ttl = \"1h\"\nmax_lease_ttl = 7200\n"
    "ui = true\nmax_connections = 500\nloops = 3\n";

static void check_listeners(const struct config *c)
{
	const struct config_listener *l = &c->listeners[0];

	assert_int_equal(c->n_listeners, 2);
	assert_string_equal(l->host, "::1");
	assert_int_equal(l->port, 8300);
	assert_false(l->tls_disable);
	assert_string_equal(l->tls_cert_file, "/c");
	assert_string_equal(l->tls_key_file, "/k");
	assert_string_equal(l->tls_client_ca_file, "/ca");
	assert_true(l->tls_require_client_cert);
	assert_int_equal(l->tls_client_certificate, CONFIG_CLIENT_REQUIRE);
	assert_int_equal(l->tls_min_version, CONFIG_TLS13);
	assert_int_equal(l->max_request_size, 1048576);
	assert_int_equal(l->max_request_duration_ns, 30 * NS);
	assert_int_equal(l->http_idle_timeout_ns, 60 * NS);
	assert_int_equal(l->http_read_header_timeout_ns, 5 * NS);
	assert_int_equal(l->http_read_timeout_ns, 7 * NS);
	assert_int_equal(l->http_write_timeout_ns, 8 * NS);
	assert_false(l->disable_unauthed_rekey_endpoints);
	assert_false(l->disable_unauthed_generate_root_endpoints);
	assert_int_equal(c->listeners[1].kind, CONFIG_UNIX);
	assert_string_equal(c->listeners[1].address, "/run/k.sock");
	assert_int_equal(c->listeners[1].socket_mode, 0660);
}

static void check_audits(const struct config *c)
{
	assert_int_equal(c->n_audits, 2);
	assert_string_equal(c->audits[0].name, "main");
	assert_string_equal(c->audits[0].description, "d");
	assert_string_equal(c->audits[0].file_path, "/a");
	assert_int_equal(c->audits[0].mode, 0640);
	assert_true(c->audits[0].log_raw);
	assert_false(c->audits[0].hmac_accessor);
	assert_string_equal(c->audits[1].name, "second");
	assert_string_equal(c->audits[1].file_path, "/b");
	assert_int_equal(c->audits[1].mode, 0600);
	assert_false(c->audits[1].log_raw);
	assert_true(c->audits[1].hmac_accessor);
}

static void test_everything(void **state)
{
	struct config *c = parse_good(everything);

	assert_int_equal(c->storage, CONFIG_STORAGE_LMDB);
	assert_string_equal(c->storage_path, "/var/lib/keyturn");
	assert_int_equal(c->storage_map_size, UINT64_C(64) << 30);
	check_listeners(c);
	check_audits(c);
	assert_int_equal(c->prometheus_retention_ns, 30 * NS);
	assert_true(c->telemetry_disable_hostname);
	assert_int_equal(c->gcm, CONFIG_GCM_EVP);
	assert_string_equal(c->api_addr, "https://k.example:8200");
	assert_string_equal(c->cluster_addr, "https://k.example:8201/");
	assert_string_equal(c->cluster_name, "c");
	assert_string_equal(c->pid_file, "/run/k.pid");
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_int_equal(c->log_format, LOG_JSON);
	assert_string_equal(c->log_file, "/l");
	assert_int_equal(c->default_lease_ttl_ns, 3600 * NS);
	assert_int_equal(c->max_lease_ttl_ns, 7200 * NS);
	assert_true(c->ui);
	assert_int_equal(c->max_connections, 500);
	assert_int_equal(c->loops, 3);
	assert_int_equal(c->n_warnings, 0);
	config_free(&c);
}

/* The same things in other spellings. */
static void test_json(void **state)
{
	struct config *c =
	    parse_good("{\"backend\": {\"lmdb\": {\"path\": \"/d\"}},\n"
	               " \"listener\": [{\"tcp\": {\"address\": \":8200\", \"tls_disable\": 1}},\n"
	               "              {\"unix\": {\"address\": \"/s\"}}],\n"
	               " \"audit\": {\"file\": {\"a\": {\"options\": {\"file_path\": \"/x\", "
	               "\"log_raw\": \"true\"}}}},\n"
	               " \"telemetry\": {\"disable_hostname\": true}, \"log_level\": \"warn\"}");

	assert_int_equal(c->storage, CONFIG_STORAGE_LMDB);
	assert_string_equal(c->storage_path, "/d");
	assert_int_equal(c->n_listeners, 2);
	assert_string_equal(c->listeners[0].host, "");
	assert_true(c->listeners[0].tls_disable);
	assert_int_equal(c->listeners[1].kind, CONFIG_UNIX);
	assert_int_equal(c->listeners[1].socket_mode, 0600);
	assert_int_equal(c->n_audits, 1);
	assert_string_equal(c->audits[0].file_path, "/x");
	assert_true(c->audits[0].log_raw);
	assert_true(c->telemetry_disable_hostname);
	assert_int_equal(c->log_level, LOG_WARN);
	config_free(&c);
}

static void test_good_values(void **state)
{
	static const char *const good[] = {
	    FULL "disable_mlock = true",
	    FULL "loops = \"4\"",
	    FULL "api_addr = \"http://10.0.0.1\"",
	    FULL "default_lease_ttl = \"1h\"\nmax_lease_ttl = \"1h\"",
	    FULL "telemetry { metrics_prefix = \"x\" }",
	    FULL "crypto { aes_gcm = \"mb\" }",
	    STORE "listener \"tcp\" { address = \"keyturn.example:0\" tls_disable = \"1\" }",
	    STORE "listener \"tcp\" { address = \"0.0.0.0:65535\" tls_disable = true "
	          "cluster_address = \"0.0.0.0:8201\" }",
	    STORE "listener \"unix\" { address = \"/s\" socket_mode = 660 }",
	    PLAIN "storage \"lmdb\" { path = \"/d\" map_size = 1073741824 }",
	};
	struct config *c;
	size_t i;

	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		c = parse_good(good[i]);
		config_free(&c);
	}
}

static const struct {
	const char *text;
	const char *said; /* the beginning of the complaint */
} refused[] = {
    /* text that is none */
    {"storage \"inmem\" {\n", "k.hcl:2:"},
    {"listener {", "k.hcl:1:"},
    {"= 1", "k.hcl:1:1: "},
    /* names */
    {FULL "nosuch = 1", "k.hcl:3:1: unknown name \"nosuch\""},
    {FULL "\n  nosuch = 1", "k.hcl:4:3: unknown name \"nosuch\""},
    {FULL "nosuch \"label\" {}", "k.hcl:3:1: unknown name \"nosuch\""},
    {STORE "listener \"tcp\" {\n  tls_disable = true\n    nosuch = 1\n}",
     "k.hcl:4:5: unknown name \"nosuch\""},
    {STORE "listener \"tcp\" {\n  socket_mode = \"0600\"\n}",
     "k.hcl:3:3: unknown name \"socket_mode\""},
    {STORE "listener \"unix\" {\n  address = \"/s\"\n  tls_cert_file = \"/c\"\n}",
     "k.hcl:4:3: unknown name"},
    {"storage \"inmem\" { path = \"/x\" }", "k.hcl:1:19: unknown name \"path\""},
    {"storage \"lmdb\" { path = \"/x\" sync = 1 }", "k.hcl:1:30: unknown name \"sync\""},
    {FULL "audit \"file\" \"a\" { file_path = \"/a\" nosuch = 1 }",
     "k.hcl:3:37: unknown name \"nosuch\""},
    {FULL "audit \"file\" \"a\" { options { file_path = \"/a\" prefix = \"x\" } }",
     "k.hcl:3:47: unknown name"},
    {FULL "audit \"file\" \"a\" { options { description = \"x\" } }", "k.hcl:3:30: unknown name"},
    {FULL "seal \"shamir\" { key = 1 }", "k.hcl:3:17: unknown name \"key\""},
    {FULL "crypto { aes = \"mb\" }", "k.hcl:3:10: unknown name \"aes\""},
    {FULL "telemetry { nosuch = 1 }", "k.hcl:3:13: unknown name"},
    {"{\"storage\": {\"inmem\": {}},\n \"nosuch\": 1}", "k.hcl:2:"},
    /* twice, or not at all */
    {FULL "ui = true\nui = false", "k.hcl:4:1: ui stands twice"},
    {STORE STORE PLAIN, "k.hcl:2:"},
    {STORE "backend \"inmem\" {}\n" PLAIN, "k.hcl:2:"},
    {PLAIN, "k.hcl:1:1: there is no storage block"},
    {"", "k.hcl:1:1: there is no storage block"},
    {FULL
     "audit \"file\" \"a\" { file_path = \"/a\" }\naudit \"file\" \"a\" { file_path = \"/b\" }",
     "k.hcl:4:"},
    /* blocks */
    {"storage \"nosuch\" {}" PLAIN, "k.hcl:1:18: storage is \"lmdb\" or \"inmem\""},
    {"storage {}" PLAIN, "k.hcl:1:"},
    {"storage \"lmdb\" {}" PLAIN, "k.hcl:1:16: storage \"lmdb\" needs a path"},
    {STORE "listener \"udp\" {}", "k.hcl:2:16: a listener is"},
    {STORE "listener {}", "k.hcl:1:1: listener"},
    {STORE "listener \"unix\" {}", "k.hcl:2:17: listener \"unix\" needs an address"},
    {FULL "audit \"syslog\" \"a\" {}", "k.hcl:3:20: an audit device is \"file\""},
    {FULL "audit \"file\" { file_path = \"/a\" }", "k.hcl:3:"},
    {FULL "audit \"file\" \"a\" {}", "k.hcl:3:18: audit device \"a\" needs a file_path"},
    {FULL "seal \"awskms\" {}", "k.hcl:3:15: seal is \"shamir\""},
    {FULL "ui \"x\" {}", "k.hcl:3:1: ui is not a block"},
    /* TLS */
    {STORE, "k.hcl:1:1: listener \"tcp\" 127.0.0.1:8200 needs tls_cert_file"},
    {STORE "listener \"tcp\" {}",
     "k.hcl:2:16: listener \"tcp\" 127.0.0.1:8200 needs tls_cert_file"},
    {STORE "listener \"tcp\" { tls_cert_file = \"/c\" }", "k.hcl:2:16: listener \"tcp\""},
    {STORE "listener \"tcp\" { tls_key_file = \"/k\" }", "k.hcl:2:16: listener \"tcp\""},
    {STORE "listener \"tcp\" { tls_disable = true tls_require_and_verify_client_cert = true }",
     "k.hcl:2:16: "},
    {STORE "listener \"tcp\" { tls_disable = true tls_client_ca_file = \"/a\" "
           "tls_require_and_verify_client_cert = true }",
     "k.hcl:2:16: "},
    {STORE "listener \"tcp\" {\n tls_min_version = \"tls10\" }",
     "k.hcl:3:20: tls_min_version must be"},
    {STORE "listener \"tcp\" {\n tls_client_certificate = \"maybe\" }",
     "k.hcl:3:27: tls_client_certificate must be"},
    {STORE "listener \"tcp\" {\n tls_client_certificate = true }",
     "k.hcl:3:27: tls_client_certificate must be"},
    {STORE "listener \"tcp\" { tls_disable = true tls_client_certificate = \"request\" }",
     "k.hcl:2:16: tls_client_certificate and tls_disable"},
    {STORE "listener \"tcp\" { tls_cert_file = \"/c\" tls_key_file = \"/k\" tls_client_ca_file = "
           "\"/a\" tls_require_and_verify_client_cert = true tls_client_certificate = "
           "\"request\" }",
     "k.hcl:2:16: tls_require_and_verify_client_cert and tls_client_certificate"},
    /* types and values */
    {FULL "ui = \"perhaps\"", "k.hcl:3:6: ui must be true or false"},
    {FULL "ui = 2", "k.hcl:3:6: ui must be"},
    {FULL "ui = [true]", "k.hcl:3:6: ui must be"},
    {FULL "log_file = 1", "k.hcl:3:12: log_file must be a string"},
    {FULL "log_file = \"\"", "k.hcl:3:12: log_file must not be empty"},
    {FULL "log_level = \"loud\"", "k.hcl:3:13: log_level must be"},
    {FULL "log_level = 3", "k.hcl:3:13: log_level must be"},
    {FULL "log_format = \"xml\"", "k.hcl:3:14: log_format must be"},
    {FULL "max_lease_ttl = \"soon\"", "k.hcl:3:17: max_lease_ttl must be a duration"},
    {FULL "max_lease_ttl = true", "k.hcl:3:17: max_lease_ttl must be a duration"},
    {FULL "max_lease_ttl = \"0\"", "k.hcl:3:17: max_lease_ttl must be at least"},
    {FULL "max_lease_ttl = \"-1h\"", "k.hcl:3:17: max_lease_ttl must be at least"},
    {FULL "max_lease_ttl = \"1h\"", "k.hcl:3:17: default_lease_ttl"},
    {FULL "default_lease_ttl = \"769h\"", "k.hcl:3:21: default_lease_ttl"},
    {FULL "loops = 129", "k.hcl:3:9: loops must be"},
    {FULL "loops = -1", "k.hcl:3:9: loops must be"},
    {FULL "loops = 1.5", "k.hcl:3:9: loops must be"},
    {FULL "loops = \"\"", "k.hcl:3:9: loops must be"},
    {FULL "loops = 99999999999999999999", "k.hcl:3:9: loops must be"},
    {FULL "api_addr = \"k.example\"", "k.hcl:3:12: api_addr must be"},
    {FULL "api_addr = \"https://\"", "k.hcl:3:12: api_addr must be"},
    {FULL "api_addr = \"https://k/path\"", "k.hcl:3:12: api_addr must be"},
    {FULL "api_addr = \"https://:8200\"", "k.hcl:3:12: api_addr must be"},
    {FULL "crypto { aes_gcm = \"openssl\" }", "k.hcl:3:20: aes_gcm must be"},
    {"storage \"lmdb\" { path = \"/d\" map_size = 4096 }" PLAIN,
     "k.hcl:1:41: map_size must be from"},
    {"storage \"lmdb\" { path = \"/d\" map_size = \"64 GB\" }" PLAIN,
     "k.hcl:1:41: map_size must be a number"},
    {"storage \"lmdb\" { path = \"/d\" map_size = \"99999999TiB\" }" PLAIN,
     "k.hcl:1:41: map_size must be"},
    {"storage \"lmdb\" { path = \"/d\" map_size = \"GiB\" }" PLAIN, "k.hcl:1:41: map_size must be"},
    {STORE "listener \"tcp\" { max_request_size = 0 }", "k.hcl:2:37: max_request_size must be"},
    {STORE "listener \"tcp\" { max_request_duration = \"0s\" }",
     "k.hcl:2:41: max_request_duration must be"},
    {STORE "listener \"unix\" { address = \"/s\" socket_mode = \"0999\" }",
     "k.hcl:2:48: socket_mode must be"},
    {STORE "listener \"unix\" { address = \"/s\" socket_mode = \"1777\" }",
     "k.hcl:2:48: socket_mode must be"},
    {STORE "listener \"unix\" { address = \"/s\" socket_mode = \"rw\" }",
     "k.hcl:2:48: socket_mode must be"},
};

static void test_refused(void **state)
{
	struct config *c;
	struct err err;
	enum status s;
	size_t i;

	for (i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		c = NULL;
		err = (struct err){0};
		s = config_parse("k.hcl", span_str(refused[i].text), CONFIG_STRICT, &c, &err);
		if (s != ST_INVALID)
			fail_msg("not refused: %s", refused[i].text);
		if (strncmp(err.text, refused[i].said, strlen(refused[i].said)) != 0)
			fail_msg("wanted \"%s\", got \"%s\" for:\n%s", refused[i].said, err.text,
			         refused[i].text);
		assert_null(c);
	}
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {
	    "nowhere",         "",         "127.0.0.1",  "127.0.0.1:", "127.0.0.1:x",
	    "127.0.0.1:65536", "::1:8200", "[::1]",      "[::1:8200",  "[127.0.0.1]:1",
	    "a b:1",           "a/b:1",    "[::g]:8200", "[]:8200",    "127.0.0.1:-1",
	    "127.0.0.1: 1",    "[::1]x:1"};
	struct config_listener *l = NULL;
	struct config *c = NULL;
	struct err err = {0};
	size_t i;

	assert_int_equal(config_defaults(&c), ST_OK);
	assert_int_equal(c->n_listeners, 0);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (config_add_tcp(c, bad[i], &l, &err) != ST_INVALID)
			fail_msg("not refused: %s", bad[i]);
		assert_null(l);
		assert_int_equal(c->n_listeners, 0);
	}
	assert_int_equal(config_add_tcp(c, "localhost:8200", NULL, &err), ST_OK);
	assert_int_equal(config_add_tcp(c, "[::]:1", &l, &err), ST_OK);
	assert_int_equal(c->n_listeners, 2);
	assert_string_equal(c->listeners[0].host, "localhost");
	assert_string_equal(l->host, "::");
	assert_int_equal(l->port, 1);
	assert_true(l->tls_disable);
	config_free(&c);
}

static void test_lenient(void **state)
{
	struct config *c = NULL;
	struct err err = {0};

	assert_int_equal(
	    config_parse("k.hcl",
	                 span_str(FULL "nosuch = 1\ndisable_mlock = true\nother \"a\" { b = 1 }"),
	                 CONFIG_LENIENT, &c, &err),
	    ST_OK);
	assert_int_equal(c->n_warnings, 3);
	assert_string_equal(c->warnings[0], "k.hcl:3:1: unknown name \"nosuch\" is ignored");
	assert_non_null(strstr(c->warnings[1], "disable_mlock is accepted and ignored"));
	assert_string_equal(c->warnings[2], "k.hcl:5:1: unknown name \"other\" is ignored");
	config_free(&c);
	/* what is known must still be right */
	/* a name of two lines, told in one */
	assert_int_equal(
	    config_parse("k.hcl", span_str(FULL "\"no\\nsuch\" = 1"), CONFIG_LENIENT, &c, &err),
	    ST_OK);
	assert_string_equal(c->warnings[0], "k.hcl:3:1: unknown name \"no such\" is ignored");
	config_free(&c);
	assert_int_equal(config_parse("k.hcl", span_str(FULL "ui = 7"), CONFIG_LENIENT, &c, &err),
	                 ST_INVALID);
	assert_null(c);
}

static void test_ignored_names_warn(void **state)
{
	struct config *c = parse_good(FULL "disable_mlock = false");

	assert_int_equal(c->n_warnings, 1);
	assert_string_equal(c->warnings[0], "k.hcl:3:17: disable_mlock is accepted and ignored: "
	                                    "keys are always locked into memory");
	config_free(&c);
}

/* Files and folders */

static char folder[] = "/tmp/keyturn-config-XXXXXX";

static const char *in_folder(char *buf, size_t cap, const char *name)
{
	(void)snprintf(buf, cap, "%s/%s", folder, name);
	return buf;
}

static void put_file(const char *name, const char *text)
{
	char path[256];
	FILE *f = fopen(in_folder(path, sizeof path, name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static int make_folder(void **state)
{
	return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
	char command[300];

	(void)snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command) == 0 ? 0 : -1;
}

static enum status load(const char *name, struct config **ret, struct err *err)
{
	char path[256];
	const char *const paths[] = {in_folder(path, sizeof path, name)};

	*err = (struct err){0};
	return config_load(paths, 1, CONFIG_STRICT, ret, err);
}

static void test_folder_merges_in_name_order(void **state)
{
	struct config *c = NULL;
	struct err err;
	char path[256];

	put_file("b.hcl", PLAIN "log_level = \"debug\"\nloops = 2\n");
	put_file("a.json", "{\"storage\": {\"inmem\": {}}, \"log_level\": \"warn\"}");
	put_file("c.hcl", "listener \"unix\" { address = \"/s\" }\nloops = 3");
	put_file("ignored.txt", "nonsense {");
	put_file(".hidden.hcl", "nonsense {");
	assert_int_equal(load("", &c, &err), ST_OK);
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_int_equal(c->loops, 3);
	assert_int_equal(c->n_listeners, 2);
	assert_int_equal(c->listeners[0].kind, CONFIG_TCP);
	config_free(&c);

	/* the later file's storage replaces the earlier one's, whole */
	put_file("d.hcl", "storage \"lmdb\" { path = \"/d\" }");
	assert_int_equal(load("", &c, &err), ST_OK);
	assert_int_equal(c->storage, CONFIG_STORAGE_LMDB);
	config_free(&c);

	/* complaints name the file within the folder */
	put_file("e.hcl", "\nnosuch = 1");
	assert_int_equal(load("", &c, &err), ST_INVALID);
	assert_non_null(strstr(err.text, in_folder(path, sizeof path, "/e.hcl:2:1: unknown name")));
	assert_null(c);
}

static void test_several_paths(void **state)
{
	char one[256], two[256];
	const char *const paths[] = {in_folder(one, sizeof one, "one.conf"),
	                             in_folder(two, sizeof two, "two.conf")};
	struct config *c = NULL;
	struct err err = {0};

	put_file("one.conf", STORE PLAIN "loops = 1");
	put_file("two.conf", "loops = 2");
	assert_int_equal(config_load(paths, 2, CONFIG_STRICT, &c, &err), ST_OK);
	assert_int_equal(c->loops, 2);
	config_free(&c);
	assert_int_equal(config_load(paths, 0, CONFIG_STRICT, &c, &err), ST_INVALID);
}

static void test_unreadable(void **state)
{
	struct config *c = NULL;
	char *large = malloc((1 << 20) + 100);
	struct err err;
	char path[256];

	assert_int_equal(load("nosuch.hcl", &c, &err), ST_IO);
	assert_non_null(strstr(err.text, "nosuch.hcl"));
	assert_int_equal(mkdir(in_folder(path, sizeof path, "empty"), 0700), 0);
	assert_int_equal(load("empty", &c, &err), ST_INVALID);
	assert_non_null(strstr(err.text, "no *.hcl"));
	assert_non_null(large);
	memset(large, '#', (1 << 20) + 99);
	large[(1 << 20) + 99] = '\0';
	put_file("large.hcl", large);
	free(large);
	assert_int_equal(load("large.hcl", &c, &err), ST_LIMIT);
	assert_non_null(strstr(err.text, "large.hcl"));
	assert_null(c);
}

static void test_listeners_for_smart_cards(void **state)
{
	static const char *const words[] = {"none", "request", "require"};
	static const char *const addresses[] = {"127.0.0.1:8200", "127.0.0.1:8443",
	                                        "127.0.0.1:8443"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct config *c = NULL;
		struct err e = {0};
		char text[300];

		(void)snprintf(text, sizeof text,
		               "storage \"inmem\" {}\nlistener \"tcp\" { tls_cert_file = \"/c\" "
		               "tls_key_file = \"/k\" tls_client_certificate = \"%s\" }",
		               words[i]);
		assert_int_equal(config_parse("k.hcl", span_str(text), CONFIG_STRICT, &c, &e),
		                 ST_OK);
		assert_int_equal(c->listeners[0].tls_client_certificate, i);
		assert_string_equal(c->listeners[0].address, addresses[i]);
		assert_null(c->listeners[0].tls_client_ca_file);
		config_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_everything),
	    cmocka_unit_test(test_listeners_for_smart_cards),
	    cmocka_unit_test(test_json),
	    cmocka_unit_test(test_good_values),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_lenient),
	    cmocka_unit_test(test_ignored_names_warn),
	    cmocka_unit_test(test_folder_merges_in_name_order),
	    cmocka_unit_test(test_several_paths),
	    cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
