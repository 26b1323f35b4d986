#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/memory.h"
#include "cli/token_file.h"

#define ADDRESS_DEFAULT "https://127.0.0.1:8200"

const struct cli_command *const cli_families[] = {
    cmd_status, cmd_data,    cmd_kv,      cmd_operator,   cmd_policy,
    cmd_token,  cmd_secrets, cmd_transit, cmd_storedsafe, NULL};

const struct cli_flag cli_common_flags[] = {
    {"address", CLI_TEXT, "URL",
     "Where the server is: https://, http:// or unix:///PATH (KEYTURN_ADDR)"},
    {"token", CLI_SECRET, "TOKEN",
     "Token to send (KEYTURN_TOKEN; else ~/.keyturn-token, ~/.vault-token)"},
    {"ca-cert", CLI_TEXT, "FILE",
     "PEM file of the CA that signed the server's certificate (KEYTURN_CACERT)"},
    {"tls-skip-verify", CLI_SWITCH, NULL,
     "Do not check the server's certificate (KEYTURN_SKIP_VERIFY)"},
    {"format", CLI_TEXT, "FORMAT", "table, json or yaml (KEYTURN_FORMAT)"},
    {"field", CLI_TEXT, "NAME", "Print only this field, raw"},
    {NULL, CLI_TEXT, NULL, NULL}};

enum cli_exit cli_misuse(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	(void)fputs("Error: ", c->err);
	va_start(ap, fmt);
	(void)vfprintf(c->err, fmt, ap);
	va_end(ap);
	(void)fprintf(c->err, "\nHelp: keyturn %s -h\n", c->command->name);
	return CLI_MISUSE;
}

enum cli_exit cli_fail(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	(void)fputs("Error: ", c->err);
	va_start(ap, fmt);
	(void)vfprintf(c->err, fmt, ap);
	va_end(ap);
	(void)fputc('\n', c->err);
	return CLI_REFUSED;
}

enum cli_exit cli_status(struct cli *c, enum status s, const struct err *err)
{
	if (s == ST_OK)
		return CLI_DONE;
	if (s == ST_INVALID)
		return cli_misuse(c, "%s", err_text(err, s));
	return cli_fail(c, "%s", err_text(err, s));
}

/* Flags */

static const struct cli_flag *find_flag(const struct cli_flag *flag, const char *name, size_t n)
{
	for (; flag != NULL && flag->name != NULL; flag++)
		if (strlen(flag->name) == n && strncmp(flag->name, name, n) == 0)
			return flag;
	return NULL;
}

static bool is_number(const char *text)
{
	const char *digits = text[0] == '-' ? text + 1 : text;

	return digits[0] != '\0' && strlen(digits) <= 18 &&
	       strspn(digits, "0123456789") == strlen(digits);
}

static const char *switch_text(const char *text)
{
	if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0 || strcmp(text, "t") == 0)
		return "true";
	if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0 || strcmp(text, "f") == 0)
		return "false";
	return NULL;
}

static enum cli_exit take_flag(struct cli *c, const struct cli_flag *flag, char *text)
{
	const char *value = text;

	if (flag->kind == CLI_SWITCH) {
		value = text == NULL ? "true" : switch_text(text);
		if (value == NULL)
			return cli_misuse(c, "-%s is true or false", flag->name);
	}
	if (flag->kind == CLI_NUMBER && !is_number(text))
		return cli_misuse(c, "-%s takes a whole number", flag->name);
	if (flag->kind == CLI_SECRET) {
		builder_reset(&c->token);
		builder_str(&c->token, text);
		memset(text, '*', strlen(text));
		c->token_known = true;
		value = "";
	}
	if (c->n_given == CLI_GIVEN_MAX)
		return cli_misuse(c, "too many flags");
	c->given[c->n_given++] = (struct cli_given){flag, value};
	return CLI_DONE;
}

/* One flag at args[*at]; *at moves behind it (and its value). */
static enum cli_exit parse_flag(struct cli *c, size_t n, char **args, size_t *at)
{
	char *name = args[*at] + (args[*at][1] == '-' ? 2 : 1);
	char *equals = strchr(name, '=');
	const size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
	const struct cli_flag *flag;
	char *text = equals != NULL ? equals + 1 : NULL;

	if (strcmp(name, "h") == 0 || strcmp(name, "help") == 0) {
		c->what = CLI_HELP;
		++*at;
		return CLI_DONE;
	}
	flag = find_flag(c->command->flags, name, length);
	if (flag == NULL)
		flag = find_flag(cli_common_flags, name, length);
	if (flag == NULL)
		return cli_misuse(c, "unknown flag -%.*s", (int)length, name);
	++*at;
	if (text == NULL && flag->kind != CLI_SWITCH) {
		if (*at == n)
			return cli_misuse(c, "-%s needs a value", flag->name);
		text = args[(*at)++];
	}
	return take_flag(c, flag, text);
}

static bool flag_like(const char *arg)
{
	return arg[0] == '-' && arg[1] != '\0';
}

/* The settings that come from a flag or the environment and can be written wrongly. */
static enum cli_exit settle_output(struct cli *c)
{
	const char *format =
	    cli_text(c, "format") != NULL ? cli_text(c, "format") : cli_setting(c, "FORMAT");
	const char *skip = cli_setting(c, "SKIP_VERIFY");

	c->field = cli_text(c, "field");
	c->format = OUTPUT_TABLE;
	if (format != NULL && output_format_parse(format, &c->format) != ST_OK)
		return cli_misuse(c, "format \"%s\" is neither table, json nor yaml", format);
	if (skip != NULL && switch_text(skip) == NULL)
		return cli_misuse(c, "SKIP_VERIFY \"%s\" is neither true nor false", skip);
	return CLI_DONE;
}

enum cli_exit cli_parse(struct cli *c, const struct cli_command *command, size_t n, char **args)
{
	enum cli_exit e = CLI_DONE;
	size_t at = 0;
	size_t i;

	c->command = command;
	c->what = CLI_RUN;
	while (at < n && flag_like(args[at]) && strcmp(args[at], "--") != 0) {
		e = parse_flag(c, n, args, &at);
		if (e != CLI_DONE || c->what == CLI_HELP)
			return e;
	}
	if (at < n && strcmp(args[at], "--") == 0)
		at++;
	else
		for (i = at; i < n; i++)
			if (flag_like(args[i]))
				return cli_misuse(c,
				                  "flags stand before the arguments: %.40s (or put "
				                  "-- before them)",
				                  args[i]);
	c->args = args + at;
	c->n_args = n - at;
	if (c->n_args < command->min_args)
		return cli_misuse(c, "too few arguments: %s", command->args);
	if (c->n_args > command->max_args)
		return cli_misuse(c, "too many arguments");
	return settle_output(c);
}

void cli_free(struct cli *c)
{
	builder_free(&c->token);
	client_free(&c->client);
}

const char *cli_text(const struct cli *c, const char *name)
{
	size_t i;

	for (i = c->n_given; i > 0; i--)
		if (strcmp(c->given[i - 1].flag->name, name) == 0)
			return c->given[i - 1].text;
	return NULL;
}

bool cli_on(const struct cli *c, const char *name)
{
	const char *text = cli_text(c, name);

	return text != NULL && strcmp(text, "true") == 0;
}

long long cli_number(const struct cli *c, const char *name, long long otherwise)
{
	const char *text = cli_text(c, name);

	return text != NULL ? strtoll(text, NULL, 10) : otherwise;
}

const char *cli_setting(const struct cli *c, const char *name)
{
	static const char *const fronts[] = {"KEYTURN", "BAO", "VAULT"};
	char full[64];
	const char *value;
	size_t i;

	for (i = 0; i < sizeof fronts / sizeof fronts[0]; i++) {
		(void)snprintf(full, sizeof full, "%s_%s", fronts[i], name);
		value = c->env(full);
		if (value != NULL && value[0] != '\0')
			return value;
	}
	return NULL;
}

/* Calls */

static const char *or_setting(const struct cli *c, const char *flag, const char *setting)
{
	const char *text = cli_text(c, flag);

	return text != NULL ? text : cli_setting(c, setting);
}

/* -token, else the environment, else the file that login left. */
static enum status find_token(struct cli *c, struct err *err)
{
	const char *home = c->env("HOME");
	const char *token = cli_setting(c, "TOKEN");

	if (c->token_known)
		return builder_status(&c->token);
	if (token != NULL) {
		builder_str(&c->token, token);
		return builder_status(&c->token);
	}
	return home != NULL ? token_file_read(home, &c->token, err) : ST_OK;
}

static enum cli_exit connect_client(struct cli *c)
{
	const char *skip = cli_setting(c, "SKIP_VERIFY");
	const char *address = or_setting(c, "address", "ADDR");
	struct client_settings settings = {.address = address != NULL ? address : ADDRESS_DEFAULT,
	                                   .ca_cert = or_setting(c, "ca-cert", "CACERT")};
	struct err err = {0};
	enum status s;

	if (cli_text(c, "tls-skip-verify") != NULL)
		settings.verify = cli_on(c, "tls-skip-verify") ? CLIENT_SKIP_VERIFY : CLIENT_VERIFY;
	else if (skip != NULL && strcmp(switch_text(skip), "true") == 0)
		settings.verify = CLIENT_SKIP_VERIFY;
	s = find_token(c, &err);
	settings.token = builder_span(&c->token);
	if (s == ST_OK)
		s = client_new(&settings, &c->client, &err);
	return cli_status(c, s, &err);
}

enum cli_exit cli_try(struct cli *c, const char *method, const char *path, const char *query,
                      json_t *body, struct reply *ret)
{
	enum cli_exit e = CLI_DONE;
	struct err err = {0};

	if (path == NULL)
		e = cli_fail(c, "out of memory");
	if (e == CLI_DONE && c->client == NULL)
		e = connect_client(c);
	if (e == CLI_DONE && client_call(c->client, method, path, query, body, ret, &err) != ST_OK)
		e = cli_fail(c, "%s", err_text(&err, err.status));
	json_decref(body);
	return e;
}

static void print_messages(FILE *out, json_t *list)
{
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));

		(void)fputs("* ", out);
		output_text(out, text != NULL ? text : "");
		(void)fputc('\n', out);
	}
}

enum cli_exit cli_refused(struct cli *c, const struct reply *r)
{
	(void)fprintf(c->err, "Error making API request.\n\nURL: %s\nCode: %u. Errors:\n\n", r->url,
	              r->status);
	print_messages(c->err, json_object_get(r->body, "errors"));
	return CLI_REFUSED;
}

enum cli_exit cli_stream(struct cli *c, const char *path, const struct client_stream *s,
                         struct reply *ret, const struct err *told)
{
	struct reply r = {0};
	struct err err = {0};
	enum cli_exit e = c->client == NULL ? connect_client(c) : CLI_DONE;

	if (e != CLI_DONE)
		return e;
	if (client_stream(c->client, path, s, &r, &err) != ST_OK)
		return cli_fail(c, "%s",
		                told->text[0] != '\0' ? told->text : err_text(&err, ST_IO));
	if (r.status >= 300) {
		e = cli_refused(c, &r);
		reply_free(&r);
		return e;
	}
	*ret = r;
	return CLI_DONE;
}

enum cli_exit cli_ask(struct cli *c, const char *method, const char *path, const char *query,
                      json_t *body, struct reply *ret)
{
	struct reply r = {0};
	enum cli_exit e;

	e = cli_try(c, method, path, query, body, &r);
	if (e == CLI_DONE && (r.status < 200 || r.status >= 300)) {
		e = cli_refused(c, &r);
		reply_free(&r);
	}
	if (e == CLI_DONE)
		*ret = r;
	return e;
}

/* Showing */

static void show_warnings(struct cli *c, json_t *answer)
{
	json_t *warnings = json_object_get(answer, "warnings");

	if (json_array_size(warnings) == 0)
		return;
	(void)fputs("WARNING! The server says:\n\n", c->err);
	print_messages(c->err, warnings);
	(void)fputc('\n', c->err);
}

static enum cli_exit show_field(struct cli *c, json_t *answer)
{
	json_t *v = output_find(answer, c->field);
	enum status s;

	if (v == NULL)
		return cli_fail(c, "field \"%s\" is not in the answer", c->field);
	s = output_field(c->out, c->format, v);
	json_decref(v);
	return cli_status(c, s, NULL);
}

enum cli_exit cli_show(struct cli *c, json_t *answer, cli_table *table)
{
	if (answer == NULL)
		return CLI_DONE;
	if (c->field != NULL)
		return show_field(c, answer);
	if (c->format != OUTPUT_TABLE)
		return cli_status(c, output_value(c->out, c->format, answer), NULL);
	show_warnings(c, answer);
	return cli_status(c, table != NULL ? table(c->out, answer) : output_secret(c->out, answer),
	                  NULL);
}

enum cli_exit cli_done(struct cli *c, struct reply *r, const char *fmt, ...)
{
	enum cli_exit e = CLI_DONE;
	va_list ap;

	if (r->body != NULL) {
		e = cli_show(c, r->body, NULL);
	} else if (c->format == OUTPUT_TABLE && c->field == NULL) {
		va_start(ap, fmt);
		(void)vfprintf(c->out, fmt, ap);
		va_end(ap);
		(void)fputc('\n', c->out);
	}
	reply_free(r);
	return e;
}

enum status cli_keys(FILE *out, json_t *answer)
{
	static const char *const head[] = {"Keys"};
	json_t *keys = json_object_get(output_data(answer), "keys");
	struct table t;
	enum status s;
	size_t i;

	table_init(&t, 1);
	table_head(&t, head);
	for (i = 0; i < json_array_size(keys); i++)
		table_json(&t, json_array_get(keys, i));
	s = table_print(&t, out);
	table_free(&t);
	return s;
}

const char *cli_path(struct builder *b, const char *prefix, const char *path)
{
	while (path[0] == '/')
		path++;
	builder_reset(b);
	builder_str(b, prefix);
	builder_str(b, path);
	builder_u8(b, 0);
	return builder_status(b) == ST_OK ? (const char *)b->p : NULL;
}

/* Finding the command */

static bool is_help(const char *word)
{
	return strcmp(word, "-h") == 0 || strcmp(word, "-help") == 0 ||
	       strcmp(word, "--help") == 0 || strcmp(word, "help") == 0;
}

static bool is_version(const char *word)
{
	return strcmp(word, "version") == 0 || strcmp(word, "-version") == 0 ||
	       strcmp(word, "--version") == 0 || strcmp(word, "-v") == 0;
}

/* How many of the words the name is made of; 0: they do not begin with it. */
static size_t words_of(const char *name, int n, char **words)
{
	size_t at = 0;

	for (int i = 0; i < n; i++) {
		size_t length = strlen(words[i]);

		if (strncmp(name + at, words[i], length) != 0)
			return 0;
		at += length;
		if (name[at] == '\0')
			return (size_t)i + 1;
		if (name[at++] != ' ')
			return 0;
	}
	return 0;
}

/* The command that the words begin with; *ret_words is how many it takes. */
static const struct cli_command *find_command(int n, char **words, size_t *ret_words)
{
	const struct cli_command *const *family;
	const struct cli_command *command;

	for (family = cli_families; *family != NULL; family++) {
		for (command = *family; command->name != NULL; command++) {
			*ret_words = words_of(command->name, n, words);
			if (*ret_words > 0)
				return command;
		}
	}
	return NULL;
}

static enum cli_exit no_command(int n, char **words)
{
	const bool asked = n > 1 && is_help(words[1]);

	if (cli_help_family(asked ? stdout : stderr, words[0]))
		return asked ? CLI_DONE : CLI_MISUSE;
	(void)fprintf(stderr, "Error: unknown command \"%.40s\"\nHelp: keyturn -h\n", words[0]);
	return CLI_MISUSE;
}

static const char *environment(const char *name)
{
	return getenv(name);
}

static enum cli_exit run_command(const struct cli_command *command, size_t n, char **args)
{
	struct cli c = {.env = environment, .out = stdout, .err = stderr};
	enum cli_exit e;

	e = cli_parse(&c, command, n, args);
	if (e == CLI_DONE && c.what == CLI_HELP)
		cli_help_command(stdout, command);
	else if (e == CLI_DONE)
		e = command->run(&c);
	cli_free(&c);
	return e;
}

int cli_main(int argc, char **argv)
{
	const struct rlimit no_core = {0, 0};
	const struct cli_command *command;
	size_t words;
	enum cli_exit e;

	if (argc < 2) {
		cli_help_all(stderr);
		return CLI_MISUSE;
	}
	(void)setrlimit(RLIMIT_CORE, &no_core); /* tokens and values pass through here */
	if (memory_setup() != 0) {
		(void)fputs("Error: libcurl does not start\n", stderr);
		return CLI_REFUSED;
	}
	command = find_command(argc - 1, argv + 1, &words);
	if (is_version(argv[1])) {
		(void)puts("Keyturn v" KEYTURN_VERSION);
		e = CLI_DONE;
	} else if (is_help(argv[1])) {
		cli_help_all(stdout);
		e = CLI_DONE;
	} else if (command != NULL) {
		e = run_command(command, (size_t)argc - 1 - words, argv + 1 + words);
	} else {
		e = no_command(argc - 1, argv + 1);
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		(void)fputs("Error: standard output cannot be written\n", stderr);
		return CLI_REFUSED;
	}
	return (int)e;
}
