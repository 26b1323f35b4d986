/* storedsafe apikey: create, list, revoke; storedsafe user: create, list, edit, deactivate, otp, cert.  A passphrase may be "-": read from standard input. */
#include <string.h>

#include "cli/cli.h"
#include "cli/input.h"

#define APIKEYS "auth/storedsafe/apikeys"
#define USERS   "auth/storedsafe/users"

/* Bits of a user's status, and the switches that set them. */
static const struct {
	const char *flag;
	int bit;
} capabilities[] = {{"write", 1}, {"admin", 2}, {"audit", 3}};
#define ALWAYS ((1 << 0) | (1 << 7)) /* Read, Active */

/* One request and what it gives; path and body are taken over. */
static enum cli_exit ask_and_show(struct cli *c, const char *method, const char *front,
                                  const char *name, json_t *body, cli_table *table)
{
	struct builder path = {0};
	struct reply r = {0};
	enum cli_exit e = cli_ask(c, method, cli_path(&path, front, name), NULL, body, &r);

	if (e == CLI_DONE)
		e = cli_show(c, r.body, table);
	reply_free(&r);
	builder_free(&path);
	return e;
}

static enum cli_exit ask_and_say(struct cli *c, const char *method, const char *front,
                                 const char *name, json_t *body, const char *what)
{
	struct builder path = {0};
	struct reply r = {0};
	enum cli_exit e = cli_ask(c, method, cli_path(&path, front, name), NULL, body, &r);

	if (e == CLI_DONE)
		e = cli_done(c, &r, "Success! %s: %s", what, name);
	builder_free(&path);
	return e;
}

/* ---- API keys ---- */

static enum cli_exit run_apikey_create(struct cli *c)
{
	return ask_and_show(c, "POST", APIKEYS "/", c->args[0], NULL, NULL);
}

static enum cli_exit run_apikey_list(struct cli *c)
{
	return ask_and_show(c, "LIST", APIKEYS, "", NULL, cli_keys);
}

static enum cli_exit run_apikey_revoke(struct cli *c)
{
	return ask_and_say(c, "DELETE", APIKEYS "/", c->args[0], NULL, "Revoked API key");
}

/* ---- users ---- */

static int add_text(const struct cli *c, json_t *body, const char *flag)
{
	const char *text = cli_text(c, flag);

	return text != NULL ? json_object_set_new(body, flag, json_string(text)) : 0;
}

/* The secret of the argument at `at`, or asked for, as a member. */
static enum cli_exit add_secret(struct cli *c, size_t at, const char *prompt, const char *member,
                                json_t *body)
{
	struct builder secret = {0};
	struct err err = {0};
	enum cli_exit e;
	json_t *text;

	e = cli_status(c, input_secret(at < c->n_args ? c->args[at] : NULL, prompt, &secret, &err),
	               &err);
	if (e != CLI_DONE)
		return e;
	text = json_stringn((const char *)secret.p, secret.n);
	builder_free(&secret);
	if (text == NULL || json_object_set_new(body, member, text) != 0)
		return cli_misuse(c, "%s is not text", member);
	return CLI_DONE;
}

static int capability_bits(const struct cli *c)
{
	int bits = ALWAYS;

	for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
		if (cli_on(c, capabilities[i].flag))
			bits |= 1 << capabilities[i].bit;
	return bits;
}

static enum cli_exit run_user_create(struct cli *c)
{
	json_t *body = json_object();
	enum cli_exit e;

	if (cli_text(c, "fullname") == NULL || cli_text(c, "email") == NULL) {
		json_decref(body);
		return cli_misuse(c, "-fullname and -email are needed");
	}
	if (body == NULL || (json_object_set_new(body, "username", json_string(c->args[0])) |
	                     json_object_set_new(body, "status", json_integer(capability_bits(c))) |
	                     json_object_set_new(body, "totp", json_boolean(cli_on(c, "totp"))) |
	                     add_text(c, body, "fullname") | add_text(c, body, "email")) != 0) {
		json_decref(body);
		return cli_misuse(c, "a flag's value cannot be sent");
	}
	e = add_secret(c, 1, "Passphrase (will be hidden): ", "passphrase", body);
	if (e != CLI_DONE) {
		json_decref(body);
		return e;
	}
	return ask_and_show(c, "POST", USERS, "", body, NULL);
}

static enum status users_table(FILE *out, json_t *answer)
{
	static const char *const columns[] = {"id",    "username", "fullname",
	                                      "email", "status",   "otpprefix"};
	static const char *const head[] = {"Id",    "Username", "Full name",
	                                   "Email", "Status",   "Devices"};
	const size_t n = sizeof columns / sizeof *columns;
	json_t *users = json_object_get(output_data(answer), "users");
	struct table t;
	enum status s;

	table_init(&t, n);
	table_head(&t, head);
	for (size_t i = 0; i < json_array_size(users); i++)
		for (size_t k = 0; k < n; k++)
			table_json(&t, json_object_get(json_array_get(users, i), columns[k]));
	s = table_print(&t, out);
	table_free(&t);
	return s;
}

static enum cli_exit run_user_list(struct cli *c)
{
	return ask_and_show(c, "LIST", USERS, "", NULL, users_table);
}

static enum cli_exit run_user_edit(struct cli *c)
{
	json_t *body = json_object();
	enum cli_exit e = CLI_DONE;

	if (body == NULL || (add_text(c, body, "username") | add_text(c, body, "fullname") |
	                     add_text(c, body, "email") | add_text(c, body, "status")) != 0) {
		json_decref(body);
		return cli_misuse(c, "a flag's value cannot be sent");
	}
	if (cli_on(c, "passphrase"))
		e = add_secret(c, 1, "New passphrase (will be hidden): ", "passphrase", body);
	else if (c->n_args > 1)
		e = cli_misuse(c, "a passphrase is changed with -passphrase");
	else if (json_object_size(body) == 0)
		e = cli_misuse(c, "nothing to change: give a flag");
	if (e != CLI_DONE) {
		json_decref(body);
		return e;
	}
	return ask_and_show(c, "POST", USERS "/", c->args[0], body, NULL);
}

static enum cli_exit run_user_deactivate(struct cli *c)
{
	return ask_and_show(c, "DELETE", USERS "/", c->args[0], NULL, NULL);
}

/* The path "auth/storedsafe/users/NAME/otp", with "/otp" as rest. */
static const char *user_path(struct builder *path, const char *name, const char *rest)
{
	if (cli_path(path, USERS "/", name) == NULL)
		return NULL;
	path->n--; /* its NUL */
	builder_str(path, rest);
	builder_u8(path, 0);
	return builder_status(path) == ST_OK ? (const char *)path->p : NULL;
}

static enum cli_exit run_otp(struct cli *c)
{
	const char *device = cli_text(c, "yubikey");
	json_t *body = json_object();
	struct builder path = {0};
	struct reply r = {0};
	enum cli_exit e = CLI_DONE;

	if (body == NULL ||
	    (json_object_set_new(body, "type", json_string(device != NULL ? "yubikey" : "totp")) |
	     (device != NULL ? json_object_set_new(body, "public_id", json_string(device)) : 0)) !=
	        0)
		e = cli_misuse(c, "a flag's value cannot be sent");
	if (e == CLI_DONE && device == NULL && c->n_args > 1)
		e = cli_misuse(c, "a key and a private id are a device's: give -yubikey");
	if (e == CLI_DONE && device != NULL)
		e = add_secret(c, 1, "AES key, 32 hexadecimal digits (will be hidden): ", "key",
		               body);
	if (e == CLI_DONE && device != NULL)
		e = add_secret(c, 2,
		               "Private id, 12 hexadecimal digits (will be hidden): ", "private_id",
		               body);
	if (e != CLI_DONE) {
		json_decref(body);
		return e;
	}
	e = cli_ask(c, "POST", user_path(&path, c->args[0], "/otp"), NULL, body, &r);
	if (e == CLI_DONE)
		e = cli_done(c, &r, "Success! Registered device: %s", device);
	builder_free(&path);
	return e;
}

/* A file's bytes as the text that goes into JSON: PEM as it is, DER as base64. */
static enum status cert_text(struct span file, struct builder *ret)
{
	if (memmem(file.p, file.n, "-----BEGIN", 10) != NULL)
		builder_add(ret, file);
	else
		builder_base64(ret, file);
	return builder_status(ret);
}

static enum cli_exit add_cert(struct cli *c, const char *file, json_t *body)
{
	struct builder bytes = {0}, text = {0};
	struct err err = {0};
	json_t *value = NULL;
	enum cli_exit e = cli_status(c, input_file(file, &bytes, &err), &err);

	if (e == CLI_DONE && bytes.n > 0 && cert_text(builder_span(&bytes), &text) == ST_OK)
		value = json_stringn((const char *)text.p, text.n);
	if (e == CLI_DONE && json_object_set_new(body, "user_cert", value) != 0)
		e = cli_fail(c, "%s holds no certificate", file);
	builder_free(&text);
	builder_free(&bytes);
	return e;
}

static enum cli_exit run_cert(struct cli *c)
{
	bool removes = cli_on(c, "remove"), adds = c->n_args > 1;
	const char *method = removes ? "DELETE" : adds ? "POST" : "GET";
	json_t *body = adds ? json_object() : NULL;
	struct builder path = {0};
	struct reply r = {0};
	enum cli_exit e = CLI_DONE;

	if (removes && adds)
		e = cli_misuse(c, "-remove takes no file");
	else if (adds)
		e = add_cert(c, c->args[1], body);
	if (e != CLI_DONE) {
		json_decref(body);
		return e;
	}
	e = cli_ask(c, method, user_path(&path, c->args[0], "/certificate"), NULL, body, &r);
	builder_free(&path);
	if (e != CLI_DONE)
		return e;
	if (removes)
		return cli_done(c, &r, "Success! Removed certificate of: %s", c->args[0]);
	e = cli_show(c, r.body, NULL);
	reply_free(&r);
	return e;
}

static const struct cli_flag create_flags[] = {
    {"fullname", CLI_TEXT, "TEXT", "Full name"},
    {"email", CLI_TEXT, "TEXT", "Address"},
    {"write", CLI_SWITCH, NULL, "May make vaults"},
    {"admin", CLI_SWITCH, NULL, "May make users"},
    {"audit", CLI_SWITCH, NULL, "Auditor"},
    {"totp", CLI_SWITCH, NULL, "Make a secret for time-based codes, and show it"},
    {NULL, CLI_TEXT, NULL, NULL}};

static const struct cli_flag edit_flags[] = {
    {"username", CLI_TEXT, "NAME", "Another name"},
    {"fullname", CLI_TEXT, "TEXT", "Full name"},
    {"email", CLI_TEXT, "TEXT", "Address"},
    {"status", CLI_NUMBER, "BITS",
     "Sum of: 1 Read, 2 Write, 4 Admin, 8 Audit, 16 Escrow, 128 Active"},
    {"passphrase", CLI_SWITCH, NULL, "Another passphrase"},
    {NULL, CLI_TEXT, NULL, NULL}};

static const struct cli_flag cert_flags[] = {
    {"remove", CLI_SWITCH, NULL, "Remove the user's certificate"}, {NULL, CLI_TEXT, NULL, NULL}};

static const struct cli_flag otp_flags[] = {
    {"yubikey", CLI_TEXT, "PUBLIC-ID", "Register a device instead of making a TOTP secret"},
    {NULL, CLI_TEXT, NULL, NULL}};

const struct cli_command cmd_storedsafe[] = {
    {"storedsafe apikey create", "NAME", "Make an API key, shown once", 1, 1, NULL,
     run_apikey_create},
    {"storedsafe apikey list", "", "List the names of all API keys", 0, 0, NULL, run_apikey_list},
    {"storedsafe apikey revoke", "NAME", "Revoke an API key", 1, 1, NULL, run_apikey_revoke},
    {"storedsafe user create", "USERNAME [PASSPHRASE | -]", "Make a user", 1, 2, create_flags,
     run_user_create},
    {"storedsafe user list", "", "List all users", 0, 0, NULL, run_user_list},
    {"storedsafe user edit", "USERNAME [PASSPHRASE | -]", "Change a user", 1, 2, edit_flags,
     run_user_edit},
    {"storedsafe user deactivate", "USERNAME", "Lock a user out", 1, 1, NULL, run_user_deactivate},
    {"storedsafe user otp", "USERNAME [KEY PRIVATE-ID]",
     "Make or register what gives one-time codes", 1, 3, otp_flags, run_otp},
    {"storedsafe user cert", "USERNAME [FILE]",
     "Show a user's certificate, or register the one in FILE (PEM or DER) instead", 1, 2,
     cert_flags, run_cert},
    {NULL, NULL, NULL, 0, 0, NULL, NULL}};
