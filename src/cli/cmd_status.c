/* status, login: what does not belong to a family. */
#include <string.h>

#include "cli/cli.h"
#include "cli/cmd_status.h"
#include "cli/input.h"
#include "cli/token_file.h"

enum status cmd_status_table(FILE *out, json_t *answer)
{
	static const char *const head[] = {"Key", "Value"};
	json_t *threshold = json_object_get(answer, "t");
	struct table t;
	enum status s;

	table_init(&t, 2);
	table_head(&t, head);
	table_row(&t, "Seal Type", json_object_get(answer, "type"));
	table_row(&t, "Initialized", json_object_get(answer, "initialized"));
	table_row(&t, "Sealed", json_object_get(answer, "sealed"));
	table_row(&t, "Total Shares", json_object_get(answer, "n"));
	table_row(&t, "Threshold", threshold);
	if (json_is_true(json_object_get(answer, "sealed"))) {
		table_cell(&t, "Unseal Progress");
		table_fmt(&t, "%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT,
		          json_integer_value(json_object_get(answer, "progress")),
		          json_integer_value(threshold));
		table_row(&t, "Unseal Nonce", json_object_get(answer, "nonce"));
	}
	table_row(&t, "Version", json_object_get(answer, "version"));
	if (json_string_length(json_object_get(answer, "build_date")) > 0)
		table_row(&t, "Build Date", json_object_get(answer, "build_date"));
	table_row(&t, "Storage Type", json_object_get(answer, "storage_type"));
	if (json_object_get(answer, "cluster_name") != NULL)
		table_row(&t, "Cluster Name", json_object_get(answer, "cluster_name"));
	if (json_object_get(answer, "cluster_id") != NULL)
		table_row(&t, "Cluster ID", json_object_get(answer, "cluster_id"));
	s = table_print(&t, out);
	table_free(&t);
	return s;
}

/* 0 unsealed, 2 sealed, 1 error. */
static enum cli_exit run_status(struct cli *c)
{
	struct reply r = {0};
	enum cli_exit e;

	e = cli_ask(c, "GET", "sys/seal-status", NULL, NULL, &r);
	if (e == CLI_DONE)
		e = cli_show(c, r.body, cmd_status_table);
	else
		e = CLI_REFUSED;
	if (e == CLI_DONE && !json_is_false(json_object_get(r.body, "sealed")))
		e = CLI_MISUSE;
	reply_free(&r);
	return e;
}

/* The token to log in with: the argument ("token=T", "T", "-"), else asked for. */
static enum cli_exit ask_token(struct cli *c)
{
	char *arg = c->n_args > 0 ? c->args[0] : NULL;
	struct err err = {0};
	enum status s;

	if (arg != NULL && strncmp(arg, "token=", 6) == 0)
		arg += 6;
	builder_free(&c->token);
	s = input_secret(arg, "Token (will be hidden): ", &c->token, &err);
	return cli_status(c, s, &err);
}

/* The answer of lookup-self in the shape that a login has. */
static json_t *as_login(json_t *answer, struct span token)
{
	json_t *data = output_data(answer);

	return json_pack(
	    "{s:{s:s%,s:O,s:O,s:O,s:O,s:O}}", "auth", "client_token", (const char *)token.p,
	    token.n, "accessor", json_object_get(data, "accessor"), "lease_duration",
	    json_object_get(data, "ttl"), "renewable", json_object_get(data, "renewable"),
	    "token_policies", json_object_get(data, "policies"), "policies",
	    json_object_get(data, "policies"));
}

static enum cli_exit store_token(struct cli *c, struct span token)
{
	const char *home = c->env("HOME");
	struct err err = {0};
	enum status s;

	if (home == NULL)
		return cli_fail(c, "HOME is not set: nowhere to store the token (-no-store)");
	s = token_file_write(home, token, &err);
	if (s != ST_OK)
		return cli_fail(c, "%s", err_text(&err, s));
	return CLI_DONE;
}

static enum cli_exit run_login(struct cli *c)
{
	const char *method = cli_text(c, "method");
	struct reply r = {0};
	json_t *shown = NULL;
	enum cli_exit e = CLI_DONE;

	if (method != NULL && strcmp(method, "token") != 0)
		return cli_misuse(c, "method \"%s\": only token is known", method);
	if (c->n_args > 0 || !c->token_known)
		e = ask_token(c);
	if (e == CLI_DONE) {
		c->token_known = true;
		e = cli_ask(c, "GET", "auth/token/lookup-self", NULL, NULL, &r);
	}
	if (e == CLI_DONE && !cli_on(c, "no-store"))
		e = store_token(c, builder_span(&c->token));
	if (e != CLI_DONE || cli_on(c, "no-print"))
		goto out;
	if (c->format == OUTPUT_TABLE && c->field == NULL)
		(void)fprintf(c->out, "Success! You are now authenticated.%s\n\n",
		              cli_on(c, "no-store") ? ""
		                                    : " The token is kept in ~/.keyturn-token.");
	shown = as_login(r.body, builder_span(&c->token));
	e = shown == NULL ? cli_fail(c, "the answer is not that of a token")
	                  : cli_show(c, shown, NULL);
	json_decref(shown);
out:
	reply_free(&r);
	return e;
}

static const struct cli_flag login_flags[] = {
    {"method", CLI_TEXT, "token", "How to log in; only with a token so far"},
    {"no-store", CLI_SWITCH, NULL, "Do not write ~/.keyturn-token"},
    {"no-print", CLI_SWITCH, NULL, "Do not show the token"},
    {NULL, CLI_TEXT, NULL, NULL}};

const struct cli_command cmd_status[] = {
    {"status", "", "Show whether the server is sealed (exit code 0: unsealed, 2: sealed, 1: error)",
     0, 0, NULL, run_status},
    {"login", "[TOKEN | -]", "Check a token and keep it in ~/.keyturn-token", 0, 1, login_flags,
     run_login},
    {NULL, NULL, NULL, 0, 0, NULL, NULL}};
