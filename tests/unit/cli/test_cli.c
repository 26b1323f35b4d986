/* Flags, arguments and settings; help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"

#define ARGS_MAX 16

/* An invocation whose output and environment are the test's. */
struct world {
	struct cli c;
	char *err_text;
	size_t err_n;
	char *args[ARGS_MAX];
	size_t n;
};

static const char *const *environment; /* pairs */

static const char *test_getenv(const char *name)
{
	size_t i;

	for (i = 0; environment != NULL && environment[i] != NULL; i += 2)
		if (strcmp(environment[i], name) == 0)
			return environment[i + 1];
	return NULL;
}

static enum cli_exit no_run(struct cli *c)
{
	return CLI_DONE;
}

static const struct cli_flag flags[] = {{"policy", CLI_TEXT, "NAME", "a list"},
                                        {"count", CLI_NUMBER, "N", "a number"},
                                        {"on", CLI_SWITCH, NULL, "a switch"},
                                        {NULL, CLI_TEXT, NULL, NULL}};
static const struct cli_command command = {"do it", "A [B]", "Does it", 1, 2, flags, no_run};

/* Parse the words (up to NULL) of one command line. */
static enum cli_exit parse(struct world *w, const char *const *words)
{
	*w = (struct world){.c = {.env = test_getenv}};
	w->c.err = open_memstream(&w->err_text, &w->err_n);
	assert_non_null(w->c.err);
	w->c.out = w->c.err;
	for (; words[w->n] != NULL; w->n++) {
		w->args[w->n] = strdup(words[w->n]);
		assert_non_null(w->args[w->n]);
	}
	return cli_parse(&w->c, &command, w->n, w->args);
}

static void done(struct world *w)
{
	size_t i;

	cli_free(&w->c);
	(void)fclose(w->c.err);
	free(w->err_text);
	for (i = 0; i < w->n; i++)
		free(w->args[i]);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_flags_in_every_spelling(void **state)
{
	struct world w;

	assert_int_equal(
	    parse(&w, WORDS("-policy=a", "--policy", "b", "-count", "-7", "-on", "x", "y=-z")),
	    CLI_DONE);
	assert_string_equal(cli_text(&w.c, "policy"), "b");
	assert_int_equal(w.c.n_given, 4);
	assert_string_equal(w.c.given[0].text, "a");
	assert_int_equal(cli_number(&w.c, "count", 1), -7);
	assert_true(cli_on(&w.c, "on"));
	assert_null(cli_text(&w.c, "field"));
	assert_int_equal(w.c.n_args, 2);
	assert_string_equal(w.c.args[0], "x");
	assert_string_equal(w.c.args[1], "y=-z");
	assert_int_equal(w.c.format, OUTPUT_TABLE);
	done(&w);
}

static void test_switches(void **state)
{
	static const struct {
		const char *word;
		bool on;
	} cases[] = {{"-on", true},
	             {"-on=true", true},
	             {"-on=1", true},
	             {"-on=false", false},
	             {"-on=0", false}};
	struct world w;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(parse(&w, WORDS(cases[i].word, "x")), CLI_DONE);
		assert_int_equal(cli_on(&w.c, "on"), cases[i].on);
		done(&w);
	}
}

static void test_dashes_end_the_flags(void **state)
{
	struct world w;

	assert_int_equal(parse(&w, WORDS("-on", "--", "-x", "-y")), CLI_DONE);
	assert_int_equal(w.c.n_args, 2);
	assert_string_equal(w.c.args[0], "-x");
	done(&w);
	/* one dash alone is an argument */
	assert_int_equal(parse(&w, WORDS("-")), CLI_DONE);
	assert_string_equal(w.c.args[0], "-");
	done(&w);
}

static void test_misuse(void **state)
{
	static const struct {
		const char *words[5];
		const char *said;
	} cases[] = {
	    {{"-nosuch", "x"}, "unknown flag -nosuch"},
	    {{"-polic=a", "x"}, "unknown flag -polic"},
	    {{"-policyx=a", "x"}, "unknown flag -policyx"},
	    {{"-policy"}, "-policy needs a value"},
	    {{"-count=x", "x"}, "-count takes a whole number"},
	    {{"-count=", "x"}, "-count takes a whole number"},
	    {{"-count=1234567890123456789", "x"}, "-count takes a whole number"},
	    {{"-on=perhaps", "x"}, "-on is true or false"},
	    {{"x", "-on"}, "flags stand before the arguments"},
	    {{"-on"}, "too few arguments"},
	    {{"a", "b", "c"}, "too many arguments"},
	    {{"-format=xml", "x"}, "neither table, json nor yaml"},
	};
	struct world w;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(parse(&w, cases[i].words), CLI_MISUSE);
		(void)fflush(w.c.err);
		if (strstr(w.err_text, cases[i].said) == NULL ||
		    strstr(w.err_text, "keyturn do it -h") == NULL)
			fail_msg("wanted \"%s\", got \"%s\"", cases[i].said, w.err_text);
		done(&w);
	}
}

static void test_a_token_leaves_the_arguments(void **state)
{
	struct world w;

	assert_int_equal(parse(&w, WORDS("-token=s.secret", "x")), CLI_DONE);
	assert_true(w.c.token_known);
	assert_true(span_eq_str(builder_span(&w.c.token), "s.secret"));
	assert_string_equal(w.args[0], "-token=********");
	done(&w);
	assert_int_equal(parse(&w, WORDS("-token", "first", "-token", "second", "x")), CLI_DONE);
	assert_true(span_eq_str(builder_span(&w.c.token), "second"));
	assert_string_equal(w.args[1], "*****");
	assert_string_equal(w.args[3], "******");
	done(&w);
}

static void test_too_many_flags(void **state)
{
	char *args[CLI_GIVEN_MAX + 1];
	struct world w;
	size_t i;

	assert_int_equal(parse(&w, WORDS("x")), CLI_DONE);
	for (i = 0; i <= CLI_GIVEN_MAX; i++) {
		args[i] = strdup("-on");
		assert_non_null(args[i]);
	}
	assert_int_equal(cli_parse(&w.c, &command, CLI_GIVEN_MAX + 1, args), CLI_MISUSE);
	assert_int_equal(w.c.n_given, CLI_GIVEN_MAX);
	for (i = 0; i <= CLI_GIVEN_MAX; i++)
		free(args[i]);
	done(&w);
}

static void test_the_nearest_setting_wins(void **state)
{
	static const char *const all[] = {
	    "VAULT_ADDR", "v", "BAO_ADDR", "b", "KEYTURN_ADDR", "k", "VAULT_FORMAT", "json", NULL};
	static const char *const two[] = {"VAULT_ADDR",   "v", "BAO_ADDR", "b",
	                                  "KEYTURN_ADDR", "",  NULL};
	static const char *const one[] = {"VAULT_ADDR", "v", NULL};
	static const char *const bad[] = {"BAO_FORMAT", "xml", NULL};
	static const char *const skip[] = {"VAULT_SKIP_VERIFY", "maybe", NULL};
	struct world w;

	environment = all;
	assert_int_equal(parse(&w, WORDS("x")), CLI_DONE);
	assert_string_equal(cli_setting(&w.c, "ADDR"), "k");
	assert_int_equal(w.c.format, OUTPUT_JSON);
	done(&w);
	assert_int_equal(parse(&w, WORDS("-format=yaml", "x")), CLI_DONE);
	assert_int_equal(w.c.format, OUTPUT_YAML);
	environment = two;
	assert_string_equal(cli_setting(&w.c, "ADDR"), "b");
	environment = one;
	assert_string_equal(cli_setting(&w.c, "ADDR"), "v");
	environment = NULL;
	assert_null(cli_setting(&w.c, "ADDR"));
	done(&w);
	environment = bad;
	assert_int_equal(parse(&w, WORDS("x")), CLI_MISUSE);
	done(&w);
	environment = skip;
	assert_int_equal(parse(&w, WORDS("x")), CLI_MISUSE);
	done(&w);
	environment = NULL;
}

static void test_help_flag(void **state)
{
	struct world w;

	assert_int_equal(parse(&w, WORDS("-h")), CLI_DONE);
	assert_int_equal(w.c.what, CLI_HELP);
	done(&w);
	assert_int_equal(parse(&w, WORDS("-on", "--help")), CLI_DONE);
	assert_int_equal(w.c.what, CLI_HELP);
	done(&w);
}

/* Each command of the tables can be shown, names itself once, and has sane bounds. */
static void test_the_tables(void **state)
{
	const struct cli_command *const *family;
	const struct cli_command *one, *other;
	char *text = NULL;
	size_t n = 0, count = 0;
	FILE *out;

	for (family = cli_families; *family != NULL; family++) {
		for (one = *family; one->name != NULL; one++) {
			count++;
			assert_non_null(one->run);
			assert_true(one->min_args <= one->max_args);
			assert_true((one->max_args == 0) == (one->args[0] == '\0'));
			for (other = *family; other != one; other++)
				assert_string_not_equal(one->name, other->name);
			out = open_memstream(&text, &n);
			assert_non_null(out);
			cli_help_command(out, one);
			(void)fclose(out);
			assert_non_null(strstr(text, one->name));
			assert_non_null(strstr(text, one->summary));
			assert_non_null(strstr(text, "-address=URL"));
			free(text);
		}
	}
	assert_true(count > 20);
}

static void test_help_of_families(void **state)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	assert_true(cli_help_family(out, "operator"));
	(void)fclose(out);
	assert_non_null(strstr(text, "operator unseal"));
	assert_null(strstr(text, "policy"));
	free(text);
	out = open_memstream(&text, &n);
	assert_non_null(out);
	assert_false(cli_help_family(out, "status"));
	assert_false(cli_help_family(out, "oper"));
	assert_false(cli_help_family(out, ""));
	(void)fclose(out);
	assert_int_equal(n, 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_flags_in_every_spelling),
	    cmocka_unit_test(test_switches),
	    cmocka_unit_test(test_dashes_end_the_flags),
	    cmocka_unit_test(test_misuse),
	    cmocka_unit_test(test_a_token_leaves_the_arguments),
	    cmocka_unit_test(test_too_many_flags),
	    cmocka_unit_test(test_the_nearest_setting_wins),
	    cmocka_unit_test(test_help_flag),
	    cmocka_unit_test(test_the_tables),
	    cmocka_unit_test(test_help_of_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
