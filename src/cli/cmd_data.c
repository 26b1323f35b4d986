/* read, write, list, delete: any path of the API. */
#include <string.h>

#include "cli/cli.h"
#include "cli/input.h"

static enum cli_exit nothing_at(struct cli *c, const char *path)
{
	(void)fprintf(c->err, "No value found at %s\n", path);
	return CLI_REFUSED;
}

/* One GET or LIST; a 404 that says nothing more becomes "No value found". */
static enum cli_exit fetch(struct cli *c, const char *method, const char *query, cli_table *table)
{
	struct builder path = {0};
	struct reply r = {0};
	enum cli_exit e;
	const char *at;

	at = cli_path(&path, "", c->args[0]);
	e = cli_try(c, method, at, query, NULL, &r);
	if (e != CLI_DONE)
		goto out;
	if (r.status == 404 && json_array_size(json_object_get(r.body, "errors")) == 0) {
		if (json_is_object(json_object_get(r.body, "data")) ||
		    json_array_size(json_object_get(r.body, "warnings")) > 0)
			(void)cli_show(c, r.body, table);
		e = nothing_at(c, at);
	} else if (r.status < 200 || r.status >= 300) {
		e = cli_refused(c, &r);
	} else {
		e = cli_show(c, r.body, table);
	}
out:
	reply_free(&r);
	builder_free(&path);
	return e;
}

static enum cli_exit run_read(struct cli *c)
{
	struct builder query = {0};
	json_t *pairs = NULL;
	struct err err = {0};
	enum cli_exit e;

	e = cli_status(c, input_pairs(c->args + 1, c->n_args - 1, &pairs, &err), &err);
	if (e != CLI_DONE)
		return e;
	client_query(&query, pairs);
	builder_u8(&query, 0);
	e = builder_status(&query) == ST_OK ? fetch(c, "GET", (const char *)query.p, NULL)
	                                    : cli_fail(c, "out of memory");
	builder_free(&query);
	json_decref(pairs);
	return e;
}

static enum cli_exit run_list(struct cli *c)
{
	return fetch(c, "LIST", NULL, cli_keys);
}

static enum cli_exit run_write(struct cli *c)
{
	struct builder path = {0};
	struct reply r = {0};
	json_t *body = NULL;
	struct err err = {0};
	enum cli_exit e;
	const char *at;

	if (c->n_args < 2 && !cli_on(c, "f") && !cli_on(c, "force"))
		return cli_misuse(c, "nothing to write; -f writes without data");
	e = cli_status(c, input_pairs(c->args + 1, c->n_args - 1, &body, &err), &err);
	if (e != CLI_DONE)
		return e;
	at = cli_path(&path, "", c->args[0]);
	e = cli_ask(c, "POST", at, NULL, body, &r);
	if (e == CLI_DONE)
		e = cli_done(c, &r, "Success! Data written to: %s", at);
	builder_free(&path);
	return e;
}

static enum cli_exit run_delete(struct cli *c)
{
	struct builder path = {0};
	struct reply r = {0};
	enum cli_exit e;
	const char *at;

	at = cli_path(&path, "", c->args[0]);
	e = cli_ask(c, "DELETE", at, NULL, NULL, &r);
	if (e == CLI_DONE)
		e = cli_done(c, &r, "Success! Data deleted (if it existed) at: %s", at);
	builder_free(&path);
	return e;
}

static const struct cli_flag write_flags[] = {{"f", CLI_SWITCH, NULL, "Write without data"},
                                              {"force", CLI_SWITCH, NULL, "The same"},
                                              {NULL, CLI_TEXT, NULL, NULL}};

const struct cli_command cmd_data[] = {
    {"read", "PATH [NAME=VALUE...]", "Read a path; NAME=VALUE are query parameters", 1, CLI_ANY,
     NULL, run_read},
    {"write", "PATH [NAME=VALUE | NAME=@FILE | NAME=- | @FILE.json | -]...", "Write data to a path",
     1, CLI_ANY, write_flags, run_write},
    {"list", "PATH", "List what lies below a path", 1, 1, NULL, run_list},
    {"delete", "PATH", "Delete what lies at a path", 1, 1, NULL, run_delete},
    {NULL, NULL, NULL, 0, 0, NULL, NULL}};
