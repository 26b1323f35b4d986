/*
 * The command line.  `keyturn server ...` becomes the keyturnd that lies beside this binary, in the same process, so that one name is
 * enough for people and scripts; a keyturnd from anywhere else is never run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* The folder of this binary and "keyturnd"; NULL when it cannot be known. */
static char *server_path(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *path = NULL;
	char *slash;

	if (n <= 0 || (size_t)n >= sizeof self - 1)
		return NULL;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash == NULL)
		return NULL;
	slash[1] = '\0';
	return asprintf(&path, "%skeyturnd", self) < 0 ? NULL : path;
}

/* argv without its first word; returns only when it failed. */
static int become_server(char **argv)
{
	char *path = server_path();

	if (path == NULL) {
		(void)fputs("Error: cannot tell where this binary lies\n", stderr);
		return CLI_REFUSED;
	}
	argv[0] = path;
	(void)execv(path, argv);
	(void)fprintf(stderr, "Error: %s: %s\n", path, strerror(errno));
	free(path);
	return CLI_REFUSED;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "server") == 0)
		return become_server(argv + 1);
	return cli_main(argc, argv);
}
