/*
 * kv: get, put, list, delete on versions 1 and 2 alike.  Which one a path belongs to, the server tells at
 * sys/internal/ui/mounts/PATH; version 2 keeps values below MOUNT/data/ and lists MOUNT/metadata/.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/input.h"

/* Where a path of kv leads. */
struct place {
	struct builder full; /* the path as given, with -mount in front; NUL-terminated */
	struct builder api;  /* the path to call; NUL-terminated */
	size_t mount_length; /* of the mount in `full`, with its slash; 0: not known */
	bool versioned;
};

static void place_free(struct place *p)
{
	builder_free(&p->full);
	builder_free(&p->api);
}

/* Ask which mount it is; a server that does not tell has version 1 only. */
static enum cli_exit find_mount(struct cli *c, struct place *p)
{
	struct builder path = {0};
	struct reply r = {0};
	json_t *data;
	const char *mount;
	enum cli_exit e;
	const char *at;

	at = cli_path(&path, "sys/internal/ui/mounts/", (const char *)p->full.p);
	e = cli_try(c, "GET", at, NULL, NULL, &r);
	builder_free(&path);
	if (e != CLI_DONE)
		return e;
	if (r.status == 403 || r.status >= 500) {
		e = cli_refused(c, &r);
	} else if (r.status == 200) {
		data = output_data(r.body);
		mount = json_string_value(json_object_get(data, "path"));
		p->versioned = mount != NULL && json_is_object(json_object_get(data, "options")) &&
		               json_string_length(json_object_get(json_object_get(data, "options"),
		                                                  "version")) == 1 &&
		               json_string_value(json_object_get(json_object_get(data, "options"),
		                                                 "version"))[0] == '2';
		p->mount_length = mount != NULL ? strlen(mount) : 0;
	}
	reply_free(&r);
	return e;
}

/* Fill p: the path to call for c->args[0]; in version 2 `part` ("data/", "metadata/") stands behind the mount. */
static enum cli_exit locate(struct cli *c, const char *part, struct place *p)
{
	const char *mount = cli_text(c, "mount");
	const char *full;
	enum cli_exit e;
	size_t n;

	if (mount != NULL) {
		struct builder front = {0};

		builder_str(&front, mount);
		while (front.n > 0 && front.p[front.n - 1] == '/')
			front.n--;
		builder_str(&front, "/");
		builder_u8(&front, 0);
		full = builder_status(&front) == ST_OK
		           ? cli_path(&p->full, (const char *)front.p, c->args[0])
		           : NULL;
		builder_free(&front);
	} else {
		full = cli_path(&p->full, "", c->args[0]);
	}
	if (full == NULL)
		return cli_fail(c, "out of memory");
	e = find_mount(c, p);
	if (e != CLI_DONE)
		return e;
	n = p->mount_length < strlen(full) ? p->mount_length : strlen(full);
	if (p->versioned) {
		builder_add(&p->api, span_of(full, n));
		if (n > 0 && full[n - 1] != '/')
			builder_str(&p->api, "/");
		builder_str(&p->api, part);
		builder_str(&p->api, full + n);
	} else {
		builder_str(&p->api, full);
	}
	builder_u8(&p->api, 0);
	return builder_status(&p->api) == ST_OK ? CLI_DONE : cli_fail(c, "out of memory");
}

static void heading(FILE *out, const char *title)
{
	(void)fprintf(out, "====== %s ======\n", title);
}

static enum status object_table(FILE *out, json_t *object)
{
	static const char *const head[] = {"Key", "Value"};
	struct table t;
	enum status s;

	table_init(&t, 2);
	table_head(&t, head);
	table_object(&t, object);
	s = table_print(&t, out);
	table_free(&t);
	return s;
}

static enum status value_table(FILE *out, json_t *answer)
{
	heading(out, "Data");
	return object_table(out, output_data(answer));
}

static enum status versioned_table(FILE *out, json_t *answer)
{
	json_t *data = output_data(answer);
	enum status s;

	heading(out, "Metadata");
	s = object_table(out, json_object_get(data, "metadata"));
	if (s != ST_OK || !json_is_object(json_object_get(data, "data")))
		return s;
	(void)fputc('\n', out);
	heading(out, "Data");
	return object_table(out, json_object_get(data, "data"));
}

static enum status written_table(FILE *out, json_t *answer)
{
	heading(out, "Metadata");
	return object_table(out, output_data(answer));
}

static void show_path(struct cli *c, const struct place *p)
{
	if (c->format != OUTPUT_TABLE || c->field != NULL || !p->versioned)
		return;
	heading(c->out, "Secret Path");
	output_text(c->out, (const char *)p->api.p);
	(void)fputs("\n\n", c->out);
}

/* -field of a versioned value is a field of the value. */
static enum cli_exit show_value(struct cli *c, const struct place *p, json_t *answer)
{
	json_t *inner = json_object_get(output_data(answer), "data");

	if (p->versioned && c->field != NULL && json_object_get(inner, c->field) != NULL)
		return cli_status(
		    c, output_field(c->out, c->format, json_object_get(inner, c->field)), NULL);
	show_path(c, p);
	return cli_show(c, answer, p->versioned ? versioned_table : value_table);
}

static enum cli_exit run_get(struct cli *c)
{
	struct place p = {0};
	struct reply r = {0};
	char query[64] = "";
	enum cli_exit e;

	e = locate(c, "data/", &p);
	if (e != CLI_DONE)
		goto out;
	if (cli_text(c, "version") != NULL) {
		if (!p.versioned) {
			e = cli_misuse(c, "this mount keeps no versions");
			goto out;
		}
		(void)snprintf(query, sizeof query, "version=%lld", cli_number(c, "version", 0));
	}
	e = cli_try(c, "GET", (const char *)p.api.p, query, NULL, &r);
	if (e != CLI_DONE)
		goto out;
	if (r.status == 200) {
		e = show_value(c, &p, r.body);
	} else if (r.status == 404 && json_array_size(json_object_get(r.body, "errors")) == 0) {
		if (p.versioned &&
		    json_is_object(json_object_get(output_data(r.body), "metadata")) &&
		    c->field == NULL)
			(void)show_value(c, &p, r.body);
		(void)fprintf(c->err, "No value found at %s\n", (const char *)p.api.p);
		e = CLI_REFUSED;
	} else {
		e = cli_refused(c, &r);
	}
out:
	reply_free(&r);
	place_free(&p);
	return e;
}

/* What version 2 wants around the value; takes data over. */
static json_t *wrapped(const struct cli *c, json_t *data)
{
	json_t *body = json_pack("{s:o}", "data", data);

	if (body != NULL && cli_text(c, "cas") != NULL &&
	    json_object_set_new(body, "options",
	                        json_pack("{s:I}", "cas", (json_int_t)cli_number(c, "cas", 0))) !=
	        0) {
		json_decref(body);
		return NULL;
	}
	return body;
}

static enum cli_exit run_put(struct cli *c)
{
	struct place p = {0};
	struct reply r = {0};
	struct err err = {0};
	json_t *body = NULL;
	enum cli_exit e;

	e = cli_status(c, input_pairs(c->args + 1, c->n_args - 1, &body, &err), &err);
	if (e == CLI_DONE)
		e = locate(c, "data/", &p);
	if (e != CLI_DONE) {
		json_decref(body);
		goto out;
	}
	if (p.versioned)
		body = wrapped(c, body);
	if (body == NULL) {
		e = cli_fail(c, "out of memory");
		goto out;
	}
	e = cli_ask(c, "POST", (const char *)p.api.p, NULL, body, &r);
	if (e == CLI_DONE && r.body == NULL) {
		e = cli_done(c, &r, "Success! Data written to: %s", (const char *)p.api.p);
	} else if (e == CLI_DONE) {
		show_path(c, &p);
		e = cli_show(c, r.body, written_table);
	}
out:
	reply_free(&r);
	place_free(&p);
	return e;
}

static enum cli_exit run_list(struct cli *c)
{
	struct place p = {0};
	struct reply r = {0};
	enum cli_exit e;

	e = locate(c, "metadata/", &p);
	if (e == CLI_DONE)
		e = cli_try(c, "LIST", (const char *)p.api.p, NULL, NULL, &r);
	if (e == CLI_DONE && r.status == 200) {
		e = cli_show(c, r.body, cli_keys);
	} else if (e == CLI_DONE && r.status == 404 &&
	           json_array_size(json_object_get(r.body, "errors")) == 0) {
		(void)fprintf(c->err, "No value found at %s\n", (const char *)p.api.p);
		e = CLI_REFUSED;
	} else if (e == CLI_DONE) {
		e = cli_refused(c, &r);
	}
	reply_free(&r);
	place_free(&p);
	return e;
}

/* "1,3" as [1, 3]; NULL when it is something else. */
static json_t *version_list(const char *text)
{
	json_t *list = json_array();
	char *end;

	for (;;) {
		const long long n = strtoll(text, &end, 10);

		if (end == text || n <= 0 || json_array_append_new(list, json_integer(n)) != 0)
			break;
		if (*end == '\0')
			return list;
		if (*end != ',')
			break;
		text = end + 1;
	}
	json_decref(list);
	return NULL;
}

static enum cli_exit run_delete(struct cli *c)
{
	const char *text = cli_text(c, "versions");
	json_t *list = text != NULL ? version_list(text) : NULL;
	json_t *body = NULL;
	struct place p = {0};
	struct reply r = {0};
	enum cli_exit e;

	if (text != NULL && list == NULL)
		return cli_misuse(c, "-versions takes numbers with commas between");
	if (list != NULL)
		body = json_pack("{s:o}", "versions", list);
	e = locate(c, list != NULL ? "delete/" : "data/", &p);
	if (e == CLI_DONE && list != NULL && !p.versioned)
		e = cli_misuse(c, "this mount keeps no versions");
	if (e == CLI_DONE)
		e = cli_ask(c, list != NULL ? "POST" : "DELETE", (const char *)p.api.p, NULL,
		            json_incref(body), &r);
	if (e == CLI_DONE)
		e = cli_done(c, &r, "Success! Data deleted (if it existed) at: %s",
		             (const char *)p.api.p);
	json_decref(body);
	place_free(&p);
	return e;
}

#define MOUNT_FLAG                                                            \
	{                                                                     \
		"mount", CLI_TEXT, "PATH", "The mount; PATH is then below it" \
	}

static const struct cli_flag get_flags[] = {
    {"version", CLI_NUMBER, "N", "An older version"}, MOUNT_FLAG, {NULL, CLI_TEXT, NULL, NULL}};
static const struct cli_flag put_flags[] = {
    {"cas", CLI_NUMBER, "N", "Write only if N is the current version (0: none yet)"},
    MOUNT_FLAG,
    {NULL, CLI_TEXT, NULL, NULL}};
static const struct cli_flag list_flags[] = {MOUNT_FLAG, {NULL, CLI_TEXT, NULL, NULL}};
static const struct cli_flag delete_flags[] = {
    {"versions", CLI_TEXT, "N,...", "These versions instead of the latest"},
    MOUNT_FLAG,
    {NULL, CLI_TEXT, NULL, NULL}};

const struct cli_command cmd_kv[] = {
    {"kv get", "PATH", "Read a value", 1, 1, get_flags, run_get},
    {"kv put", "PATH [NAME=VALUE | NAME=@FILE | NAME=- | @FILE.json | -]...", "Write a value", 2,
     CLI_ANY, put_flags, run_put},
    {"kv list", "PATH", "List what lies below a path", 1, 1, list_flags, run_list},
    {"kv delete", "PATH", "Delete a value", 1, 1, delete_flags, run_delete},
    {NULL, NULL, NULL, 0, 0, NULL, NULL}};
