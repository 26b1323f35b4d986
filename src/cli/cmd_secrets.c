/* secrets: what is mounted where. */
#include <string.h>

#include "cli/cli.h"

#define MOUNTS "sys/mounts/"

/* The path of a mount's settings, NUL-terminated in b; "kv/" and "/kv" are "kv".  NULL without memory. */
static const char *mount_path(struct builder *b, const char *path, const char *behind)
{
	size_t n;

	while (path[0] == '/')
		path++;
	for (n = strlen(path); n > 0 && path[n - 1] == '/';)
		n--;
	builder_str(b, MOUNTS);
	builder_add(b, span_of(path, n));
	builder_str(b, behind);
	builder_u8(b, 0);
	return builder_status(b) == ST_OK ? (const char *)b->p : NULL;
}

static enum status mounts_table(FILE *out, json_t *answer)
{
	static const char *const head[] = {"Path", "Type", "Accessor", "Description"};
	json_t *mounts = output_data(answer);
	const char *path = NULL;
	json_t *mount = NULL;
	struct table t;
	enum status s;

	table_init(&t, sizeof head / sizeof head[0]);
	table_head(&t, head);
	json_object_foreach(mounts, path, mount)
	{
		if (json_object_get(mount, "type") == NULL)
			continue;
		table_cell(&t, path);
		table_json(&t, json_object_get(mount, "type"));
		table_json(&t, json_object_get(mount, "accessor"));
		table_json(&t, json_object_get(mount, "description"));
	}
	s = table_print(&t, out);
	table_free(&t);
	return s;
}

static enum cli_exit run_list(struct cli *c)
{
	struct reply r = {0};
	enum cli_exit e;

	e = cli_ask(c, "GET", "sys/mounts", NULL, NULL, &r);
	if (e == CLI_DONE)
		e = cli_show(c, r.body, mounts_table);
	reply_free(&r);
	return e;
}

/* {"options": {...}, "config": {...}} with what the flags say. */
static int add_text(json_t *body, const char *object, const char *member, const char *text)
{
	json_t *to = body;

	if (text == NULL)
		return 0;
	if (object != NULL) {
		if (json_object_get(body, object) == NULL &&
		    json_object_set_new(body, object, json_object()) != 0)
			return -1;
		to = json_object_get(body, object);
	}
	return json_object_set_new(to, member, json_string(text));
}

static enum cli_exit run_enable(struct cli *c)
{
	const char *type = c->args[0];
	const char *path = cli_text(c, "path") != NULL ? cli_text(c, "path") : type;
	json_t *body = json_object();
	struct builder full = {0};
	struct reply r = {0};
	enum cli_exit e;
	const char *at;

	if (add_text(body, NULL, "type", type) != 0 ||
	    add_text(body, NULL, "description", cli_text(c, "description")) != 0 ||
	    add_text(body, "options", "version", cli_text(c, "version")) != 0 ||
	    add_text(body, "config", "default_lease_ttl", cli_text(c, "default-lease-ttl")) != 0 ||
	    add_text(body, "config", "max_lease_ttl", cli_text(c, "max-lease-ttl")) != 0) {
		json_decref(body);
		return cli_misuse(c, "a flag's value is not UTF-8");
	}
	at = mount_path(&full, path, "");
	e = cli_ask(c, "POST", at, NULL, body, &r);
	if (e == CLI_DONE)
		e = cli_done(c, &r, "Success! Enabled the %s secrets engine at: %s/", type,
		             at + strlen(MOUNTS));
	builder_free(&full);
	return e;
}

static enum cli_exit run_disable(struct cli *c)
{
	struct builder full = {0};
	struct reply r = {0};
	enum cli_exit e;
	const char *at;

	at = mount_path(&full, c->args[0], "");
	e = cli_ask(c, "DELETE", at, NULL, NULL, &r);
	if (e == CLI_DONE)
		e = cli_done(c, &r, "Success! Disabled the secrets engine (if it existed) at: %s/",
		             at + strlen(MOUNTS));
	builder_free(&full);
	return e;
}

static enum cli_exit run_tune(struct cli *c)
{
	json_t *body = json_object();
	struct builder full = {0};
	struct reply r = {0};
	enum cli_exit e;
	const char *at;

	if (add_text(body, NULL, "description", cli_text(c, "description")) != 0 ||
	    add_text(body, "options", "version", cli_text(c, "version")) != 0 ||
	    add_text(body, NULL, "default_lease_ttl", cli_text(c, "default-lease-ttl")) != 0 ||
	    add_text(body, NULL, "max_lease_ttl", cli_text(c, "max-lease-ttl")) != 0) {
		json_decref(body);
		return cli_misuse(c, "a flag's value is not UTF-8");
	}
	at = mount_path(&full, c->args[0], "/tune");
	e = cli_ask(c, "POST", at, NULL, body, &r);
	if (e == CLI_DONE)
		e = cli_done(c, &r, "Success! Tuned the secrets engine at: %s", c->args[0]);
	builder_free(&full);
	return e;
}

static const struct cli_flag enable_flags[] = {
    {"path", CLI_TEXT, "PATH", "Where (else the type's name)"},
    {"description", CLI_TEXT, "TEXT", "What it is for"},
    {"version", CLI_NUMBER, "N", "Version of kv: 1 or 2"},
    {"default-lease-ttl", CLI_TEXT, "DURATION", "Default lifetime"},
    {"max-lease-ttl", CLI_TEXT, "DURATION", "Longest lifetime"},
    {NULL, CLI_TEXT, NULL, NULL}};

static const struct cli_flag tune_flags[] = {
    {"description", CLI_TEXT, "TEXT", "What it is for"},
    {"version", CLI_NUMBER, "N", "Version of kv: 1 or 2"},
    {"default-lease-ttl", CLI_TEXT, "DURATION", "Default lifetime"},
    {"max-lease-ttl", CLI_TEXT, "DURATION", "Longest lifetime"},
    {NULL, CLI_TEXT, NULL, NULL}};

const struct cli_command cmd_secrets[] = {
    {"secrets list", "", "List what is mounted", 0, 0, NULL, run_list},
    {"secrets enable", "TYPE", "Mount a secrets engine (kv, transit)", 1, 1, enable_flags,
     run_enable},
    {"secrets disable", "PATH", "Unmount a secrets engine; deletes all that it holds", 1, 1, NULL,
     run_disable},
    {"secrets tune", "PATH", "Change a mount's settings", 1, 1, tune_flags, run_tune},
    {NULL, NULL, NULL, 0, 0, NULL, NULL}};
