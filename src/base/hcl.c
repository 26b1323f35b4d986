#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/hcl.h"
#include "base/hcl_lex.h"

#define TEXT_MAX   ((size_t)1 << 20)
#define DEPTH_MAX  32
#define LABELS_MAX 8

/* The arrays of the tree hang in one chain and are freed together. */
struct block {
	struct block *next;
	alignas(max_align_t) uint8_t bytes[];
};

struct hcl {
	struct hcl_value root;
	struct block *blocks;
	uint8_t *text; /* our copy; strings of the tree lie in it */
	size_t n;
};

struct parser {
	struct hcl *h;
	struct hcl_lexer lexer;
	struct err *err;
	unsigned depth;
};

/* An array that is still growing; hcl_keep makes it part of the tree. */
struct growing {
	uint8_t *p;
	size_t n, cap, size;
};

static enum status grow(struct growing *g, const void *element)
{
	if (g->n == g->cap) {
		size_t cap = g->cap == 0 ? 4 : g->cap * 2, bytes;
		uint8_t *p;

		if (!size_mul(cap, g->size, &bytes))
			return ST_NOMEM;
		p = realloc(g->p, bytes);
		if (p == NULL)
			return ST_NOMEM;
		g->p = p;
		g->cap = cap;
	}
	memcpy(g->p + g->n * g->size, element, g->size);
	g->n++;
	return ST_OK;
}

/* Memory of the tree; NULL when there is none, or when bytes is 0. */
static void *hcl_alloc(struct hcl *h, size_t bytes)
{
	struct block *b;
	size_t total;

	if (bytes == 0 || !size_add(sizeof(*b), bytes, &total))
		return NULL;
	b = malloc(total);
	if (b == NULL)
		return NULL;
	b->next = h->blocks;
	h->blocks = b;
	return b->bytes;
}

static enum status hcl_keep(struct hcl *h, const struct growing *g, void **ret)
{
	void *p = hcl_alloc(h, g->n * g->size);

	if (p == NULL && g->n > 0)
		return ST_NOMEM;
	if (p != NULL)
		memcpy(p, g->p, g->n * g->size);
	*ret = p;
	return ST_OK;
}

static enum status no_memory(struct parser *p)
{
	return err_set(p->err, ST_NOMEM, "out of memory while parsing");
}

static const struct hcl_token *token(const struct parser *p)
{
	return &p->lexer.token;
}

static enum status advance(struct parser *p)
{
	return hcl_next(&p->lexer);
}

static enum status unexpected(struct parser *p, const char *what)
{
	const struct hcl_token *t = token(p);

	return err_set(p->err, ST_INVALID, "At %u:%u: %s got: %s", t->line, t->column, what,
	               hcl_token_name(t->kind));
}

static enum status parse_value(struct parser *p, struct hcl_value *ret);

/* What a key of the text may be, a label too. */
static bool is_key(const struct parser *p)
{
	return token(p)->kind == HCL_T_STRING ||
	       (token(p)->kind == HCL_T_IDENT && p->lexer.dialect == HCL_NATIVE);
}

static enum status parse_labels(struct parser *p, struct hcl_item *item)
{
	struct span labels[LABELS_MAX];
	struct span *kept;
	size_t n = 0;

	while (p->lexer.dialect == HCL_NATIVE && is_key(p)) {
		if (n == LABELS_MAX)
			return unexpected(p, "too many labels:");
		labels[n++] = token(p)->text;
		if (advance(p) != ST_OK)
			return ST_INVALID;
	}
	if (n == 0)
		return ST_OK;
	kept = hcl_alloc(p->h, n * sizeof(*kept));
	if (kept == NULL)
		return no_memory(p);
	memcpy(kept, labels, n * sizeof(*kept));
	item->labels = kept;
	item->n_labels = n;
	return ST_OK;
}

/* key = value, or key "label" ... { body }. */
static enum status parse_item(struct parser *p, struct hcl_item *item, struct hcl_value *value)
{
	enum status s;

	*item = (struct hcl_item){
	    .key = token(p)->text, .line = token(p)->line, .column = token(p)->column};
	s = advance(p);
	if (s == ST_OK)
		s = parse_labels(p, item);
	if (s != ST_OK)
		return s;
	if (token(p)->kind == HCL_T_ASSIGN) {
		if (item->n_labels > 0)
			return unexpected(p, "nested object expected: LBRACE");
		s = advance(p);
		return s == ST_OK ? parse_value(p, value) : s;
	}
	if (token(p)->kind != HCL_T_LBRACE || p->lexer.dialect == HCL_JSON)
		return unexpected(p, p->lexer.dialect == HCL_JSON ? "expected a colon"
		                                                  : "expected '=' or a block");
	return parse_value(p, value);
}

/* Between two items: natively a comma may stand or not, in JSON it must, and not before the end. */
static enum status parse_item_end(struct parser *p, enum hcl_token_kind end)
{
	enum status s;

	if (token(p)->kind != HCL_T_COMMA) {
		if (p->lexer.dialect == HCL_JSON && token(p)->kind != end)
			return unexpected(p, "object expected closing RBRACE or a comma");
		return ST_OK;
	}
	s = advance(p);
	if (s == ST_OK && p->lexer.dialect == HCL_JSON && !is_key(p))
		return unexpected(p, "expected a name");
	return s;
}

/* The items up to the token `end`, which stays the current one; each item's value lies in a parallel array. */
static enum status parse_items(struct parser *p, enum hcl_token_kind end, struct growing *items,
                               struct growing *values)
{
	while (token(p)->kind != end) {
		struct hcl_item item;
		struct hcl_value value = {0};
		enum status s;

		if (!is_key(p))
			return unexpected(p, end == HCL_T_END ? "expected a key"
			                                      : "object expected closing RBRACE");
		s = parse_item(p, &item, &value);
		if (s == ST_OK)
			s = parse_item_end(p, end);
		if (s != ST_OK)
			return s;
		if (grow(items, &item) != ST_OK || grow(values, &value) != ST_OK)
			return no_memory(p);
	}
	return ST_OK;
}

static enum status parse_object(struct parser *p, enum hcl_token_kind end, struct hcl_value *ret)
{
	struct growing items = {.size = sizeof(struct hcl_item)},
	               values = {.size = sizeof(struct hcl_value)};
	void *kept_items, *kept_values;
	struct hcl_item *item;
	enum status s;

	s = parse_items(p, end, &items, &values);
	if (s != ST_OK)
		goto out;
	if (hcl_keep(p->h, &items, &kept_items) != ST_OK ||
	    hcl_keep(p->h, &values, &kept_values) != ST_OK) {
		s = no_memory(p);
		goto out;
	}
	item = kept_items;
	for (size_t i = 0; i < items.n; i++)
		item[i].value = (const struct hcl_value *)kept_values + i;
	ret->type = HCL_OBJECT;
	ret->items = item;
	ret->n = items.n;
out:
	free(items.p);
	free(values.p);
	return s;
}

static enum status parse_elements(struct parser *p, struct growing *values)
{
	while (token(p)->kind != HCL_T_RBRACK) {
		struct hcl_value value = {0};
		enum status s = parse_value(p, &value);

		if (s != ST_OK)
			return s;
		if (grow(values, &value) != ST_OK)
			return no_memory(p);
		if (token(p)->kind == HCL_T_RBRACK)
			break;
		if (token(p)->kind != HCL_T_COMMA)
			return unexpected(p, "error parsing list, expected comma or list end,");
		s = advance(p);
		if (s != ST_OK)
			return s;
		if (p->lexer.dialect == HCL_JSON && token(p)->kind == HCL_T_RBRACK)
			return unexpected(p, "expected a value");
	}
	return ST_OK;
}

static enum status parse_list(struct parser *p, struct hcl_value *ret)
{
	struct growing values = {.size = sizeof(struct hcl_value)};
	void *kept;
	enum status s;

	s = parse_elements(p, &values);
	if (s == ST_OK && hcl_keep(p->h, &values, &kept) != ST_OK)
		s = no_memory(p);
	if (s == ST_OK) {
		ret->type = HCL_LIST;
		ret->list = kept;
		ret->n = values.n;
	}
	free(values.p);
	return s;
}

static enum status parse_scalar(struct parser *p, struct hcl_value *ret)
{
	const struct hcl_token *t = token(p);

	ret->text = t->text;
	if (t->kind == HCL_T_STRING)
		ret->type = HCL_STRING;
	else if (t->kind == HCL_T_NUMBER)
		ret->type = HCL_NUMBER;
	else if (t->kind == HCL_T_IDENT &&
	         (span_eq_str(t->text, "true") || span_eq_str(t->text, "false")))
		ret->type = HCL_BOOL;
	else
		return unexpected(p, "expected a value");
	return ST_OK;
}

/* A value; the token behind it becomes the current one. */
static enum status parse_value(struct parser *p, struct hcl_value *ret)
{
	enum hcl_token_kind kind = token(p)->kind;
	enum status s;

	ret->line = token(p)->line;
	ret->column = token(p)->column;
	if (kind != HCL_T_LBRACE && kind != HCL_T_LBRACK) {
		s = parse_scalar(p, ret);
		return s == ST_OK ? advance(p) : s;
	}
	if (p->depth == DEPTH_MAX)
		return err_set(p->err, ST_LIMIT, "At %u:%u: nested deeper than %d", ret->line,
		               ret->column, DEPTH_MAX);
	p->depth++;
	s = advance(p);
	if (s == ST_OK)
		s = kind == HCL_T_LBRACE ? parse_object(p, HCL_T_RBRACE, ret) : parse_list(p, ret);
	p->depth--;
	return s == ST_OK ? advance(p) : s;
}

static enum status parse_text(struct parser *p)
{
	enum status s = advance(p);

	if (s != ST_OK)
		return s;
	if (p->lexer.dialect == HCL_NATIVE) {
		p->h->root.line = p->h->root.column = 1;
		return parse_object(p, HCL_T_END, &p->h->root);
	}
	s = parse_value(p, &p->h->root);
	if (s == ST_OK && token(p)->kind != HCL_T_END)
		return unexpected(p, "expected the end of the text");
	return s;
}

enum status hcl_parse(struct span text, struct hcl **ret, struct err *err)
{
	struct parser p = {.err = err};
	enum status s;

	if (text.n > TEXT_MAX)
		return err_set(err, ST_LIMIT, "the text is longer than %zu bytes", TEXT_MAX);
	p.h = calloc(1, sizeof(*p.h));
	if (p.h == NULL)
		return no_memory(&p);
	p.h->n = text.n;
	p.h->text = malloc(text.n + 1);
	if (p.h->text == NULL) {
		s = no_memory(&p);
		goto fail0;
	}
	if (text.n > 0)
		memcpy(p.h->text, text.p, text.n);
	hcl_lexer_init(&p.lexer, p.h->text, text.n, err);
	s = parse_text(&p);
	if (s != ST_OK)
		goto fail0;
	*ret = p.h;
	return ST_OK;
fail0:
	hcl_free(&p.h);
	return s;
}

const struct hcl_value *hcl_root(const struct hcl *h)
{
	return &h->root;
}

void hcl_free(struct hcl **h)
{
	struct block *b;

	if (*h == NULL)
		return;
	while ((b = (*h)->blocks) != NULL) {
		(*h)->blocks = b->next;
		free(b);
	}
	/* a configuration may hold the password of a storage */
	if ((*h)->text != NULL)
		wipe((*h)->text, (*h)->n);
	free((*h)->text);
	free(*h);
	*h = NULL;
}

const struct hcl_item *hcl_find(const struct hcl_value *object, const char *key)
{
	if (object == NULL || object->type != HCL_OBJECT)
		return NULL;
	for (size_t i = object->n; i > 0; i--) {
		if (span_eq_str(object->items[i - 1].key, key))
			return &object->items[i - 1];
	}
	return NULL;
}

/* One search for blocks: the labels found on the way down. */
struct search {
	const char *key;
	size_t wanted;
	hcl_visit *visit;
	void *arg;
	struct err *err;
	struct span labels[LABELS_MAX];
};

static enum status search_item(struct search *s, size_t have, const struct hcl_item *item);

static enum status search_error(const struct search *s, const struct hcl_value *v, const char *what)
{
	return err_set(s->err, ST_INVALID, "At %u:%u: \"%s\" %s", v->line, v->column, s->key, what);
}

/* `have` labels are known; v is the body, or an object of further labels, or a list of either. */
static enum status search_value(struct search *s, size_t have, const struct hcl_value *v)
{
	enum status st = ST_OK;

	if (v->type == HCL_LIST) {
		for (size_t i = 0; i < v->n && st == ST_OK; i++) {
			if (v->list[i].type == HCL_LIST)
				return search_error(s, &v->list[i], "must be an object");
			st = search_value(s, have, &v->list[i]);
		}
		return st;
	}
	if (v->type != HCL_OBJECT)
		return search_error(
		    s, v, have < s->wanted ? "needs a label and a body" : "must be an object");
	if (have == s->wanted)
		return s->visit(s->arg, s->labels, v, s->err);
	for (size_t i = 0; i < v->n && st == ST_OK; i++) {
		s->labels[have] = v->items[i].key;
		st = search_item(s, have + 1, &v->items[i]);
	}
	return st;
}

static enum status search_item(struct search *s, size_t have, const struct hcl_item *item)
{
	if (item->n_labels > s->wanted - have)
		return err_set(s->err, ST_INVALID, "At %u:%u: \"%s\" has too many labels",
		               item->line, item->column, s->key);
	for (size_t i = 0; i < item->n_labels; i++)
		s->labels[have++] = item->labels[i];
	return search_value(s, have, item->value);
}

enum status hcl_blocks(const struct hcl_value *object, const char *key, size_t n_labels,
                       hcl_visit *visit, void *arg, struct err *err)
{
	struct search s = {.key = key, .wanted = n_labels, .visit = visit, .arg = arg, .err = err};
	enum status st = ST_OK;

	MUST(n_labels <= LABELS_MAX && object->type == HCL_OBJECT);
	for (size_t i = 0; i < object->n && st == ST_OK; i++) {
		if (span_eq_str(object->items[i].key, key))
			st = search_item(&s, 0, &object->items[i]);
	}
	return st;
}
