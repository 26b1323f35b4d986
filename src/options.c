#include "options.h"

#include <string.h>

const char options_usage[] =
    "usage: keyturn server -config=FILE|FOLDER [-config=...] [-config-lenient] [-log-level=LEVEL]\n"
    "       keyturn server -dev [-dev-root-token-id=TOKEN] [-dev-listen-address=HOST:PORT]\n"
    "                           [-dev-storage=FOLDER] [-dev-tls [-dev-tls-cert-dir=FOLDER]]\n";

/* "-name=value" or "-name value"; NULL when arg is another flag. */
static const char *value_of(const char *arg, const char *name, int argc, char **argv, int *at)
{
	size_t n = strlen(name);

	if (arg[0] == '-' && arg[1] == '-')
		arg++;
	if (strncmp(arg, name, n) != 0)
		return NULL;
	if (arg[n] == '=')
		return arg + n + 1;
	if (arg[n] != 0 || *at + 1 >= argc)
		return NULL;
	return argv[++*at];
}

static bool is_flag(const char *arg, const char *name)
{
	return strcmp(arg, name) == 0 || (arg[0] == '-' && strcmp(arg + 1, name) == 0);
}

enum status options_parse(int argc, char **argv, struct options *o, struct err *err)
{
	const char *v;

	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (is_flag(a, "-dev"))
			o->dev = true;
		else if (is_flag(a, "-dev-tls"))
			o->dev = o->dev_tls = true;
		else if (is_flag(a, "-config-lenient"))
			o->mode = CONFIG_LENIENT;
		else if (is_flag(a, "-version"))
			o->version = true;
		else if (is_flag(a, "-help") || is_flag(a, "-h"))
			o->help = true;
		else if ((v = value_of(a, "-dev-root-token-id", argc, argv, &i)) != NULL)
			o->dev_root_token = v;
		else if ((v = value_of(a, "-dev-listen-address", argc, argv, &i)) != NULL)
			o->dev_address = v;
		else if ((v = value_of(a, "-dev-storage", argc, argv, &i)) != NULL)
			o->dev_storage = v;
		else if ((v = value_of(a, "-dev-tls-cert-dir", argc, argv, &i)) != NULL)
			o->dev_cert_dir = v;
		else if ((v = value_of(a, "-log-level", argc, argv, &i)) != NULL)
			o->log_level = v;
		else if ((v = value_of(a, "-config", argc, argv, &i)) != NULL &&
		         o->n_configs < OPTIONS_CONFIGS_MAX)
			o->configs[o->n_configs++] = v;
		else
			return err_set(err, ST_INVALID, "unknown or incomplete argument: %s", a);
	}
	if (!o->dev && !o->version && !o->help && o->n_configs == 0)
		return err_set(err, ST_INVALID,
		               "a configuration is needed: -config=FILE, or -dev for trying out");
	if (o->dev && o->n_configs > 0)
		return err_set(err, ST_INVALID, "-dev and -config exclude each other");
	return ST_OK;
}
