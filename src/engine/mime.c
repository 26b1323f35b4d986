/*
 * The library is kept from all that more than a few bytes would be needed for: it opens no file but its database, whose path is fixed (its own choice would go by the environment and the
 * home folder), decompresses nothing and looks for no structure in what is not there.
 *
 * Types by extension: the media types that IANA has registered for these formats.
 */
#include "engine/mime.h"

#include <magic.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE "/usr/share/misc/magic.mgc"
#define FLAGS                                                                                  \
	(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR | MAGIC_NO_CHECK_ELF | \
	 MAGIC_NO_CHECK_APPTYPE | MAGIC_NO_CHECK_CDF)

struct mime {
	magic_t magic;
};

enum status mime_new(struct mime **ret, struct err *err)
{
	struct mime *m = calloc(1, sizeof *m);

	if (m == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	m->magic = magic_open(FLAGS);
	if (m->magic == NULL) {
		free(m);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	if (magic_load(m->magic, DATABASE) != 0) {
		mime_free(&m);
		return err_set(err, ST_UNAVAILABLE,
		               "the database of file types cannot be read: " DATABASE);
	}
	*ret = m;
	return ST_OK;
}

void mime_free(struct mime **m)
{
	if (*m == NULL)
		return;
	magic_close((*m)->magic);
	free(*m);
	*m = NULL;
}

/* ---- by extension ---- */

#define COMPOUND "application/x-ole-storage"
#define OFFICE   "application/vnd.openxmlformats-officedocument."
#define OPEN     "application/vnd.oasis.opendocument."

/* Of what begins as the first says, files with this extension are of that type. */
struct special {
	const char *extension, *type;
};

static const struct special zips[] = {
    {"docx", OFFICE "wordprocessingml.document"},
    {"xlsx", OFFICE "spreadsheetml.sheet"},
    {"pptx", OFFICE "presentationml.presentation"},
    {"odt", OPEN "text"},
    {"ods", OPEN "spreadsheet"},
    {"odp", OPEN "presentation"},
    {"odg", OPEN "graphics"},
    {"epub", "application/epub+zip"},
    {"jar", "application/java-archive"},
    {"apk", "application/vnd.android.package-archive"},
    {"key", "application/vnd.apple.keynote"},
    {"pages", "application/vnd.apple.pages"},
    {"numbers", "application/vnd.apple.numbers"},
    {NULL, NULL},
};

static const struct special compounds[] = {
    {"doc", "application/msword"},
    {"xls", "application/vnd.ms-excel"},
    {"ppt", "application/vnd.ms-powerpoint"},
    {"msg", "application/vnd.ms-outlook"},
    {NULL, NULL},
};

static const struct special texts[] = {
    {"csv", "text/csv"},          {"css", "text/css"},         {"htm", "text/html"},
    {"html", "text/html"},        {"ics", "text/calendar"},    {"js", "text/javascript"},
    {"json", "application/json"}, {"md", "text/markdown"},     {"pem", "application/x-pem-file"},
    {"svg", "image/svg+xml"},     {"vcf", "text/vcard"},       {"xml", "text/xml"},
    {"yaml", "application/yaml"}, {"yml", "application/yaml"}, {NULL, NULL},
};

static const struct special markups[] = {{"svg", "image/svg+xml"}, {NULL, NULL}};

static const struct {
	const char *type;
	const struct special *of;
} kinds[] = {
    {"application/zip", zips},
    {COMPOUND, compounds},
    {"text/plain", texts},
    {"text/xml", markups},
};

static const char *by_extension(const char *type, struct span extension)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (strcmp(kinds[i].type, type) != 0)
			continue;
		for (const struct special *s = kinds[i].of; s->extension != NULL; s++)
			if (span_eq_word(extension, s->extension))
				return s->type;
	}
	return type;
}

/* [MS-CFB] 2.2.  The library wants to see more of such a file than its beginning. */
static bool is_compound(struct span bytes)
{
	static const uint8_t signature[] = {0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1};

	return span_starts(bytes, span_of(signature, sizeof signature));
}

enum status mime_of(struct mime *m, struct span bytes, struct span extension, const char **ret,
                    struct err *err)
{
	const char *type;

	MUST(bytes.n <= MIME_BYTES_MAX);
	type = magic_buffer(m->magic, bytes.n > 0 ? bytes.p : (const uint8_t *)"", bytes.n);
	if (type == NULL)
		return err_set(err, ST_NOMEM, "no memory to look at the file");
	*ret = by_extension(is_compound(bytes) ? COMPOUND : type, extension);
	return ST_OK;
}
