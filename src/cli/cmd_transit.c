/*
 * transit: rewrapping a file of ciphertexts, one JSON object a line, through the server's stream.
 *
 * The answer's lines stand in the order of the input's, one for each line that is not blank, so OUT itself tells how far an earlier run came: what is whole there is kept, and
 * as many lines of IN are passed over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

#define ROW_MAX     ((size_t)8 << 20)
#define BAR_WIDTH   30
#define BAR_EVERY_S 0.2

struct rewrapping {
	struct cli *cli;
	FILE *in, *out;
	off_t in_size, in_done; /* bytes of IN; answered or passed over: shown as progress */
	unsigned long long rows, failed, rewrapped;
	char *row; /* of IN: what is left to be sent of it */
	size_t row_cap, row_n, row_at;
	struct builder line; /* of the answer, not yet whole */
	bool to_terminal;
	double shown_at;
	enum status status;
	struct err err;
};

/* ---- progress ---- */

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void show_bar(struct rewrapping *w, double now)
{
	double part = w->in_size > 0 ? (double)w->in_done / (double)w->in_size : 1.0;
	int full = (int)(part * BAR_WIDTH);

	if (!w->to_terminal || now - w->shown_at < BAR_EVERY_S)
		return;
	w->shown_at = now;
	(void)fprintf(w->cli->err, "\r[%.*s%.*s] %3d %%  %llu rows, %llu failed", full,
	              "##############################", BAR_WIDTH - full,
	              "                              ", (int)(part * 100), w->rows, w->failed);
	(void)fflush(w->cli->err);
}

static void end_bar(struct rewrapping *w)
{
	w->shown_at = 0;
	show_bar(w, now_s());
	if (w->to_terminal)
		(void)fputc('\n', w->cli->err);
}

/* ---- lines ---- */

static bool is_blank(const char *p, size_t n)
{
	while (n > 0 && strchr(" \t\r\n", p[n - 1]) != NULL)
		n--;
	return n == 0;
}

/* The next line of IN that is not blank into w->row, with a line end.  ST_NOT_FOUND: there is none. */
static enum status next_row(struct rewrapping *w)
{
	ssize_t n;

	do {
		n = getline(&w->row, &w->row_cap, w->in);
		if (n < 0)
			return ferror(w->in) != 0
			           ? err_set(&w->err, ST_IO, "the input cannot be read: %s",
			                     strerror(errno))
			           : ST_NOT_FOUND;
		w->in_done += n;
		if ((size_t)n > ROW_MAX)
			return err_set(&w->err, ST_INVALID, "a line of the input is too long");
	} while (is_blank(w->row, (size_t)n));
	w->row_n = (size_t)n;
	w->row_at = 0;
	return ST_OK;
}

/* ---- what the stream asks for and gives ---- */

static size_t give(void *ctx, uint8_t *to, size_t room, enum status *ret)
{
	struct rewrapping *w = ctx;
	size_t n = 0, part;

	while (n < room) {
		if (w->row_at == w->row_n) {
			*ret = next_row(w);
			if (*ret == ST_NOT_FOUND)
				*ret = ST_OK;
			if (w->row_at == w->row_n || *ret != ST_OK)
				break;
		}
		part = w->row_n - w->row_at < room - n ? w->row_n - w->row_at : room - n;
		memcpy(to + n, w->row + w->row_at, part);
		w->row_at += part;
		n += part;
	}
	return n;
}

static bool has(struct span line, const char *part)
{
	return memmem(line.p, line.n, part, strlen(part)) != NULL;
}

static enum status take_line(struct rewrapping *w)
{
	struct span line = builder_span(&w->line);

	/* Not an answer to a row: the stream's own end. */
	if (span_starts(line, span_str("{\"stream_error\":")))
		return err_set(&w->err, ST_IO, "the server ended the stream: %.*s",
		               (int)(line.n - 1), (const char *)line.p);
	if (fwrite(line.p, 1, line.n, w->out) != line.n)
		return err_set(&w->err, ST_IO, "the output cannot be written: %s", strerror(errno));
	w->rows++;
	w->failed += span_starts(line, span_str("{\"error\":"));
	w->rewrapped += has(line, ",\"rewrapped\":true");
	builder_reset(&w->line);
	show_bar(w, now_s());
	return ST_OK;
}

static enum status take(void *ctx, struct span text)
{
	struct rewrapping *w = ctx;

	while (text.n > 0 && w->status == ST_OK) {
		const uint8_t *end = memchr(text.p, '\n', text.n);
		size_t n = end != NULL ? (size_t)(end - text.p) + 1 : text.n;

		builder_add(&w->line, span_of(text.p, n));
		w->status = builder_status(&w->line);
		if (end != NULL && w->status == ST_OK)
			w->status = take_line(w);
		text = span_from(text, n);
	}
	return w->status;
}

/* ---- going on where an earlier run stopped ---- */

/* Keeps the whole lines of OUT; how many they are. */
static enum status keep_answers(struct rewrapping *w, const char *name,
                                unsigned long long *ret_lines)
{
	unsigned long long lines = 0;
	off_t whole = 0;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	enum status st = ST_OK;

	while ((n = getline(&line, &cap, w->out)) > 0 && line[n - 1] == '\n') {
		whole += n;
		lines++;
	}
	free(line);
	if (ferror(w->out) != 0 || fflush(w->out) != 0 || ftruncate(fileno(w->out), whole) != 0 ||
	    fseeko(w->out, whole, SEEK_SET) != 0)
		st = err_set(&w->err, ST_IO, "%s: %s", name, strerror(errno));
	else
		*ret_lines = lines;
	return st;
}

static enum status pass_over(struct rewrapping *w, unsigned long long lines)
{
	for (unsigned long long i = 0; i < lines; i++) {
		enum status st = next_row(w);

		if (st == ST_NOT_FOUND)
			return err_set(
			    &w->err, ST_INVALID,
			    "the output has more rows than the input: it is of another file");
		if (st != ST_OK)
			return st;
	}
	w->row_n = w->row_at = 0;
	w->rows = lines;
	return ST_OK;
}

static enum status open_files(struct rewrapping *w, const char *in, const char *out)
{
	unsigned long long lines = 0;
	struct stat a, b;
	enum status st;

	w->in = fopen(in, "re");
	if (w->in == NULL || fstat(fileno(w->in), &a) != 0)
		return err_set(&w->err, ST_IO, "%s: %s", in, strerror(errno));
	w->out = fopen(out, "r+e");
	if (w->out == NULL && errno == ENOENT)
		w->out = fopen(out, "w+xe");
	if (w->out == NULL || fstat(fileno(w->out), &b) != 0)
		return err_set(&w->err, ST_IO, "%s: %s", out, strerror(errno));
	if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return err_set(&w->err, ST_INVALID, "input and output are the same file");
	w->in_size = a.st_size;
	st = keep_answers(w, out, &lines);
	return st == ST_OK ? pass_over(w, lines) : st;
}

/* ---- the command ---- */

static enum cli_exit report(struct rewrapping *w, unsigned long long before)
{
	if (fflush(w->out) != 0 || fsync(fileno(w->out)) != 0)
		return cli_fail(w->cli, "the output cannot be written: %s", strerror(errno));
	(void)fprintf(
	    w->cli->out, "%llu rows: %llu rewrapped, %llu current already, %llu failed",
	    w->rows - before, w->rewrapped, w->rows - before - w->rewrapped - w->failed, w->failed);
	if (before > 0)
		(void)fprintf(w->cli->out, " (%llu were done before)", before);
	(void)fputc('\n', w->cli->out);
	return w->failed == 0 ? CLI_DONE
	                      : cli_fail(w->cli, "%llu rows could not be rewrapped: their lines in "
	                                         "the output say why",
	                                 w->failed);
}

static enum cli_exit stream_file(struct rewrapping *w)
{
	struct cli *c = w->cli;
	struct builder path = {0};
	struct client_stream s = {.ctx = w, .give = give, .take = take};
	struct reply r = {0};
	unsigned long long before = w->rows;
	enum cli_exit e;

	builder_fmt(&path, "%s/rewrap-stream/%s",
	            cli_text(c, "mount") != NULL ? cli_text(c, "mount") : "transit",
	            cli_text(c, "key"));
	builder_u8(&path, 0);
	if (builder_status(&path) != ST_OK) {
		builder_free(&path);
		return cli_fail(c, "out of memory");
	}
	e = cli_stream(c, (const char *)path.p, &s, &r, &w->err);
	end_bar(w);
	builder_free(&path);
	if (e == CLI_DONE && w->line.n > 0)
		e = cli_fail(c, "the answer ended in the middle of a line; run it again to go on");
	if (e == CLI_DONE)
		e = report(w, before);
	reply_free(&r);
	return e;
}

static enum cli_exit run_rewrap_file(struct cli *c)
{
	struct rewrapping w = {.cli = c, .status = ST_OK};
	enum cli_exit e;
	enum status st;

	if (cli_text(c, "key") == NULL)
		return cli_misuse(c, "-key is needed: the name of the key");
	w.to_terminal = isatty(fileno(c->err)) == 1;
	st = open_files(&w, c->args[0], c->args[1]);
	e = st == ST_OK ? stream_file(&w) : cli_status(c, st, &w.err);
	if (w.in != NULL)
		(void)fclose(w.in);
	if (w.out != NULL)
		(void)fclose(w.out);
	free(w.row);
	builder_free(&w.line);
	return e;
}

static const struct cli_flag rewrap_flags[] = {
    {"key", CLI_TEXT, "NAME", "The key that the ciphertexts are under"},
    {"mount", CLI_TEXT, "PATH", "Where transit is mounted (transit)"},
    {NULL, CLI_TEXT, NULL, NULL}};

const struct cli_command cmd_transit[] = {
    {"transit rewrap-file", "IN OUT",
     "Rewrap a file of ciphertexts, a JSON object a line; run it again to go on", 2, 2,
     rewrap_flags, run_rewrap_file},
    {NULL, NULL, NULL, 0, 0, NULL, NULL}};
