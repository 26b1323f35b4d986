#include "cli/output.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/yaml.h"

enum status output_format_parse(const char *word, enum output_format *ret)
{
	static const char *const words[] = {
	    [OUTPUT_TABLE] = "table", [OUTPUT_JSON] = "json", [OUTPUT_YAML] = "yaml"};
	size_t i;

	for (i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strcmp(word, words[i]) == 0) {
			*ret = (enum output_format)i;
			return ST_OK;
		}
	}
	return ST_INVALID;
}

enum status output_value(FILE *out, enum output_format format, json_t *v)
{
	if (format == OUTPUT_YAML) {
		yaml_print(out, v);
		return ST_OK;
	}
	if (json_dumpf(v, out, JSON_ENCODE_ANY | JSON_INDENT(2)) != 0)
		return ST_IO;
	(void)fputc('\n', out);
	return ST_OK;
}

void output_text(FILE *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (((unsigned char)*s < ' ' && *s != '\n' && *s != '\t') || *s == 0x7f)
			(void)fprintf(out, "\\x%02x", (unsigned)(unsigned char)*s);
		else
			(void)fputc(*s, out);
	}
}

json_t *output_data(json_t *answer)
{
	json_t *v = json_object_get(answer, "data");

	if (json_is_object(v))
		return v;
	v = json_object_get(answer, "auth");
	return json_is_object(v) ? v : answer;
}

/* Seconds as people read them; nothing at all means for ever. */
static json_t *duration(json_t *seconds, const char *zero)
{
	const json_int_t s = json_integer_value(seconds);
	struct builder b = {0};
	json_t *v;

	if (s <= 0 || s > INT64_MAX / NS_PER_S)
		return json_string(zero);
	duration_short(&b, s * NS_PER_S);
	v = json_stringn((const char *)b.p, b.n);
	builder_free(&b);
	return v;
}

/* ["a" "b"]: a list whose elements stand in quotes, as policies do. */
static json_t *quoted_list(const json_t *list)
{
	struct builder b = {0};
	const char *element;
	json_t *v;
	size_t i;

	builder_str(&b, "[");
	for (i = 0; i < json_array_size(list); i++) {
		element = json_string_value(json_array_get(list, i));
		builder_fmt(&b, "%s\"%s\"", i > 0 ? " " : "", element != NULL ? element : "");
	}
	builder_str(&b, "]");
	v = json_stringn((const char *)b.p, b.n);
	builder_free(&b);
	return v;
}

static void row_new(struct table *t, const char *key, json_t *fresh)
{
	if (fresh == NULL)
		t->failed = ST_NOMEM;
	table_row(t, key, fresh);
	json_decref(fresh);
}

static void auth_rows(struct table *t, json_t *auth)
{
	json_t *meta = json_object_get(auth, "metadata");
	const char *name = NULL;
	json_t *value = NULL;

	table_row(t, "token", json_object_get(auth, "client_token"));
	table_row(t, "token_accessor", json_object_get(auth, "accessor"));
	row_new(t, "token_duration",
	        duration(json_object_get(auth, "lease_duration"), "\xe2\x88\x9e"));
	table_row(t, "token_renewable", json_object_get(auth, "renewable"));
	row_new(t, "token_policies", quoted_list(json_object_get(auth, "token_policies")));
	row_new(t, "identity_policies", quoted_list(json_object_get(auth, "identity_policies")));
	row_new(t, "policies", quoted_list(json_object_get(auth, "policies")));
	json_object_foreach(meta, name, value)
	{
		table_fmt(t, "token_meta_%s", name);
		table_json(t, value);
	}
}

static void wrap_rows(struct table *t, json_t *wrap)
{
	table_row(t, "wrapping_token:", json_object_get(wrap, "token"));
	table_row(t, "wrapping_accessor:", json_object_get(wrap, "accessor"));
	row_new(t, "wrapping_token_ttl:", duration(json_object_get(wrap, "ttl"), "0s"));
	table_row(t, "wrapping_token_creation_time:", json_object_get(wrap, "creation_time"));
	table_row(t, "wrapping_token_creation_path:", json_object_get(wrap, "creation_path"));
}

static void lease_rows(struct table *t, json_t *answer)
{
	json_t *lease_duration = json_object_get(answer, "lease_duration");

	if (json_string_length(json_object_get(answer, "lease_id")) > 0) {
		table_row(t, "lease_id", json_object_get(answer, "lease_id"));
		row_new(t, "lease_duration", duration(lease_duration, "0s"));
		table_row(t, "lease_renewable", json_object_get(answer, "renewable"));
	} else if (json_integer_value(lease_duration) > 0) {
		row_new(t, "refresh_interval", duration(lease_duration, "0s"));
	}
}

enum status output_secret(FILE *out, json_t *answer)
{
	static const char *const head[] = {"Key", "Value"};
	json_t *auth = json_object_get(answer, "auth");
	json_t *wrap = json_object_get(answer, "wrap_info");
	json_t *data = json_object_get(answer, "data");
	struct table t;
	enum status s;

	table_init(&t, 2);
	table_head(&t, head);
	lease_rows(&t, answer);
	if (json_is_object(auth))
		auth_rows(&t, auth);
	if (json_is_object(wrap))
		wrap_rows(&t, wrap);
	if (json_is_object(data))
		table_object(&t, data);
	else if (json_object_get(answer, "request_id") == NULL)
		table_object(&t, answer);
	s = table_print(&t, out);
	table_free(&t);
	return s;
}

/* Names of a token's answer that its table shows, and where they are. */
static const struct {
	const char *shown, *member;
} auth_names[] = {{"token", "client_token"},
                  {"token_accessor", "accessor"},
                  {"token_duration", "lease_duration"},
                  {"token_renewable", "renewable"},
                  {"token_policies", "policies"},
                  {"policies", "policies"}};

json_t *output_find(json_t *answer, const char *name)
{
	json_t *auth = json_object_get(answer, "auth");
	json_t *wrap = json_object_get(answer, "wrap_info");
	json_t *v = json_object_get(output_data(answer), name);
	size_t i;

	if (v == NULL && json_is_object(auth))
		for (i = 0; i < sizeof auth_names / sizeof auth_names[0] && v == NULL; i++)
			if (strcmp(name, auth_names[i].shown) == 0)
				v = json_object_get(auth, auth_names[i].member);
	if (v == NULL && json_is_object(wrap) && strcmp(name, "wrapping_token") == 0)
		v = json_object_get(wrap, "token");
	if (v == NULL && strcmp(name, "refresh_interval") == 0)
		v = json_object_get(answer, "lease_duration");
	if (v == NULL)
		v = json_object_get(answer, name);
	return json_incref(v);
}

enum status output_field(FILE *out, enum output_format format, json_t *v)
{
	if (format != OUTPUT_TABLE || !json_is_string(v))
		return output_value(out, format, v);
	(void)fwrite(json_string_value(v), 1, json_string_length(v), out);
	if (isatty(fileno(out)))
		(void)fputc('\n', out);
	return ST_OK;
}
