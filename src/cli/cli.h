/*
 * The command line: a table of subcommands, the parsing of their flags, and the calls that they share.
 *
 * Flags have one dash or two, "-name=value" or "-name value", and stand between the command's words and its arguments; "--" ends them.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <limits.h>
#include <stdio.h>

#include "base/bytes.h"
#include "cli/client.h"
#include "cli/output.h"

/* What the process ends with. */
enum cli_exit {
	CLI_DONE = 0,
	CLI_REFUSED =
	    1, /* the server refused, could not be reached, or a file could not be read or written */
	CLI_MISUSE =
	    2, /* wrong use; of `status` and `operator init -status` also: sealed, not initialised */
};

enum cli_flag_kind { CLI_TEXT, CLI_NUMBER, CLI_SWITCH, CLI_SECRET };

/* One flag of a command; a table of them ends with a NULL name. */
struct cli_flag {
	const char *name;
	enum cli_flag_kind kind;
	const char *value; /* what the help calls its value; NULL for a switch */
	const char *help;
};

struct cli;
typedef enum cli_exit cli_run(struct cli *c);

#define CLI_ANY UINT_MAX

/* One subcommand; a table of them ends with a NULL name. */
struct cli_command {
	const char
	    *name; /* "status", "operator init", "storedsafe user edit": one to three words */
	const char *args; /* "PATH [NAME=VALUE...]"; "" for none */
	const char *summary;
	unsigned min_args, max_args;
	const struct cli_flag *flags; /* NULL: only those that every command has */
	cli_run *run;
};

/* A flag that was given. */
struct cli_given {
	const struct cli_flag *flag;
	const char *text; /* "true" or "false" of a switch */
};
#define CLI_GIVEN_MAX 64

/* Where the environment is read from: getenv, or a test's. */
typedef const char *cli_getenv(const char *name);

/* One invocation. */
struct cli {
	const struct cli_command *command;
	struct cli_given given[CLI_GIVEN_MAX];
	size_t n_given;
	char **args;
	size_t n_args;
	enum { CLI_RUN, CLI_HELP } what;

	cli_getenv *env;
	FILE *out, *err;
	enum output_format format;
	const char *field;    /* -field, or NULL */
	struct builder token; /* from -token, the environment or the token file */
	bool token_known; /* token holds the one to send; else it is looked for by the first call */
	struct client *client; /* made by the first call */
};

/* The tables, one a family. */
extern const struct cli_command cmd_status[], cmd_operator[], cmd_data[], cmd_kv[], cmd_policy[],
    cmd_token[], cmd_secrets[], cmd_transit[], cmd_storedsafe[];
extern const struct cli_command *const cli_families[]; /* all of them; ends with NULL */
extern const struct cli_flag cli_common_flags[];

/* cli_main(argc, argv): the whole program but `server`; returns the exit code. */
int cli_main(int argc, char **argv);

/*
 * cli_parse(c, command, n, args): flags and arguments behind the command's words into c (whose env, out, err are set).
 * CLI_DONE, or CLI_MISUSE after a complaint on c->err.  The value of a CLI_SECRET flag is taken over into c->token and overwritten in args.
 */
enum cli_exit cli_parse(struct cli *c, const struct cli_command *command, size_t n, char **args);
/* cli_free(c): wipes the token. */
void cli_free(struct cli *c);

/* cli_text(c, name): the last value given for a flag, or NULL.  cli_on(c, name): is the switch on? */
const char *cli_text(const struct cli *c, const char *name);
bool cli_on(const struct cli *c, const char *name);
/* cli_number(c, name, otherwise): of a CLI_NUMBER flag. */
long long cli_number(const struct cli *c, const char *name, long long otherwise);
/* cli_setting(c, "ADDR"): KEYTURN_ADDR, else BAO_ADDR, else VAULT_ADDR; NULL when none is set to something. */
const char *cli_setting(const struct cli *c, const char *name);

/* cli_misuse(c, fmt, ...): "Error: ..." and where help is; CLI_MISUSE.  cli_fail(c, fmt, ...): "Error: ..."; CLI_REFUSED. */
enum cli_exit cli_misuse(struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum cli_exit cli_fail(struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* cli_status(c, s, err): CLI_DONE for ST_OK; else says err's text: ST_INVALID is misuse, the rest is failure. */
enum cli_exit cli_status(struct cli *c, enum status s, const struct err *err);

/*
 * cli_ask(c, method, path, query, body, ret): one request; takes body over (may be NULL); path NULL: cli_path found no memory.  CLI_DONE with the answer in *ret (reply_free); or
 * CLI_REFUSED (CLI_MISUSE for an impossible address) after a message.  cli_try: the same, but a refusal too comes back as CLI_DONE, for the
 * caller to look at ret->status.  cli_refused(c, reply): print a refusal as cli_ask does; CLI_REFUSED.
 */
enum cli_exit cli_ask(struct cli *c, const char *method, const char *path, const char *query,
                      json_t *body, struct reply *ret);
enum cli_exit cli_try(struct cli *c, const char *method, const char *path, const char *query,
                      json_t *body, struct reply *ret);
enum cli_exit cli_refused(struct cli *c, const struct reply *r);

/*
 * cli_stream(c, path, s, ret, err): POST a stream (client_stream).  CLI_DONE when it went to its end; else after a message: err's, when s gave one, or the
 * server's refusal.
 */
enum cli_exit cli_stream(struct cli *c, const char *path, const struct client_stream *s,
                         struct reply *ret, const struct err *err);

/*
 * cli_show(c, answer, table): print what -field and -format ask for; for tables call table(out, answer), or output_secret when it is
 * NULL.  cli_done(c, reply, fmt, ...): an answer without content is told by this text, any other is shown; frees the reply.
 */
typedef enum status cli_table(FILE *out, json_t *answer);
enum cli_exit cli_show(struct cli *c, json_t *answer, cli_table *table);
enum cli_exit cli_done(struct cli *c, struct reply *r, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* cli_keys(out, answer): the table of a list's `keys`. */
cli_table cli_keys;

/* cli_path(b, prefix, path): "prefix" and path without its leading slash, NUL-terminated in b; NULL without memory. */
const char *cli_path(struct builder *b, const char *prefix, const char *path);

/* help (cli_help.c): of everything, of a family ("operator"), of a command. */
void cli_help_all(FILE *out);
bool cli_help_family(FILE *out, const char *word); /* false: there is no such family */
void cli_help_command(FILE *out, const struct cli_command *command);

#endif
