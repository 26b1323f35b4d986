/*
 * Runs a fuzz target once over each file that is named, or lies in a folder that is named: what ./dev test does with the kept corpora, by any
 * compiler.  Options (libFuzzer's) are passed over.  Fails when there was no input.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

/* Targets without anything to set up do not define it. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static size_t inputs;

static void fail(const char *path)
{
	(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
	exit(1);
}

static void run_file(const char *path, size_t n)
{
	uint8_t *p = malloc(n > 0 ? n : 1); /* exactly its size */
	FILE *f = fopen(path, "rb");

	if (p == NULL || f == NULL || fread(p, 1, n, f) != n)
		fail(path);
	(void)fclose(f);
	(void)fprintf(stderr, "%s\n", path); /* the last one named is the one that crashed */
	(void)LLVMFuzzerTestOneInput(p, n);
	free(p);
	inputs++;
}

static void run(const char *path);

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void run_folder(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, visible, alphasort);

	if (n < 0)
		fail(path);
	for (int i = 0; i < n; i++) {
		char below[4096];

		if (snprintf(below, sizeof below, "%s/%s", path, names[i]->d_name) >=
		    (int)sizeof below)
			fail(path);
		run(below);
		free(names[i]);
	}
	free(names);
}

static void run(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		fail(path);
	if (S_ISDIR(st.st_mode))
		run_folder(path);
	else
		run_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
	(void)LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-')
			run(argv[i]);
	}
	(void)fprintf(stderr, "%zu inputs\n", inputs);
	return inputs > 0 ? 0 : 1;
}
