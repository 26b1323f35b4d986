/* The words of an HCL or JSON text; private to hcl. */
#ifndef BASE_HCL_LEX_H
#define BASE_HCL_LEX_H

#include "base/bytes.h"

enum hcl_dialect { HCL_NATIVE, HCL_JSON };

enum hcl_token_kind {
	HCL_T_END,
	HCL_T_IDENT,
	HCL_T_STRING, /* heredocs too */
	HCL_T_NUMBER,
	HCL_T_ASSIGN, /* '=', in JSON ':' */
	HCL_T_COMMA,
	HCL_T_LBRACE,
	HCL_T_RBRACE,
	HCL_T_LBRACK,
	HCL_T_RBRACK,
};

struct hcl_token {
	enum hcl_token_kind kind;
	struct span text; /* strings: unescaped; points into the text that was given */
	unsigned line, column;
};

/* Reads `text` in place: strings are unescaped where they stand. */
struct hcl_lexer {
	uint8_t *text;
	size_t n;
	size_t at;
	unsigned line, column;
	enum hcl_dialect dialect;
	struct hcl_token token; /* the current one */
	struct err *err;
};

/* hcl_lexer_init(l, text, n, err): choose the dialect by the first character that is not white space; no token is read yet. */
void hcl_lexer_init(struct hcl_lexer *l, uint8_t *text, size_t n, struct err *err);
/* hcl_next(l): read the next token into l->token; ST_INVALID with its position. */
MUST_USE enum status hcl_next(struct hcl_lexer *l);
/* hcl_token_name(kind): for messages: "LBRACE". */
const char *hcl_token_name(enum hcl_token_kind kind);

#endif
