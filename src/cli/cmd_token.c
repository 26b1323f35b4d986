/* token: create, lookup, renew, revoke, capabilities.  A TOKEN may be "-": read from standard input. */
#include <string.h>

#include "cli/cli.h"
#include "cli/input.h"

/* The body {member: secret} of the argument at `at`; with further members to come. */
static enum cli_exit secret_body(struct cli *c, size_t at, const char *member, json_t **ret)
{
	struct builder secret = {0};
	struct err err = {0};
	enum cli_exit e;
	json_t *body;

	e = cli_status(c, input_secret(c->args[at], "", &secret, &err), &err);
	if (e != CLI_DONE)
		return e;
	body = json_pack("{s:s%}", member, (const char *)secret.p, secret.n);
	builder_free(&secret);
	if (body == NULL)
		return cli_misuse(c, "the token is not text");
	*ret = body;
	return CLI_DONE;
}

/* Flags of `create` that go into the body as they are, and where a list or a number is wanted instead. */
static const struct {
	const char *flag, *member;
} create_texts[] = {{"display-name", "display_name"},
                    {"ttl", "ttl"},
                    {"explicit-max-ttl", "explicit_max_ttl"},
                    {"period", "period"},
                    {"type", "type"},
                    {"id", "id"}};

static int add_metadata(json_t *body, const char *text)
{
	const char *equals = strchr(text, '=');
	json_t *meta = json_object_get(body, "meta");
	json_t *name;
	int failed;

	if (equals == NULL || equals == text)
		return -1;
	if (meta == NULL && json_object_set_new(body, "meta", json_object()) != 0)
		return -1;
	meta = json_object_get(body, "meta");
	name = json_stringn(text, (size_t)(equals - text));
	failed = name == NULL
	             ? -1
	             : json_object_set_new(meta, json_string_value(name), json_string(equals + 1));
	json_decref(name);
	return failed;
}

static int add_policy(json_t *body, const char *name)
{
	if (json_object_get(body, "policies") == NULL &&
	    json_object_set_new(body, "policies", json_array()) != 0)
		return -1;
	return json_array_append_new(json_object_get(body, "policies"), json_string(name));
}

static int fill_create(const struct cli *c, json_t *body)
{
	const char *text;
	int failed = 0;
	size_t i;

	for (i = 0; i < sizeof create_texts / sizeof create_texts[0]; i++) {
		text = cli_text(c, create_texts[i].flag);
		if (text != NULL)
			failed |=
			    json_object_set_new(body, create_texts[i].member, json_string(text));
	}
	if (cli_text(c, "renewable") != NULL)
		failed |=
		    json_object_set_new(body, "renewable", json_boolean(cli_on(c, "renewable")));
	if (cli_on(c, "no-default-policy"))
		failed |= json_object_set_new(body, "no_default_policy", json_true());
	if (cli_text(c, "use-limit") != NULL)
		failed |= json_object_set_new(body, "num_uses",
		                              json_integer(cli_number(c, "use-limit", 0)));
	for (i = 0; i < c->n_given; i++) {
		if (strcmp(c->given[i].flag->name, "policy") == 0)
			failed |= add_policy(body, c->given[i].text);
		else if (strcmp(c->given[i].flag->name, "metadata") == 0)
			failed |= add_metadata(body, c->given[i].text);
	}
	return failed;
}

static enum cli_exit run_create(struct cli *c)
{
	const char *role = cli_text(c, "role");
	struct builder path = {0};
	struct reply r = {0};
	json_t *body = json_object();
	enum cli_exit e;
	const char *at;

	if (body == NULL || fill_create(c, body) != 0) {
		json_decref(body);
		return cli_misuse(c, "a flag's value cannot be sent; -metadata takes NAME=VALUE");
	}
	if (role != NULL)
		at = cli_path(&path, "auth/token/create/", role);
	else
		at = cli_on(c, "orphan") ? "auth/token/create-orphan" : "auth/token/create";
	e = cli_ask(c, "POST", at, NULL, body, &r);
	if (e == CLI_DONE)
		e = cli_show(c, r.body, NULL);
	reply_free(&r);
	builder_free(&path);
	return e;
}

static enum cli_exit run_lookup(struct cli *c)
{
	const bool accessor = cli_on(c, "accessor");
	struct reply r = {0};
	json_t *body = NULL;
	enum cli_exit e = CLI_DONE;

	if (c->n_args == 0 && accessor)
		return cli_misuse(c, "-accessor needs one");
	if (c->n_args > 0)
		e = secret_body(c, 0, accessor ? "accessor" : "token", &body);
	if (e != CLI_DONE)
		return e;
	if (body == NULL)
		e = cli_ask(c, "GET", "auth/token/lookup-self", NULL, NULL, &r);
	else
		e = cli_ask(c, "POST",
		            accessor ? "auth/token/lookup-accessor" : "auth/token/lookup", NULL,
		            body, &r);
	if (e == CLI_DONE)
		e = cli_show(c, r.body, NULL);
	reply_free(&r);
	return e;
}

static enum cli_exit run_renew(struct cli *c)
{
	const char *increment = cli_text(c, "increment");
	const bool accessor = cli_on(c, "accessor");
	struct reply r = {0};
	json_t *body = NULL;
	enum cli_exit e = CLI_DONE;
	const char *at;

	if (c->n_args == 0 && accessor)
		return cli_misuse(c, "-accessor needs one");
	if (c->n_args > 0)
		e = secret_body(c, 0, accessor ? "accessor" : "token", &body);
	else
		body = json_object();
	if (e != CLI_DONE)
		return e;
	if (increment != NULL)
		(void)json_object_set_new(body, "increment", json_string(increment));
	at = accessor ? "auth/token/renew-accessor" : "auth/token/renew";
	e = cli_ask(c, "POST", c->n_args > 0 ? at : "auth/token/renew-self", NULL, body, &r);
	if (e == CLI_DONE)
		e = cli_show(c, r.body, NULL);
	reply_free(&r);
	return e;
}

static enum cli_exit run_revoke(struct cli *c)
{
	const bool self = cli_on(c, "self");
	const bool accessor = cli_on(c, "accessor");
	struct reply r = {0};
	json_t *body = NULL;
	enum cli_exit e;

	if (self == (c->n_args > 0) || (self && accessor))
		return cli_misuse(c, "either -self or a token (with -accessor: an accessor)");
	if (self) {
		e = cli_ask(c, "POST", "auth/token/revoke-self", NULL, NULL, &r);
	} else {
		e = secret_body(c, 0, accessor ? "accessor" : "token", &body);
		if (e == CLI_DONE)
			e = cli_ask(c, "POST",
			            accessor ? "auth/token/revoke-accessor" : "auth/token/revoke",
			            NULL, body, &r);
	}
	return e == CLI_DONE ? cli_done(c, &r, "Success! Revoked token (if it existed)") : e;
}

static enum status capabilities_line(FILE *out, json_t *answer)
{
	json_t *list = json_object_get(output_data(answer), "capabilities");
	const char *name;
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		name = json_string_value(json_array_get(list, i));
		(void)fputs(i > 0 ? ", " : "", out);
		output_text(out, name != NULL ? name : "");
	}
	(void)fputc('\n', out);
	return ST_OK;
}

static enum cli_exit run_capabilities(struct cli *c)
{
	const bool self = c->n_args == 1;
	const char *path = c->args[c->n_args - 1];
	struct reply r = {0};
	json_t *body = NULL;
	enum cli_exit e = CLI_DONE;

	if (self)
		body = json_object();
	else
		e = secret_body(c, 0, "token", &body);
	if (e != CLI_DONE)
		return e;
	if (json_object_set_new(body, "path", json_string(path)) != 0) {
		json_decref(body);
		return cli_misuse(c, "the path is not UTF-8");
	}
	e = cli_ask(c, "POST", self ? "sys/capabilities-self" : "sys/capabilities", NULL, body, &r);
	if (e == CLI_DONE)
		e = cli_show(c, r.body, capabilities_line);
	reply_free(&r);
	return e;
}

static const struct cli_flag create_flags[] = {
    {"policy", CLI_TEXT, "NAME", "A policy; may stand more than once"},
    {"ttl", CLI_TEXT, "DURATION", "How long it lives (\"1h\")"},
    {"explicit-max-ttl", CLI_TEXT, "DURATION", "How long at most, renewed or not"},
    {"period", CLI_TEXT, "DURATION", "Renewable for ever, each time for this long"},
    {"display-name", CLI_TEXT, "NAME", "A name for people"},
    {"metadata", CLI_TEXT, "NAME=VALUE", "Goes into audit lines; may stand more than once"},
    {"use-limit", CLI_NUMBER, "N", "How often it can be used; 0: no limit"},
    {"renewable", CLI_SWITCH, NULL, "May it be renewed (true)"},
    {"orphan", CLI_SWITCH, NULL, "It outlives the token that makes it"},
    {"no-default-policy", CLI_SWITCH, NULL, "Without the policy \"default\""},
    {"type", CLI_TEXT, "TYPE", "service or batch"},
    {"role", CLI_TEXT, "NAME", "The role to create it under"},
    {"id", CLI_TEXT, "TOKEN", "The token itself (seen in the list of processes)"},
    {NULL, CLI_TEXT, NULL, NULL}};

static const struct cli_flag accessor_flags[] = {
    {"accessor", CLI_SWITCH, NULL, "The argument is an accessor"}, {NULL, CLI_TEXT, NULL, NULL}};

static const struct cli_flag renew_flags[] = {
    {"increment", CLI_TEXT, "DURATION", "For how long"},
    {"i", CLI_TEXT, "DURATION", "The same"},
    {"accessor", CLI_SWITCH, NULL, "The argument is an accessor"},
    {NULL, CLI_TEXT, NULL, NULL}};

static const struct cli_flag revoke_flags[] = {
    {"self", CLI_SWITCH, NULL, "The token that sends this"},
    {"accessor", CLI_SWITCH, NULL, "The argument is an accessor"},
    {NULL, CLI_TEXT, NULL, NULL}};

const struct cli_command cmd_token[] = {
    {"token create", "", "Create a token", 0, 0, create_flags, run_create},
    {"token lookup", "[TOKEN | -]", "Show what a token is; without one, the own", 0, 1,
     accessor_flags, run_lookup},
    {"token renew", "[TOKEN | -]", "Make a token live longer; without one, the own", 0, 1,
     renew_flags, run_renew},
    {"token revoke", "TOKEN | - ", "Revoke a token and what it made", 0, 1, revoke_flags,
     run_revoke},
    {"token capabilities", "[TOKEN | -] PATH", "Show what a token may do at a path", 1, 2, NULL,
     run_capabilities},
    {NULL, NULL, NULL, 0, 0, NULL, NULL}};
