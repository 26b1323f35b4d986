/* operator: initialise, unseal, seal, and the storage key's rotation. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cmd_status.h"
#include "cli/input.h"

#define SHARES_DEFAULT    5
#define THRESHOLD_DEFAULT 3
#define TERMS_PAGE        1000

static enum cli_exit run_init_status(struct cli *c)
{
	struct reply r = {0};
	enum cli_exit e;
	bool done;

	e = cli_ask(c, "GET", "sys/init", NULL, NULL, &r);
	if (e != CLI_DONE)
		return e;
	done = json_is_true(json_object_get(r.body, "initialized"));
	if (c->format == OUTPUT_TABLE && c->field == NULL)
		(void)fputs(done ? "The server is initialized\n"
		                 : "The server is not initialized\n",
		            c->out);
	else
		e = cli_show(c, r.body, NULL);
	reply_free(&r);
	return e != CLI_DONE || done ? e : CLI_MISUSE;
}

static enum status init_table(FILE *out, json_t *answer)
{
	json_t *keys = json_object_get(answer, "keys_base64");
	const char *root = json_string_value(json_object_get(answer, "root_token"));
	size_t i;

	for (i = 0; i < json_array_size(keys); i++) {
		(void)fprintf(out, "Unseal Key %zu: ", i + 1);
		output_text(out, json_string_value(json_array_get(keys, i)) != NULL
		                     ? json_string_value(json_array_get(keys, i))
		                     : "");
		(void)fputc('\n', out);
	}
	(void)fputs("\nInitial Root Token: ", out);
	output_text(out, root != NULL ? root : "");
	(void)fputs("\n\n"
	            "Hand these keys to different people and keep no copy: they are shown this "
	            "once. The server\n"
	            "starts sealed; as many of them as the threshold says unseal it (keyturn "
	            "operator unseal).\n"
	            "Without them nothing that is stored can ever be read again.\n",
	            out);
	return ST_OK;
}

/* Scripts look for the names that other command lines use; the server's own stay. */
static void add_known_names(json_t *answer, long long shares, long long threshold)
{
	(void)json_object_set(answer, "unseal_keys_b64", json_object_get(answer, "keys_base64"));
	(void)json_object_set(answer, "unseal_keys_hex", json_object_get(answer, "keys"));
	(void)json_object_set_new(answer, "unseal_shares", json_integer(shares));
	(void)json_object_set_new(answer, "unseal_threshold", json_integer(threshold));
}

static enum cli_exit run_init(struct cli *c)
{
	const long long shares = cli_number(c, "key-shares", SHARES_DEFAULT);
	const long long threshold = cli_number(c, "key-threshold", THRESHOLD_DEFAULT);
	struct reply r = {0};
	enum cli_exit e;

	if (cli_on(c, "status"))
		return run_init_status(c);
	e = cli_ask(c, "POST", "sys/init", NULL,
	            json_pack("{s:I,s:I}", "secret_shares", (json_int_t)shares, "secret_threshold",
	                      (json_int_t)threshold),
	            &r);
	if (e != CLI_DONE)
		return e;
	add_known_names(r.body, shares, threshold);
	e = cli_show(c, r.body, init_table);
	reply_free(&r);
	return e;
}

static enum cli_exit run_unseal(struct cli *c)
{
	struct builder key = {0};
	struct reply r = {0};
	struct err err = {0};
	json_t *body;
	enum cli_exit e;

	if (cli_on(c, "reset")) {
		body = json_pack("{s:b}", "reset", 1);
	} else {
		e = cli_status(c,
		               input_secret(c->n_args > 0 ? c->args[0] : NULL,
		                            "Unseal Key (will be hidden): ", &key, &err),
		               &err);
		if (e != CLI_DONE)
			return e;
		body = json_pack("{s:s%}", "key", (const char *)key.p, key.n);
		builder_free(&key);
		if (body == NULL)
			return cli_misuse(c, "the key is not text");
	}
	e = cli_ask(c, "POST", "sys/unseal", NULL, body, &r);
	if (e == CLI_DONE)
		e = cli_show(c, r.body, cmd_status_table);
	reply_free(&r);
	return e;
}

static enum cli_exit run_seal(struct cli *c)
{
	struct reply r = {0};
	enum cli_exit e;

	e = cli_ask(c, "POST", "sys/seal", NULL, NULL, &r);
	return e == CLI_DONE ? cli_done(c, &r, "Success! The server is sealed.") : e;
}

static enum status key_table(FILE *out, json_t *answer)
{
	json_t *data = output_data(answer);
	struct table t;
	enum status s;

	table_init(&t, 2);
	table_row(&t, "Key Term", json_object_get(data, "term"));
	table_row(&t, "Install Time", json_object_get(data, "install_time"));
	table_row(&t, "Encryption Count", json_object_get(data, "encryptions"));
	s = table_print(&t, out);
	table_free(&t);
	return s;
}

static enum cli_exit run_key_status(struct cli *c)
{
	struct reply r = {0};
	enum cli_exit e;

	e = cli_ask(c, "GET", "sys/key-status", NULL, NULL, &r);
	if (e == CLI_DONE)
		e = cli_show(c, r.body, key_table);
	reply_free(&r);
	return e;
}

/* The new term is shown when the token may see it. */
static enum cli_exit run_rotate(struct cli *c)
{
	struct reply r = {0};
	enum cli_exit e;

	e = cli_ask(c, "POST", "sys/rotate", NULL, NULL, &r);
	reply_free(&r);
	if (e != CLI_DONE)
		return e;
	if (c->format == OUTPUT_TABLE && c->field == NULL)
		(void)fputs("Success! Rotated key\n\n", c->out);
	e = cli_try(c, "GET", "sys/key-status", NULL, NULL, &r);
	if (e == CLI_DONE && r.status == 200)
		e = cli_show(c, r.body, key_table);
	reply_free(&r);
	return e;
}

/* Terms */

/* The text of one element of `keys`, which may be a number. */
static const char *term_text(const json_t *key, char *buf, size_t cap)
{
	if (json_is_string(key))
		return json_string_value(key);
	(void)snprintf(buf, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(key));
	return buf;
}

static enum status terms_table(FILE *out, json_t *answer)
{
	static const char *const head[] = {"Term",        "State",   "Install Time",
	                                   "Encryptions", "Records", "Cause"};
	static const char *const members[] = {"state", "install_time", "encryptions", "records",
	                                      "cause"};
	json_t *keys = json_object_get(output_data(answer), "keys");
	json_t *terms = json_object_get(output_data(answer), "terms");
	const char *term;
	char buf[32];
	struct table t;
	enum status s;
	size_t i, j;

	table_init(&t, sizeof head / sizeof head[0]);
	table_head(&t, head);
	for (i = 0; i < json_array_size(keys); i++) {
		term = term_text(json_array_get(keys, i), buf, sizeof buf);
		table_cell(&t, term);
		for (j = 0; j < sizeof members / sizeof members[0]; j++)
			table_json(&t, json_object_get(json_object_get(terms, term), members[j]));
	}
	s = table_print(&t, out);
	table_free(&t);
	return s;
}

/* Put the terms of a further page behind those of the answer; false without memory. */
static bool append_page(json_t *answer, json_t *page)
{
	json_t *data = output_data(answer);
	json_t *more = output_data(page);

	return json_array_extend(json_object_get(data, "keys"), json_object_get(more, "keys")) ==
	           0 &&
	       json_object_update(json_object_get(data, "terms"), json_object_get(more, "terms")) ==
	           0;
}

/* All pages as one answer. */
static enum cli_exit ask_terms(struct cli *c, struct reply *ret)
{
	struct reply page = {0};
	json_t *keys;
	char query[96], buf[32];
	enum cli_exit e;
	size_t n;

	(void)snprintf(query, sizeof query, "limit=%d", TERMS_PAGE);
	e = cli_ask(c, "GET", "sys/rotate/terms", query, NULL, ret);
	if (e != CLI_DONE)
		return e;
	for (n = json_array_size(json_object_get(output_data(ret->body), "keys"));
	     n >= TERMS_PAGE;) {
		keys = json_object_get(output_data(ret->body), "keys");
		(void)snprintf(
		    query, sizeof query, "limit=%d&after=%.20s", TERMS_PAGE,
		    term_text(json_array_get(keys, json_array_size(keys) - 1), buf, sizeof buf));
		e = cli_ask(c, "GET", "sys/rotate/terms", query, NULL, &page);
		if (e != CLI_DONE)
			return e;
		n = json_array_size(json_object_get(output_data(page.body), "keys"));
		if (n > 0 && !append_page(ret->body, page.body))
			e = cli_fail(c, "out of memory");
		reply_free(&page);
		if (e != CLI_DONE)
			return e;
	}
	return CLI_DONE;
}

static enum cli_exit run_terms(struct cli *c)
{
	struct reply r = {0};
	enum cli_exit e;

	e = ask_terms(c, &r);
	if (e == CLI_DONE)
		e = cli_show(c, r.body, terms_table);
	reply_free(&r);
	return e;
}

static const struct cli_flag init_flags[] = {
    {"key-shares", CLI_NUMBER, "N", "Into how many keys the unseal key is split (5)"},
    {"key-threshold", CLI_NUMBER, "N", "How many of them unseal the server (3)"},
    {"status", CLI_SWITCH, NULL, "Only tell whether it is initialized (exit code 0) or not (2)"},
    {NULL, CLI_TEXT, NULL, NULL}};

static const struct cli_flag unseal_flags[] = {
    {"reset", CLI_SWITCH, NULL, "Forget the keys entered so far"}, {NULL, CLI_TEXT, NULL, NULL}};

const struct cli_command cmd_operator[] = {
    {"operator init", "", "Initialize a new server; prints the unseal keys and the root token", 0,
     0, init_flags, run_init},
    {"operator unseal", "[KEY | -]", "Enter one unseal key", 0, 1, unseal_flags, run_unseal},
    {"operator seal", "", "Seal the server", 0, 0, NULL, run_seal},
    {"operator rotate", "", "Rotate the storage key", 0, 0, NULL, run_rotate},
    {"operator key-status", "", "Show the active term of the storage key", 0, 0, NULL,
     run_key_status},
    {"operator terms", "", "List all terms of the storage key", 0, 0, NULL, run_terms},
    {NULL, NULL, NULL, 0, 0, NULL, NULL}};
