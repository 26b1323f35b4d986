/* policy: list, read, write, delete. */
#include <string.h>

#include "cli/cli.h"
#include "cli/input.h"

#define POLICIES "sys/policies/acl/"

static enum status names_table(FILE *out, json_t *answer)
{
	json_t *keys = json_object_get(output_data(answer), "keys");
	const char *name;
	size_t i;

	for (i = 0; i < json_array_size(keys); i++) {
		name = json_string_value(json_array_get(keys, i));
		output_text(out, name != NULL ? name : "");
		(void)fputc('\n', out);
	}
	return ST_OK;
}

static enum cli_exit run_list(struct cli *c)
{
	struct reply r = {0};
	enum cli_exit e;

	e = cli_ask(c, "LIST", "sys/policies/acl", NULL, NULL, &r);
	if (e == CLI_DONE)
		e = cli_show(c, r.body, names_table);
	reply_free(&r);
	return e;
}

static enum status policy_text(FILE *out, json_t *answer)
{
	const char *text = json_string_value(json_object_get(output_data(answer), "policy"));

	if (text != NULL)
		output_text(out, text);
	if (text == NULL || text[0] == '\0' || text[strlen(text) - 1] != '\n')
		(void)fputc('\n', out);
	return ST_OK;
}

static enum cli_exit run_read(struct cli *c)
{
	struct builder path = {0};
	struct reply r = {0};
	enum cli_exit e;
	const char *at;

	at = cli_path(&path, POLICIES, c->args[0]);
	e = cli_try(c, "GET", at, NULL, NULL, &r);
	if (e == CLI_DONE && r.status == 404)
		e = cli_fail(c, "no policy named: %s", c->args[0]);
	else if (e == CLI_DONE && r.status != 200)
		e = cli_refused(c, &r);
	else if (e == CLI_DONE)
		e = cli_show(c, r.body, policy_text);
	reply_free(&r);
	builder_free(&path);
	return e;
}

static enum cli_exit run_write(struct cli *c)
{
	struct builder path = {0}, text = {0};
	struct reply r = {0};
	struct err err = {0};
	json_t *body;
	enum cli_exit e;
	const char *at;

	e = cli_status(c, input_file(c->args[1], &text, &err), &err);
	if (e != CLI_DONE)
		return e;
	body = json_pack("{s:s%}", "policy", text.n > 0 ? (const char *)text.p : "", text.n);
	builder_free(&text);
	if (body == NULL)
		return cli_misuse(c, "the policy is not UTF-8");
	at = cli_path(&path, POLICIES, c->args[0]);
	e = cli_ask(c, "PUT", at, NULL, body, &r);
	if (e == CLI_DONE)
		e = cli_done(c, &r, "Success! Uploaded policy: %s", c->args[0]);
	builder_free(&path);
	return e;
}

static enum cli_exit run_delete(struct cli *c)
{
	struct builder path = {0};
	struct reply r = {0};
	enum cli_exit e;
	const char *at;

	at = cli_path(&path, POLICIES, c->args[0]);
	e = cli_ask(c, "DELETE", at, NULL, NULL, &r);
	if (e == CLI_DONE)
		e = cli_done(c, &r, "Success! Deleted policy: %s", c->args[0]);
	builder_free(&path);
	return e;
}

const struct cli_command cmd_policy[] = {
    {"policy list", "", "List the names of all policies", 0, 0, NULL, run_list},
    {"policy read", "NAME", "Print a policy", 1, 1, NULL, run_read},
    {"policy write", "NAME FILE | NAME -", "Store a policy from a file or standard input", 2, 2,
     NULL, run_write},
    {"policy delete", "NAME", "Delete a policy", 1, 1, NULL, run_delete},
    {NULL, NULL, NULL, 0, 0, NULL, NULL}};
