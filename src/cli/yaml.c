/* A JSON value as YAML (1.2): block style, strings plain only when nothing could read them as something else. */
#include "cli/yaml.h"

#include <string.h>

static void put_node(FILE *out, json_t *v, unsigned depth);

static void indent(FILE *out, unsigned depth)
{
	(void)fprintf(out, "%*s", (int)(depth * 2), "");
}

static bool among(const char *s, const char *const *words, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcasecmp(s, words[i]) == 0)
			return true;
	return false;
}

/* Letters first, nothing that YAML gives a meaning to, and none of its words. */
static bool plain(const char *s, size_t n)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on",
	                                    "off",  "null",  "y",   "n"};
	static const char safe[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./";

	if (n == 0 || strlen(s) != n || strspn(s, safe) != n)
		return false;
	if (!((s[0] >= 'A' && s[0] <= 'Z') || (s[0] >= 'a' && s[0] <= 'z')))
		return false;
	return !among(s, words, sizeof words / sizeof words[0]);
}

/* A JSON string is a double-quoted YAML scalar as it stands. */
static void put_string(FILE *out, const char *s, size_t n)
{
	json_t *text;

	if (plain(s, n)) {
		(void)fwrite(s, 1, n, out);
		return;
	}
	text = json_stringn(s, n);
	(void)json_dumpf(text, out, JSON_ENCODE_ANY);
	json_decref(text);
}

static bool nested(const json_t *v)
{
	return (json_is_object(v) && json_object_size(v) > 0) ||
	       (json_is_array(v) && json_array_size(v) > 0);
}

static void put_scalar(FILE *out, const json_t *v)
{
	if (json_is_string(v))
		put_string(out, json_string_value(v), json_string_length(v));
	else
		(void)json_dumpf(v, out, JSON_ENCODE_ANY);
}

static void put_object(FILE *out, json_t *v, unsigned depth)
{
	const char *name = NULL;
	json_t *value = NULL;

	json_object_foreach(v, name, value)
	{
		indent(out, depth);
		put_string(out, name, strlen(name));
		(void)fputs(nested(value) ? ":\n" : ": ", out);
		put_node(out, value, depth + 1);
	}
}

static void put_list(FILE *out, json_t *v, unsigned depth)
{
	size_t i;

	for (i = 0; i < json_array_size(v); i++) {
		indent(out, depth);
		(void)fputs(nested(json_array_get(v, i)) ? "-\n" : "- ", out);
		put_node(out, json_array_get(v, i), depth + 1);
	}
}

static void put_node(FILE *out, json_t *v, unsigned depth)
{
	if (!nested(v)) {
		put_scalar(out, v);
		(void)fputc('\n', out);
	} else if (json_is_object(v)) {
		put_object(out, v, depth);
	} else {
		put_list(out, v, depth);
	}
}

void yaml_print(FILE *out, json_t *v)
{
	put_node(out, v, 0);
}
