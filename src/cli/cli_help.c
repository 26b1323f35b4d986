/* Help, made from the tables. */
#include <string.h>

#include "cli/cli.h"

/* The first word of a name of several, or 0 when there is one word only. */
static size_t family_length(const char *name)
{
	const char *blank = strchr(name, ' ');

	return blank == NULL ? 0 : (size_t)(blank - name);
}

static void command_line(FILE *out, const struct cli_command *command)
{
	(void)fprintf(out, "    %-27s %s\n", command->name, command->summary);
}

void cli_help_all(FILE *out)
{
	const struct cli_command *const *family;
	const struct cli_command *command;

	(void)fputs(
	    "Usage: keyturn COMMAND [FLAGS] [ARGUMENTS]\n\n"
	    "Commands:\n"
	    "    server                      Run the server (its own flags: keyturn server -h)\n"
	    "    version                     Print the version\n",
	    out);
	for (family = cli_families; *family != NULL; family++)
		for (command = *family; command->name != NULL; command++)
			command_line(out, command);
	(void)fputs("\nHelp for one of them: keyturn COMMAND -h\n", out);
}

bool cli_help_family(FILE *out, const char *word)
{
	const struct cli_command *const *family;
	const struct cli_command *command;
	const size_t n = strlen(word);
	bool found = false;

	for (family = cli_families; *family != NULL; family++) {
		for (command = *family; command->name != NULL; command++) {
			if (n == 0 || family_length(command->name) != n ||
			    strncmp(command->name, word, n) != 0)
				continue;
			if (!found)
				(void)fprintf(out,
				              "Usage: keyturn %s SUBCOMMAND [FLAGS] "
				              "[ARGUMENTS]\n\nSubcommands:\n",
				              word);
			found = true;
			command_line(out, command);
		}
	}
	if (found)
		(void)fprintf(out, "\nHelp for one of them: keyturn %s SUBCOMMAND -h\n", word);
	return found;
}

static void flag_lines(FILE *out, const struct cli_flag *flag)
{
	char name[64];

	for (; flag != NULL && flag->name != NULL; flag++) {
		(void)snprintf(name, sizeof name, "-%s%s%s", flag->name,
		               flag->value != NULL ? "=" : "",
		               flag->value != NULL ? flag->value : "");
		(void)fprintf(out, "    %-28s %s\n", name, flag->help);
	}
}

void cli_help_command(FILE *out, const struct cli_command *command)
{
	(void)fprintf(out, "Usage: keyturn %s [FLAGS]%s%s\n\n    %s.\n", command->name,
	              command->args[0] != '\0' ? " " : "", command->args, command->summary);
	if (command->flags != NULL) {
		(void)fputs("\nFlags:\n", out);
		flag_lines(out, command->flags);
	}
	(void)fputs("\nFlags of every command:\n", out);
	flag_lines(out, cli_common_flags);
}
