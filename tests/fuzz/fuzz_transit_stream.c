/*
 * transit_stream: the lines of encrypt-stream, decrypt-stream and rewrap-stream.
 *
 * Input: 'e', 'd' or 'r' (the operation), three bytes (how the body is cut into pieces, and when the answer is full), a line end; then the body.  @c@ in it stands for a
 * ciphertext of the key, which is a convergent one, so that the same lines give the same answer.
 *   - the body offered at once, and offered in pieces with little room for answers, gives the same answer to the byte, and counts the same;
 *   - each line that is not blank has one line of answer, a JSON object with an error or with what it should have; and its reference, when it is an item;
 *   - all of the body is used, and nothing ends the stream.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/engine/booth.h"
#include "fuzz.h"

static struct booth *booth;
static struct reader *reader;
static char cipher[256];

/* The store is never closed or reopened. */
static void never_posted(struct loop *loop, struct task *task)
{
	(void)loop;
	(void)task;
	MUST(false);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct loop loop = {.post = never_posted};
	void *state = NULL;

	(void)argc;
	(void)argv;
	fuzz_process();
	MUST(booth_new(&state) == 0);
	booth = state;
	booth_good(booth, "keys/k", "{\"derived\":true,\"convergent_encryption\":true}");
	booth_good(booth, "encrypt/k", "{\"plaintext\":\"c29tZSB0ZXh0\",\"context\":\"Yw==\"}");
	booth_keep(booth, "ciphertext", cipher, sizeof cipher);
	booth_good(booth, "keys/k/rotate", "{}");
	MUST(reader_new(booth->rig->readers, &loop, NULL, NULL, &reader, NULL) == ST_OK);
	return 0;
}

/* ---- a stream ---- */

struct talk {
	const struct stream_kind *kind;
	struct request request;
	struct answer answer;
	struct stream_totals totals;
	_Alignas(max_align_t) uint8_t state[64];
	struct stream_visit visit;
	enum status status;
};

static struct op op_of(struct talk *t, struct txn *txn)
{
	static const struct mount_facts mount = {.path = {(const uint8_t *)"transit/", 8}};
	struct op op = {.req = &t->request,
	                .mount = &mount,
	                .ans = &t->answer,
	                .self = booth->transit,
	                .random = &random_system,
	                .now_ns = 1,
	                .wake_ns = INT64_MAX,
	                .arg = {span_str("k")},
	                .stream_state = t->state,
	                .stream_totals = &t->totals};

	view_init(&op.view, txn, span_str("engine/one/"));
	op.thread = view_can_write(&op.view) ? booth->writer : booth->loop;
	return op;
}

static void chunk(struct talk *t)
{
	struct txn *txn;
	struct op op;

	MUST(reader_begin(reader, &txn, NULL) == ST_OK);
	op = op_of(t, txn);
	t->status = t->kind->chunk(&op, &t->visit);
	reader_turn_end(reader);
}

static enum status reserve(void *arg, struct txn *txn, struct err *err)
{
	struct talk *t = arg;
	struct op op = op_of(t, txn);

	(void)err;
	return t->kind->reserve(&op);
}

/* Visited again and again until it asks for more, or the answer is full. */
static void visit(struct talk *t, uint8_t *in, size_t n, size_t *used, enum stream_end end,
                  struct builder *out, size_t room)
{
	size_t before;

	do {
		before = *used + out->n;
		t->visit = (struct stream_visit){.in = in + *used,
		                                 .n = n - *used,
		                                 .end = end,
		                                 .out = out,
		                                 .out_full = room == 0 ? SIZE_MAX : out->n + room};
		answer_reset(&t->answer);
		chunk(t);
		MUST(t->visit.used <= n - *used);
		*used += t->visit.used;
		if (t->status == ST_NEEDS_WRITER) {
			MUST(rig_do(booth->rig, reserve, t) == ST_OK);
			continue;
		}
		MUST(t->status == ST_OK);
	} while (t->status == ST_NEEDS_WRITER || *used + out->n > before);
}

/* Pieces of at most so many bytes; room 0: without bound.  Each piece is offered with what was not used before it. */
static void stream(const struct stream_kind *kind, struct span body, size_t piece, size_t room,
                   struct builder *out, struct stream_totals *ret)
{
	struct talk t = {.kind = kind};
	uint8_t *in = fuzz_copy(body);
	size_t offered = 0, used = 0;

	MUST(kind->state_n <= sizeof t.state);
	answer_init(&t.answer);
	do {
		size_t more = body.n - offered < piece ? body.n - offered : piece;

		offered += more;
		visit(&t, in, offered, &used, offered == body.n ? STREAM_LAST : STREAM_GOES_ON, out,
		      room);
	} while (offered < body.n);
	MUST(used == body.n && builder_status(out) == ST_OK);
	*ret = t.totals;
	answer_free(&t.answer);
	free(in);
}

/* ---- what comes out ---- */

static struct span next_line(struct cursor *c)
{
	return fuzz_line(c);
}

static bool is_blank(struct span line)
{
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] != ' ' && line.p[i] != '\t' && line.p[i] != '\r')
			return false;
	return true;
}

static struct span string_of(const struct json_value *o, const char *name)
{
	const struct json_value *v = json_member(o, name);

	return v != NULL && v->type == JSON_STRING ? v->text : span_of(NULL, 0);
}

static bool as_object(struct json *doc, uint8_t *text, size_t n)
{
	json_init(doc);
	return json_parse(doc, text, n, NULL, NULL) == ST_OK && json_root(doc)->type == JSON_OBJECT;
}

static void check_line(char operation, struct span line, struct span answer)
{
	uint8_t *asked = fuzz_copy(line), *told = fuzz_copy(answer);
	struct json question, reply;
	bool item = as_object(&question, asked, line.n);
	const struct json_value *o;

	MUST(as_object(&reply, told, answer.n));
	o = json_root(&reply);
	if (json_member(o, "error") != NULL) {
		MUST(string_of(o, "error").n > 0);
		MUST(json_member(o, "ciphertext") == NULL && json_member(o, "plaintext") == NULL);
	} else {
		MUST(item);
		MUST(json_member(o, operation == 'd' ? "plaintext" : "ciphertext") != NULL);
		MUST((json_member(o, "key_version") != NULL) == (operation != 'd'));
		MUST((json_member(o, "rewrapped") != NULL) == (operation == 'r'));
		MUST(span_eq(string_of(o, "reference"),
		             string_of(json_root(&question), "reference")));
	}
	json_free(&question);
	json_free(&reply);
	free(asked);
	free(told);
}

static void check_answer(char operation, struct span body, struct span answer,
                         const struct stream_totals *totals)
{
	struct cursor lines = cursor_of(body), answers = cursor_of(answer);
	uint64_t n = 0;

	MUST(answer.n == 0 || answer.p[answer.n - 1] == '\n');
	while (lines.left > 0) {
		struct span line = next_line(&lines);

		if (is_blank(line))
			continue;
		MUST(answers.left > 0);
		check_line(operation, line, next_line(&answers));
		n++;
	}
	MUST(answers.left == 0 && totals->items == n && totals->failed <= n);
}

static void fill_in(struct builder *b, struct span text)
{
	while (text.n > 0) {
		bool known = span_starts(text, span_str("@c@"));

		if (known)
			builder_str(b, cipher);
		else
			builder_u8(b, text.p[0]);
		text = span_from(text, known ? 3 : 1);
	}
	MUST(builder_status(b) == ST_OK);
}

static const struct stream_kind *kind_of(char operation)
{
	const char *name = operation == 'd'   ? "decrypt-stream"
	                   : operation == 'r' ? "rewrap-stream"
	                                      : "encrypt-stream";

	for (size_t i = 0; i < engine_transit.n_operations; i++)
		if (strcmp(engine_transit.operations[i].name, name) == 0)
			return engine_transit.operations[i].stream;
	MUST(false);
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor in = cursor_of(span_of(data, n));
	struct span line = fuzz_line(&in);
	struct builder body = {0}, whole = {0}, parts = {0};
	struct stream_totals totals, again;
	char operation =
	    line.n > 0 && (line.p[0] == 'd' || line.p[0] == 'r') ? (char)line.p[0] : 'e';
	size_t piece = line.n > 1 ? 1 + (size_t)line.p[1] % 97 : 1;
	size_t room = line.n > 2 ? 1 + (size_t)line.p[2] : 1;

	fill_in(&body, fuzz_rest(&in));
	stream(kind_of(operation), builder_span(&body), SIZE_MAX, 0, &whole, &totals);
	check_answer(operation, builder_span(&body), builder_span(&whole), &totals);
	stream(kind_of(operation), builder_span(&body), piece, room, &parts, &again);
	MUST(span_eq(builder_span(&whole), builder_span(&parts)));
	MUST(totals.items == again.items && totals.failed == again.failed);
	builder_free(&body);
	builder_free(&whole);
	builder_free(&parts);
	return 0;
}
