/* The server's command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "config.h"

#define OPTIONS_CONFIGS_MAX 16

/* Strings are the command line's own; NULL where nothing was given. */
struct options {
	const char *configs[OPTIONS_CONFIGS_MAX];
	size_t n_configs;
	enum config_mode mode;
	const char *log_level;
	const char *dev_root_token, *dev_address, *dev_storage, *dev_cert_dir;
	bool dev, dev_tls, version, help;
};

extern const char options_usage[];

/* options_parse(argc, argv, ret, err): "-name=value" or "-name value", one dash or two.  ST_INVALID names the argument.  ret: zeroed by the caller. */
MUST_USE enum status options_parse(int argc, char **argv, struct options *ret, struct err *err);

#endif
