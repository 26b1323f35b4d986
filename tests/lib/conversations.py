"""Hostile HTTP/1.1 conversations, as a table: name, where it comes from, what is sent, which statuses come back in their order.

test_hostile.py sends the bytes of a row (a list: one piece after another) and behind them NEXT, a good request of its own, answered
with NEXT_STATUS.  So a row whose statuses end in NEXT_STATUS says that the connection lived on and was never out of step; any
other row says that the connection ended behind the last status and that nothing behind it was looked at.  SMUGGLED is a request that would write
secret/smuggled, with a token that may: no row may have done that.

Sources: RFC 9110, RFC 9112 and RFC 3986 with their sections, published advisories (CVE numbers) and research by its name.
"""

TOKEN = "canary-token"
H = b"Host: a\r\n"
T = b"X-Vault-Token: " + TOKEN.encode() + b"\r\n"
BODY = b'{"v":1}'  # seven bytes
CHUNKED = b"7\r\n" + BODY + b"\r\n0\r\n\r\n"

NEXT_STATUS = 299
NEXT = b"GET /v1/sys/health?activecode=299 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SMUGGLED = b"POST /v1/secret/smuggled HTTP/1.1\r\nHost: a\r\n" + T + b"Content-Length: 7\r\n\r\n" + BODY

OK = [200, NEXT_STATUS]
WRITTEN = [204, NEXT_STATUS]
BAD = [400]
CODING = [501]

# Research that several rows come from.
KETTLE = "Kettle, HTTP Desync Attacks, 2019"
BROWSER = "Kettle, Browser-Powered Desync Attacks, 2022"
MUST_DIE = "Kettle, HTTP/1.1 Must Die, 2025"
LINHART = "Linhart et al., HTTP Request Smuggling, 2005"
FUNKY = "Weikop, Funky Chunks, 2025"
ORANGE = "Orange Tsai, Breaking Parser Logic, 2018"
TREFS = "Jabiyev et al., T-Reqs, CCS 2021"
HDIFF = "Shen et al., HDiff, DSN 2022"


def post(fields, body=b"", path=b"secret/hostile", version=b"1.1"):
    """A write with these header lines."""
    return b"POST /v1/" + path + b" HTTP/" + version + b"\r\n" + H + T + fields + b"\r\n" + body


def length(value, body=BODY):
    return post(b"Content-Length:" + value + b"\r\n", body)


def coding(line, body=CHUNKED):
    return post(line + b"\r\n", body)


def chunks(body):
    return post(b"Transfer-Encoding: chunked\r\n", body)


def get(fields=b"", target=b"/v1/sys/seal-status", version=b"HTTP/1.1"):
    return b"GET " + target + b" " + version + b"\r\n" + H + fields + b"\r\n"


def head(lines):
    """A request whose header section is exactly this."""
    return b"GET /v1/sys/seal-status HTTP/1.1\r\n" + lines


def line(text):
    """A request whose first line is exactly this, line end included."""
    return text + H + b"\r\n"


def size(text):
    """A chunk whose size line is exactly this, line end included, and then what would be smuggled."""
    return chunks(text + BODY + b"\r\n0\r\n\r\n" + SMUGGLED)


LENGTHS = [
    ("length and chunked (CL.TE)", f"RFC 9112 6.1, 6.3; {KETTLE}", post(b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\nG" + SMUGGLED), BAD),
    ("chunked and length (TE.CL)", f"RFC 9112 6.1, 6.3; {KETTLE}", post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"9f\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"), BAD),
    ("length zero and chunked", f"RFC 9112 6.3; {HDIFF}", post(b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", CHUNKED), BAD),
    ("two equal lengths", f"RFC 9112 6.3; {LINHART}", post(b"Content-Length: 7\r\nContent-Length: 7\r\n", BODY + SMUGGLED), BAD),
    ("two different lengths", f"RFC 9112 6.3; {LINHART}", post(b"Content-Length: 7\r\nContent-Length: 0\r\n", BODY + SMUGGLED), BAD),
    ("two lengths, other between", f"RFC 9112 6.3; CVE-2020-8287", post(b"Content-Length: 0\r\nX: y\r\ncontent-LENGTH: 7\r\n", BODY + SMUGGLED), BAD),
    ("length as a list of equals", "RFC 9110 8.6; RFC 9112 6.3", length(b" 7, 7"), BAD),
    ("length as a list of different ones", "RFC 9110 8.6; RFC 9112 6.3", length(b" 7,0", BODY + SMUGGLED), BAD),
    ("length with a plus sign", f"RFC 9110 8.6; {TREFS}", length(b" +7", BODY + SMUGGLED), BAD),
    ("length negative", "RFC 9110 8.6; CVE-2013-2028", length(b" -1", SMUGGLED), BAD),
    ("length minus zero", "RFC 9110 8.6", length(b" -0", SMUGGLED), BAD),
    ("length hexadecimal", f"RFC 9110 8.6; {TREFS}", length(b" 0x7", BODY + SMUGGLED), BAD),
    ("length with an exponent", "RFC 9110 8.6", length(b" 7e0", BODY + SMUGGLED), BAD),
    ("length with a fraction", "RFC 9110 8.6", length(b" 7.0", BODY + SMUGGLED), BAD),
    ("length with a space within", "RFC 9110 8.6; CVE-2018-7159", length(b" 7 7", BODY + SMUGGLED), BAD),
    ("length with an underscore", "RFC 9110 8.6; CVE-2023-37276", length(b" 0_7", BODY + SMUGGLED), BAD),
    ("length empty", f"RFC 9110 8.6; {HDIFF}", length(b"", BODY + SMUGGLED), BAD),
    ("length blank", f"RFC 9110 8.6; {HDIFF}", length(b" ", BODY + SMUGGLED), BAD),
    ("length with a vertical tab", "RFC 9110 5.5; CVE-2019-20444", length(b" \x0b7", BODY + SMUGGLED), BAD),
    ("length with NUL behind", "RFC 9110 5.5", length(b" 7\0", BODY + SMUGGLED), BAD),
    ("length in full-width digits", "RFC 9110 8.6", length(" \uff17".encode(), BODY + SMUGGLED), BAD),
    ("length with a parameter", "RFC 9110 8.6", length(b" 7;q=1", BODY + SMUGGLED), BAD),
    ("length beyond 64 bits, modulo small", "RFC 9110 8.6", length(b" 18446744073709551623", BODY + SMUGGLED), BAD),
    ("length of 63 bits", "RFC 9110 8.6", length(b" 9223372036854775807", BODY + SMUGGLED), [413]),
    ("length of 100 digits", "RFC 9110 8.6", length(b" 1" + b"0" * 99, BODY + SMUGGLED), BAD),
    ("length one more than allowed", "RFC 9110 15.5.14", length(b" 1048577", b"x" * 1000), [413]),
    ("length with zeros in front", "RFC 9110 8.6 (1*DIGIT: good)", length(b" 0000000000000000000000000000000000007"), WRITTEN),
    ("length between spaces and tabs", "RFC 9110 5.5 (OWS: good)", length(b" \t7 "), WRITTEN),
    ("space between length and colon", "RFC 9112 5.1; CVE-2019-16869, CVE-2021-22959", post(b"Content-Length : 7\r\n", BODY + SMUGGLED), BAD),
    ("tab between length and colon", "RFC 9112 5.1", post(b"Content-Length\t: 7\r\n", BODY + SMUGGLED), BAD),
    ("length's name with a space", "RFC 9110 5.1", post(b"Content Length: 7\r\n", BODY + SMUGGLED), BAD),
    ("length folded", "RFC 9112 5.2; CVE-2022-32215", post(b"Content-Length:\r\n 7\r\n", BODY + SMUGGLED), BAD),
    ("length indented as if folded", "RFC 9112 5.2; CVE-2024-27982", post(b"X: y\r\n Content-Length: 0\r\nContent-Length: 7\r\n", BODY + SMUGGLED), BAD),
    ("length with another character before it", "RFC 9110 5.1", post(b"\x0bContent-Length: 7\r\n", BODY + SMUGGLED), BAD),
    ("length with an underscore in its name is another field", "RFC 9110 5.1 (good)", post(b"Content_Length: 100\r\nContent-Length: 7\r\n", BODY), WRITTEN),
    ("no length, no body: what follows is a request", "RFC 9112 6.3 (good)", b"POST /v1/secret/hostile HTTP/1.1\r\n" + H + T + b"\r\n", [400, NEXT_STATUS]),
    ("body of a GET", "RFC 9110 9.3.1; RFC 9112 6.3", get(b"Content-Length: %d\r\n" % len(SMUGGLED)) + SMUGGLED, [400, NEXT_STATUS]),
    ("chunked body of a GET", "RFC 9110 9.3.1; RFC 9112 6.3", get(b"Transfer-Encoding: chunked\r\n") + b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n", [400, NEXT_STATUS]),
    ("body of a HEAD", "RFC 9110 9.3.2; RFC 9112 6.3", b"HEAD /v1/sys/seal-status HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, [400, NEXT_STATUS]),
    ("body of a DELETE", "RFC 9110 9.3.5; RFC 9112 6.3", b"DELETE /v1/secret/gone HTTP/1.1\r\n" + H + T + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, [400, NEXT_STATUS]),
    ("body to nowhere (CL.0)", BROWSER, post(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED, path=b"no/such/path"), [400, NEXT_STATUS]),
    ("body to another root (CL.0)", BROWSER, b"POST /favicon.ico HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, [404, NEXT_STATUS]),
    ("body to a refused path (CL.0)", BROWSER, post(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED, path=b"secret/../x"), [400, NEXT_STATUS]),
    ("body where only GET is (CL.0)", BROWSER, post(b"Content-Length: %d\r\n" % (len(SMUGGLED) - 7), SMUGGLED[:-7], path=b"sys/health"), [400, NEXT_STATUS]),
    ("body without a token (CL.0)", BROWSER, b"POST /v1/secret/x HTTP/1.1\r\n" + H + b"Content-Length: 7\r\n\r\n" + BODY, [403, NEXT_STATUS]),
    ("body arrives after its answer could (pause)", f"{BROWSER} (pause-based)", [post(b"Content-Length: %d\r\n" % len(SMUGGLED), b"", path=b"no/such/path"), SMUGGLED], [400, NEXT_STATUS]),
]

CODINGS = [
    ("xchunked", f"RFC 9112 6.1; {KETTLE}", coding(b"Transfer-Encoding: xchunked"), CODING),
    ("chunked behind a vertical tab", f"RFC 9110 5.5; {KETTLE}", coding(b"Transfer-Encoding: \x0bchunked"), BAD),
    ("chunked behind a form feed", f"RFC 9110 5.5; {KETTLE}", coding(b"Transfer-Encoding: \x0cchunked"), BAD),
    ("space before the colon", f"RFC 9112 5.1; {KETTLE}; CVE-2019-16869", coding(b"Transfer-Encoding : chunked"), BAD),
    ("two codings, the second unknown (TE.TE)", f"RFC 9112 6.1; {KETTLE}; CVE-2022-32213", coding(b"Transfer-Encoding: chunked\r\nTransfer-encoding: x"), BAD),
    ("two codings, the first unknown (TE.TE)", f"RFC 9112 6.1; {KETTLE}", coding(b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked"), CODING),
    ("chunked twice in two fields", "RFC 9112 6.1; CVE-2020-8287", coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), BAD),
    ("chunked twice in one field", "RFC 9112 6.1", coding(b"Transfer-Encoding: chunked, chunked"), BAD),
    ("coding behind a tab", f"RFC 9110 5.6.3 (OWS: good); {KETTLE}", coding(b"Transfer-Encoding:\tchunked"), WRITTEN),
    ("coding in other case", "RFC 9112 7 (good)", coding(b"tRANSFER-eNCODING: ChUnKeD"), WRITTEN),
    ("line folded before it", f"RFC 9112 5.2; {KETTLE}", coding(b"X: y\r\n Transfer-Encoding: chunked"), BAD),
    ("line begun with a space", f"RFC 9112 2.2; {KETTLE}", b"POST /v1/secret/hostile HTTP/1.1\r\n Transfer-Encoding: chunked\r\n" + H + T + b"\r\n" + CHUNKED, BAD),
    ("bare LF before it", f"RFC 9112 2.2; {KETTLE}; CVE-2022-32214", coding(b"X: y\nTransfer-Encoding: chunked"), BAD),
    ("LF within the name's end", f"RFC 9112 5.1; {KETTLE}", coding(b"Transfer-Encoding\n: chunked"), BAD),
    ("bare CR before it", "RFC 9112 2.2; CVE-2023-30589", coding(b"X: y\rTransfer-Encoding: chunked"), BAD),
    ("value folded", "RFC 9112 5.2; CVE-2022-32215", coding(b"Transfer-Encoding:\r\n chunked"), BAD),
    ("value split by folding", "RFC 9112 5.2; CVE-2022-35256", coding(b"Transfer-Encoding: chu\r\n nked"), BAD),
    ("identity", "RFC 9112 6.1 (no such coding any more)", coding(b"Transfer-Encoding: identity", SMUGGLED), CODING),
    ("chunked not last", "RFC 9112 6.3; CVE-2022-32213", coding(b"Transfer-Encoding: chunked, identity", SMUGGLED), BAD),
    ("gzip, then chunked", "RFC 9112 6.1", coding(b"Transfer-Encoding: gzip, chunked"), CODING),
    ("list with an empty element", "RFC 9110 5.6.1", coding(b"Transfer-Encoding: , chunked"), CODING),
    ("chunked with a parameter", "RFC 9112 7", coding(b"Transfer-Encoding: chunked;q=1"), CODING),
    ("chunked in quotes", f"RFC 9112 7; {KETTLE}", coding(b'Transfer-Encoding: "chunked"'), CODING),
    ("chunked with NUL behind", "RFC 9110 5.5", coding(b"Transfer-Encoding: chunked\0"), BAD),
    ("chunked with a Kelvin sign", "RFC 9110 5.6.2", coding("Transfer-Encoding: chun\u212aed".encode()), CODING),
    ("chunk, cut", f"RFC 9112 7; {KETTLE}", coding(b"Transfer-Encoding: chunke"), CODING),
    ("no coding at all", f"RFC 9112 6.1; {HDIFF}", coding(b"Transfer-Encoding:", SMUGGLED), CODING),
    ("chunked in HTTP/1.0", f"RFC 9112 6.1; {HDIFF}", post(b"Transfer-Encoding: chunked\r\n", CHUNKED, version=b"1.0"), CODING),
    ("coding with an underscore is another field", f"RFC 9110 5.1 (good); {KETTLE}", post(b"Transfer_Encoding: chunked\r\nContent-Length: 7\r\n", BODY), WRITTEN),
    ("TE is not Transfer-Encoding", "RFC 9110 10.1.4 (good)", post(b"TE: chunked, trailers\r\nContent-Length: 7\r\n", BODY), WRITTEN),
    ("Content-Encoding is not Transfer-Encoding", "RFC 9110 8.4 (good)", post(b"Content-Encoding: chunked\r\nContent-Length: 7\r\n", BODY), WRITTEN),
]

CHUNKS = [
    ("size beyond 64 bits", "RFC 9112 7.1", size(b"10000000000000007\r\n"), BAD),
    ("size of 64 bits, all ones", "RFC 9112 7.1; CVE-2013-2028", size(b"ffffffffffffffff\r\n"), [413]),
    ("size of 63 bits", "RFC 9112 7.1; CVE-2002-0392", size(b"8000000000000000\r\n"), [413]),
    ("size of 31 bits", "RFC 9112 7.1; CVE-2002-0392", size(b"fffffff0\r\n"), [413]),
    ("size negative", "RFC 9112 7.1; CVE-2015-3183", size(b"-7\r\n"), BAD),
    ("size with a plus sign", f"RFC 9112 7.1; {TREFS}", size(b"+7\r\n"), BAD),
    ("size with 0x", f"RFC 9112 7.1; {TREFS}", size(b"0x7\r\n"), BAD),
    ("size with an underscore", "RFC 9112 7.1", size(b"0_7\r\n"), BAD),
    ("size empty", "RFC 9112 7.1; CVE-2015-3183", size(b"\r\n"), BAD),
    ("size is only an extension", "RFC 9112 7.1", size(b";x=y\r\n"), BAD),
    ("size behind a space", "RFC 9112 7.1", size(b" 7\r\n"), BAD),
    ("size before a tab", "RFC 9112 7.1", size(b"7\t\r\n"), BAD),
    ("size before NUL", "RFC 9112 7.1", size(b"7\0\r\n"), BAD),
    ("size with a comma", "RFC 9112 7.1", size(b"7,0\r\n"), BAD),
    ("size line ends in LF", f"RFC 9112 7.1, 2.2; {FUNKY}; CVE-2024-6827", size(b"7\n"), BAD),
    ("size line ends in CR", f"RFC 9112 7.1, 2.2; {FUNKY}", size(b"7\r"), BAD),
    ("size line ends in CR CR LF", f"RFC 9112 7.1; {FUNKY}", size(b"7\r\r\n"), BAD),
    ("extension ends in LF (TERM.EXT)", f"RFC 9112 7.1.1; {FUNKY}", size(b"7;a\n"), BAD),
    ("extension with LF within", f"RFC 9112 7.1.1; {FUNKY}", size(b"7;a\nb\r\n"), BAD),
    ("extension with CR within", f"RFC 9112 7.1.1; {FUNKY}; CVE-2025-58056", size(b"7;a\rb\r\n"), BAD),
    ("extension with NUL", "RFC 9112 7.1.1", size(b"7;\0\r\n"), BAD),
    ("extension without its semicolon", "RFC 9112 7.1.1; CVE-2021-22960", size(b"7 a\r\n"), BAD),
    ("extension too large", "RFC 9112 7.1.1; CVE-2024-22019", size(b"7;" + b"a" * 40000 + b"\r\n"), [413]),
    ("many small extensions", "RFC 9112 7.1.1; CVE-2024-22019, CVE-2023-39326", chunks(b"1;" + b"a" * 200 + b"\r\n{\r\n" + (b"1;" + b"a" * 200 + b"\r\n \r\n") * 500), [413]),
    ("data longer than its size", "RFC 9112 7.1", chunks(b"6\r\n" + BODY + b"\r\n0\r\n\r\n" + SMUGGLED), BAD),
    ("data shorter than its size", "RFC 9112 7.1", chunks(b"9\r\n" + BODY + b"\r\n0\r\n\r\n" + SMUGGLED), BAD),
    ("data ends in LF", f"RFC 9112 7.1; {FUNKY} (SPILL.TERM)", chunks(b"7\r\n" + BODY + b"\n0\r\n\r\n" + SMUGGLED), BAD),
    ("data ends in CR", f"RFC 9112 7.1; {FUNKY}", chunks(b"7\r\n" + BODY + b"\r0\r\n\r\n" + SMUGGLED), BAD),
    ("data ends in two other bytes", f"RFC 9112 7.1; {FUNKY} (SPILL.LENGTH)", chunks(b"7\r\n" + BODY + b"XX0\r\n\r\n" + SMUGGLED), BAD),
    ("data ends in nothing", "RFC 9112 7.1", chunks(b"7\r\n" + BODY + b"0\r\n\r\n" + SMUGGLED), BAD),
    ("last chunk with LF only", "RFC 9112 7.1", chunks(b"7\r\n" + BODY + b"\r\n0\n\n" + SMUGGLED), BAD),
    ("no empty line behind the last chunk", "RFC 9112 7.1", chunks(b"7\r\n" + BODY + b"\r\n0\r\n" + SMUGGLED), BAD),
    ("last chunk of many zeros", "RFC 9112 7.1 (1*\"0\": good)", chunks(b"7\r\n" + BODY + b"\r\n0000000000000000\r\n\r\n"), WRITTEN),
    ("size in upper and lower case, zeros in front", "RFC 9112 7.1 (1*HEXDIG: good)", chunks(b"00A\r\n  " + BODY + b" \r\n0\r\n\r\n"), WRITTEN),
    ("a byte a chunk", "RFC 9112 7.1 (good)", chunks(b"".join(b"1\r\n%c\r\n" % c for c in BODY) + b"0\r\n\r\n"), WRITTEN),
    ("trailer Content-Length", "RFC 9110 6.5.1; RFC 9112 7.1.2", chunks(b"7\r\n" + BODY + b"\r\n0\r\nContent-Length: 200\r\n\r\n"), WRITTEN),
    ("trailer Transfer-Encoding", "RFC 9110 6.5.1; CVE-2025-43859", chunks(b"7\r\n" + BODY + b"\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), BAD),
    ("trailer Host, Connection, Expect", "RFC 9110 6.5.1", chunks(b"7\r\n" + BODY + b"\r\n0\r\nHost: b\r\nConnection: close\r\nExpect: x\r\n\r\n"), WRITTEN),
    ("trailer with the token", "RFC 9110 6.5.1 (never merged)", b"POST /v1/secret/smuggled HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n7\r\n" + BODY + b"\r\n0\r\n" + T + b"\r\n", [403, NEXT_STATUS]),
    ("trailer with a space before the colon", "RFC 9112 5.1", chunks(b"7\r\n" + BODY + b"\r\n0\r\nA : b\r\n\r\n" + SMUGGLED), BAD),
    ("trailer without a colon", "RFC 9112 5", chunks(b"7\r\n" + BODY + b"\r\n0\r\nAb\r\n\r\n" + SMUGGLED), BAD),
    ("trailer without a name", "RFC 9112 5", chunks(b"7\r\n" + BODY + b"\r\n0\r\n: b\r\n\r\n" + SMUGGLED), BAD),
    ("trailer with NUL", "RFC 9110 5.5", chunks(b"7\r\n" + BODY + b"\r\n0\r\nA: \0\r\n\r\n" + SMUGGLED), BAD),
    ("trailer folded", "RFC 9112 5.2", chunks(b"7\r\n" + BODY + b"\r\n0\r\nA: b\r\n c\r\n\r\n" + SMUGGLED), BAD),
    ("trailer begun with a space", "RFC 9112 5.2", chunks(b"7\r\n" + BODY + b"\r\n0\r\n A: b\r\n\r\n" + SMUGGLED), BAD),
    ("trailer line ends in LF", "RFC 9112 2.2; CVE-2024-6827", chunks(b"7\r\n" + BODY + b"\r\n0\r\nA: b\n\r\n" + SMUGGLED), BAD),
    ("trailers end in CR LF CR X", "RFC 9112 2.2; CVE-2025-23167", chunks(b"7\r\n" + BODY + b"\r\n0\r\nA: b\r\n\rX" + SMUGGLED), BAD),
    ("trailers end in LF LF", "RFC 9112 2.2", chunks(b"7\r\n" + BODY + b"\r\n0\r\nA: b\n\n" + SMUGGLED), BAD),
    ("empty line behind the last chunk is one LF", "RFC 9112 2.2, 7.1", chunks(b"7\r\n" + BODY + b"\r\n0\r\n\n" + SMUGGLED), BAD),
    ("trailers without end", "RFC 9112 7.1.2", chunks(b"7\r\n" + BODY + b"\r\n0\r\n" + b"A: b\r\n" * 20000), [413]),
    ("more chunks than the limit of a body", "RFC 9110 15.5.14", chunks((b"10000\r\n" + b" " * 65536 + b"\r\n") * 17), [413]),
]

FIELDS = [
    ("NUL in a name", "RFC 9110 5.1", head(H + b"A\0: b\r\n\r\n" + SMUGGLED), BAD),
    ("NUL in a value", "RFC 9110 5.5", head(H + b"A: b\0c\r\n\r\n" + SMUGGLED), BAD),
    ("bare CR in a value", "RFC 9112 2.2; CVE-2023-30589", head(H + b"A: b\rC: d\r\n\r\n" + SMUGGLED), BAD),
    ("bare CR in a name", "RFC 9112 2.2", head(H + b"A\rB: c\r\n\r\n" + SMUGGLED), BAD),
    ("line ends in CR CR LF", "RFC 9112 2.2", head(H + b"A: b\r\r\n\r\n" + SMUGGLED), BAD),
    ("line ends in LF", "RFC 9112 2.2", head(H + b"A: b\n\r\n" + SMUGGLED), BAD),
    ("head ends in LF", "RFC 9112 2.2", head(H + b"A: b\r\n\n" + SMUGGLED), BAD),
    ("head ends in CR LF CR X", "RFC 9112 2.2; CVE-2025-23167", head(H + b"A: b\r\n\rX" + SMUGGLED), BAD),
    ("folded with a tab", "RFC 9112 5.2", head(H + b"A: b\r\n\tc\r\n\r\n" + SMUGGLED), BAD),
    ("blank line that is not empty", "RFC 9112 5.2", head(H + b"A: b\r\n \r\n\r\n" + SMUGGLED), BAD),
    ("whitespace before the first field", "RFC 9112 2.2", head(b" " + H + H + b"\r\n" + SMUGGLED), BAD),
    ("no colon", "RFC 9112 5", head(H + b"abc\r\n\r\n" + SMUGGLED), BAD),
    ("no name", "RFC 9112 5", head(H + b": abc\r\n\r\n" + SMUGGLED), BAD),
    ("name with parentheses", "RFC 9110 5.1, 5.6.2", head(H + b"A(b): c\r\n\r\n" + SMUGGLED), BAD),
    ("name with bytes beyond ASCII", "RFC 9110 5.1, 5.6.2", head(H + b"A\xc3\xa9: c\r\n\r\n" + SMUGGLED), BAD),
    ("DEL in a value", "RFC 9110 5.5", head(H + b"A: \x7f\r\n\r\n" + SMUGGLED), BAD),
    ("value beyond ASCII", "RFC 9110 5.5 (obs-text: good)", head(H + b"A: \xc3\xa9\xff\r\n\r\n"), OK),
    ("an HTTP request within a value", LINHART, head(H + b"A: GET /v1/secret/smuggled HTTP/1.1\r\n\r\n"), OK),
    ("too many fields", "RFC 6585 5", head(H + b"A: b\r\n" * 200 + b"\r\n"), [431]),
    ("a field too large", "RFC 6585 5", head(H + b"A: " + b"b" * 70000 + b"\r\n\r\n"), [431]),
    ("hop-by-hop token", "RFC 9110 7.6.1; Davison, Abusing hop-by-hop headers, 2019", b"GET /v1/secret/smuggled HTTP/1.1\r\n" + H + T + b"Connection: X-Vault-Token\r\n\r\n", [404, NEXT_STATUS]),
    ("token with an underscore is no token", "RFC 9110 5.1", b"GET /v1/sys/mounts HTTP/1.1\r\n" + H + b"X_Vault_Token: " + TOKEN.encode() + b"\r\n\r\n", [403, NEXT_STATUS]),
    ("a bad token before a good one", f"RFC 9110 5.3; {HDIFF}", b"GET /v1/sys/mounts HTTP/1.1\r\n" + H + b"X-Vault-Token: bad\r\n" + T + b"\r\n", [403, NEXT_STATUS]),
    ("two tokens in one field", "RFC 9110 5.3", b"GET /v1/sys/mounts HTTP/1.1\r\n" + H + b"X-Vault-Token: " + TOKEN.encode() + b", bad\r\n\r\n", [403, NEXT_STATUS]),
    ("verb override is ignored", "RFC 9110 9.1", b"GET /v1/sys/seal-status HTTP/1.1\r\n" + H + T + b"X-HTTP-Method-Override: POST\r\nX-HTTP-Method: DELETE\r\n\r\n", OK),
    ("path override is ignored", "Kettle, Practical Web Cache Poisoning, 2018", get(b"X-Original-URL: /v1/secret/smuggled\r\nX-Rewrite-URL: /v1/secret/smuggled\r\n"), OK),
]

HOSTS = [
    ("none", "RFC 9112 3.2", head(b"A: b\r\n\r\n" + SMUGGLED), BAD),
    ("two equal", f"RFC 9112 3.2; {HDIFF}", head(H + H + b"\r\n" + SMUGGLED), BAD),
    ("two different", f"RFC 9112 3.2; {HDIFF}", head(H + b"Host: b\r\n\r\n" + SMUGGLED), BAD),
    ("as a list", f"RFC 9112 3.2; {HDIFF}", head(b"Host: a, b\r\n\r\n" + SMUGGLED), BAD),
    ("with user and password", f"RFC 9110 7.2; {HDIFF}", head(b"Host: a@b\r\n\r\n" + SMUGGLED), BAD),
    ("with a path", "RFC 9110 7.2", head(b"Host: a/b\r\n\r\n" + SMUGGLED), BAD),
    ("with a query", "RFC 9110 7.2", head(b"Host: a?b\r\n\r\n" + SMUGGLED), BAD),
    ("with two ports", "RFC 9110 7.2", head(b"Host: a:1:2\r\n\r\n" + SMUGGLED), BAD),
    ("with letters for a port", "RFC 9110 7.2; CVE-2018-5950", head(b"Host: a:80x\r\n\r\n" + SMUGGLED), BAD),
    ("with too long a port", "RFC 9110 7.2", head(b"Host: a:0000000000080\r\n\r\n" + SMUGGLED), BAD),
    ("open bracket", "RFC 9110 7.2; RFC 3986 3.2.2", head(b"Host: [::1\r\n\r\n" + SMUGGLED), BAD),
    ("with NUL", "RFC 9110 7.2", head(b"Host: a\0b\r\n\r\n" + SMUGGLED), BAD),
    ("with a line break encoded", "RFC 9110 7.2", head(b"Host: a%0d%0ab\r\n\r\n" + SMUGGLED), BAD),
    ("empty", "RFC 9112 3.2", head(b"Host:\r\n\r\n" + SMUGGLED), BAD),
    ("folded", f"RFC 9112 5.2; {HDIFF}", head(b"Host:\r\n a\r\n\r\n" + SMUGGLED), BAD),
    ("hidden by a space before the colon", "RFC 9112 5.1", head(b"Host : a\r\n\r\n" + SMUGGLED), BAD),
    ("absolute form, other host", f"RFC 9112 3.2.2; {HDIFF}", get(target=b"http://b/v1/sys/seal-status") + SMUGGLED, BAD),
    ("absolute form, other port", f"RFC 9112 3.2.2", get(target=b"http://a:81/v1/sys/seal-status") + SMUGGLED, BAD),
    ("absolute form, user and password", f"RFC 9110 4.2.4; {HDIFF}", get(target=b"http://a@a/v1/sys/seal-status") + SMUGGLED, BAD),
    ("absolute form, no host", "RFC 9110 4.2.1", get(target=b"http:///v1/sys/seal-status") + SMUGGLED, BAD),
    ("absolute form, other scheme", "RFC 9110 7.4", get(target=b"file:///etc/passwd") + SMUGGLED, BAD),
    ("absolute form, own host", "RFC 9112 3.2.2 (good)", get(target=b"http://A/v1/sys/seal-status"), OK),
    ("of another site is answered as any", "RFC 9110 7.2 (one site only)", head(b"Host: 169.254.169.254\r\nX-Forwarded-Host: b\r\n\r\n"), OK),
]

LINES = [
    ("HTTP/0.9", "RFC 1945 5; RFC 9112 3", b"GET /v1/sys/seal-status\r\n" + SMUGGLED, BAD),
    ("HTTP/0.9 with fields", "RFC 9112 3", b"GET /v1/sys/seal-status\r\n" + H + b"\r\n" + SMUGGLED, BAD),
    ("HTTP/1.0 ends the connection", "RFC 9112 9.3 (good)", b"GET /v1/sys/seal-status HTTP/1.0\r\n\r\n", [200]),
    ("HTTP/1.0 with keep-alive ends it too", "RFC 9112 9.3, C.2.2 (good)", b"GET /v1/sys/seal-status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [200]),
    ("Connection: close and a request behind", "RFC 9112 9.6", get(b"Connection: close\r\n") + SMUGGLED, [200]),
    ("HTTP/1.2", "RFC 9110 15.6.6", get(version=b"HTTP/1.2") + SMUGGLED, [505]),
    ("HTTP/2.0", "RFC 9110 15.6.6", get(version=b"HTTP/2.0") + SMUGGLED, [505]),
    ("HTTP/1.10", "RFC 9112 2.3", get(version=b"HTTP/1.10") + SMUGGLED, BAD),
    ("HTTP/01.1", "RFC 9112 2.3", get(version=b"HTTP/01.1") + SMUGGLED, BAD),
    ("HTTP/1,1", "RFC 9112 2.3", get(version=b"HTTP/1,1") + SMUGGLED, BAD),
    ("http/1.1", f"RFC 9112 2.3; {HDIFF}", get(version=b"http/1.1") + SMUGGLED, BAD),
    ("HTTP/ 1.1", "RFC 9112 2.3", get(version=b"HTTP/ 1.1") + SMUGGLED, BAD),
    ("space behind the version", f"RFC 9112 3; {HDIFF}", get(version=b"HTTP/1.1 ") + SMUGGLED, BAD),
    ("two versions", f"RFC 9112 3; {TREFS}", get(version=b"HTTP/1.1 HTTP/1.0") + SMUGGLED, BAD),
    ("two spaces", "RFC 9112 3", line(b"GET  /v1/sys/seal-status HTTP/1.1\r\n") + SMUGGLED, BAD),
    ("tabs for spaces", "RFC 9112 3", line(b"GET\t/v1/sys/seal-status\tHTTP/1.1\r\n") + SMUGGLED, BAD),
    ("space in front", "RFC 9112 3", line(b" GET /v1/sys/seal-status HTTP/1.1\r\n") + SMUGGLED, BAD),
    ("space within the target", "RFC 9112 3.2", line(b"GET /v1/sys/seal status HTTP/1.1\r\n") + SMUGGLED, BAD),
    ("bare LF at its end", "RFC 9112 2.2", line(b"GET /v1/sys/seal-status HTTP/1.1\n") + SMUGGLED, BAD),
    ("bare CR at its end", "RFC 9112 2.2", line(b"GET /v1/sys/seal-status HTTP/1.1\r") + SMUGGLED, BAD),
    ("bare CR within the target", "RFC 9112 2.2", line(b"GET /v1/sys\r/seal-status HTTP/1.1\r\n") + SMUGGLED, BAD),
    ("blank lines before it", "RFC 9112 2.2 (good)", b"\r\n\r\n" + get(), OK),
    ("a blank line that is one LF", "RFC 9112 2.2", b"\n" + get() + SMUGGLED, BAD),
    ("blank lines without end", "RFC 9112 2.2", b"\r\n" * 1000, BAD),
    ("lower-case verb", "RFC 9110 9.1", line(b"get /v1/sys/seal-status HTTP/1.1\r\n") + SMUGGLED, BAD),
    ("LINK is not LIST", "RFC 2068 19.6.1.2", line(b"LINK /v1/secret HTTP/1.1\r\n" + T), [405, NEXT_STATUS]),
    ("LOCK is not SCAN", "RFC 4918 9.10", line(b"LOCK /v1/secret HTTP/1.1\r\n" + T), [405, NEXT_STATUS]),
    ("SCAN does not pretend", "RFC 9110 15.5.6", line(b"SCAN /v1/secret HTTP/1.1\r\n" + T), [405, NEXT_STATUS]),
    ("LIST with a body", "RFC 9112 6.3", line(b"LIST /v1/secret HTTP/1.1\r\n" + T + b"Content-Length: 7\r\n").replace(b"\r\n\r\n", b"\r\n\r\n" + BODY), OK),
    ("TRACE echoes nothing", "RFC 9110 9.3.8", line(b"TRACE /v1/secret HTTP/1.1\r\n" + T), [405, NEXT_STATUS]),
    ("OPTIONS *", "RFC 9110 9.3.7", line(b"OPTIONS * HTTP/1.1\r\n") + SMUGGLED, [405]),
    ("CONNECT", "RFC 9110 9.3.6", line(b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n") + SMUGGLED, [405]),
    ("verb that nobody knows", "RFC 9110 15.6.2", line(b"FROB /v1/secret HTTP/1.1\r\n") + SMUGGLED, [405]),
    ("verb of 8,000 letters", "RFC 9110 9.1", line(b"G" * 8000 + b" / HTTP/1.1\r\n") + SMUGGLED, [405]),
    ("verb with NUL", "RFC 9110 9.1", line(b"GET\0 /v1/sys/seal-status HTTP/1.1\r\n") + SMUGGLED, BAD),
    ("verb alone", "RFC 9112 3", b"GET\r\n\r\n" + SMUGGLED, BAD),
    ("target too long", "RFC 9110 15.5.15", get(target=b"/v1/secret/" + b"x" * 9000) + SMUGGLED, [414]),
    ("target with bytes beyond ASCII", "RFC 9112 3.2; RFC 3986 2", get(target=b"/v1/secret/\xc3\xa9") + SMUGGLED, BAD),
    ("target with NUL", "RFC 9112 3.2; RFC 3986 2", get(target=b"/v1/secret/\0") + SMUGGLED, BAD),
    ("target with a fragment", "RFC 9112 3.2; RFC 3986 3.5", get(target=b"/v1/secret/a#b") + SMUGGLED, BAD),
    ("target without its slash", "RFC 9112 3.2", get(target=b"v1/sys/seal-status") + SMUGGLED, BAD),
    ("target with backslashes", "RFC 9112 3.2; RFC 3986 2", get(target=b"\\v1\\sys\\seal-status") + SMUGGLED, BAD),
]

PROTOCOLS = [
    ("HTTP/2 preface", "RFC 9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", [505]),
    ("h2c upgrade, then HTTP/2", "RFC 7540 3.2; Bishop Fox, h2c Smuggling, 2020", get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [200, 505]),
    ("h2c upgrade with a body", "RFC 9110 7.8; Bishop Fox, h2c Smuggling, 2020", post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 7\r\n", BODY), WRITTEN),
    ("websocket upgrade, then frames", "RFC 6455 4.2.1; Mikhail Egorov, Websocket smuggling, 2019", get(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n") + b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", [200, 400]),
    ("TLS upgrade", "RFC 2817 3.1", get(b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"), OK),
    ("TLS client hello", "RFC 8446 4.1.2", bytes.fromhex("16030100a4010000a00303") + bytes(range(160)), BAD),
    ("SSLv2 client hello", "RFC 5246 E.2", bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0") + bytes(range(16)), BAD),
    ("SSH banner", "RFC 4253 4.2", b"SSH-2.0-OpenSSH_9.2\r\n", BAD),
    ("SMTP greeting", "RFC 5321 4.1.1.1", b"EHLO a\r\nMAIL FROM:<a@b>\r\n", BAD),
    ("Redis command", "Kettle, Cracking the Lens, 2017", b"*1\r\n$4\r\nPING\r\n", BAD),
    ("PROXY protocol", "HAProxy, PROXY protocol 2.1", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), BAD),
    ("PROXY protocol, binary", "HAProxy, PROXY protocol 2.2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + get(), BAD),
    ("zeros", "RFC 9112 3", bytes(4096), BAD),
    ("noise", "RFC 9112 3", bytes((i * 167 + 13) % 256 for i in range(4096)), BAD),
    ("garbage behind a good request", "RFC 9112 2.2, 9.3.2", get() + b"\0\1\2\3", [200, 400]),
    ("an answer behind a good request", "Linhart et al., 2005 (response splitting)", get() + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [200, 400]),
    ("a body nobody announced", "RFC 9112 6.3", get() + BODY + SMUGGLED, [200, 400]),
    ("many good ones, then a bad one, then more", "RFC 9112 9.3.2", get() * 50 + head(H + b"A: b\n\r\n") + SMUGGLED * 20, [200] * 50 + BAD),
    ("Expect: 100-continue", "RFC 9110 10.1.1 (good)", [post(b"Expect: 100-continue\r\nContent-Length: 7\r\n"), BODY], [100, *WRITTEN]),
    ("Expect: 100-continue, body of a request", f"RFC 9110 10.1.1; {MUST_DIE}", [post(b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(SMUGGLED), path=b"no/such/path"), SMUGGLED], [100, 400, NEXT_STATUS]),
    ("Expect on a GET with a body (0.CL)", MUST_DIE, [get(b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(SMUGGLED)), SMUGGLED], [100, 400, NEXT_STATUS]),
    ("Expect obfuscated", f"RFC 9110 10.1.1; {MUST_DIE}", post(b"Expect: y 100-continue\r\nContent-Length: 7\r\n", BODY) + SMUGGLED, [417]),
    ("Expect with a line fold", f"RFC 9112 5.2; {MUST_DIE}", post(b"Expect:\r\n 100-continue\r\nContent-Length: 7\r\n", BODY) + SMUGGLED, BAD),
    ("Expect of the moon", "RFC 9110 10.1.1", post(b"Expect: 200-ok\r\nContent-Length: 7\r\n", BODY) + SMUGGLED, [417]),
    ("Expect and too large a body", "RFC 9110 10.1.1, 15.5.14", post(b"Expect: 100-continue\r\nContent-Length: 99999999\r\n"), [413]),
    ("a byte a packet", "RFC 9112 2.2 (good)", [bytes([byte]) for byte in post(b"Transfer-Encoding: chunked\r\n", CHUNKED)], WRITTEN),
]


def path(name, source, target, status, verb=b"GET"):
    """A path below /v1/ that the connection survives."""
    body = b"Content-Length: 7\r\n\r\n" + BODY if verb == b"POST" else b"\r\n"
    return name, source, verb + b" " + target + b" HTTP/1.1\r\n" + H + T + body, [status, NEXT_STATUS]


PATHS = [
    path("encoded slash", f"RFC 3986 2.2, 6.2.2; {ORANGE}", b"/v1/secret/a%2fsmuggled", 400),
    path("encoded slash, upper case, written", "RFC 3986 2.2; CVE-2007-0450", b"/v1/secret%2Fsmuggled", 400, b"POST"),
    path("encoded slash, encoded again", "RFC 3986 2.4; CVE-2021-42013", b"/v1/secret/a%252fb", 404),
    path("encoded NUL", "RFC 3986 7.3", b"/v1/secret/smuggled%00.txt", 400, b"POST"),
    path("encoded CR LF", "CWE-113; RFC 9110 5.5", b"/v1/secret/%0d%0aX-Injected:%20a", 400),
    path("encoded CR LF in the query", "CWE-113; RFC 9110 5.5", b"/v1/secret/x?list=%0d%0aX-Injected:%20a", 400),
    path("encoded DEL", "RFC 3986 2.1", b"/v1/secret/%7f", 400),
    path("dot segments", "RFC 3986 3.3, 6.2.2.3", b"/v1/secret/../secret/smuggled", 400, b"POST"),
    path("dot segment", "RFC 3986 3.3", b"/v1/secret/./smuggled", 400, b"POST"),
    path("encoded dot segments", "RFC 3986 6.2.2.2; CVE-2021-41773", b"/v1/secret/%2e%2e/secret/smuggled", 400, b"POST"),
    path("half encoded dot segments", "RFC 3986 6.2.2.2; CVE-2021-41773", b"/v1/secret/.%2E/secret/smuggled", 400, b"POST"),
    path("dot segments encoded twice", "CVE-2021-42013", b"/v1/secret/%%32%65%%32%65/secret/smuggled", 400, b"POST"),
    path("dot segments with a parameter", ORANGE, b"/v1/secret/..;/secret/smuggled", 404),
    path("dot segments out of the root", "RFC 3986 3.3", b"/v1/../../../../etc/passwd", 400),
    path("dot segments before the root", "RFC 3986 3.3", b"/../v1/sys/mounts", 404),
    path("dots with backslashes", ORANGE, b"/v1/secret/..\\..\\smuggled", 404),
    path("overlong slash", "RFC 3629 3; CVE-2000-0884", b"/v1/secret/a%c0%afb", 400),
    path("overlong slash in three bytes", "RFC 3629 3", b"/v1/secret/a%e0%80%afb", 400),
    path("overlong dots", "RFC 3629 3; CVE-2008-2938", b"/v1/secret/%c0%ae%c0%ae/b", 400),
    path("overlong NUL", "RFC 3629 3", b"/v1/secret/%c0%80", 400),
    path("surrogate", "RFC 3629 3", b"/v1/secret/%ed%a0%80", 400),
    path("beyond Unicode", "RFC 3629 3", b"/v1/secret/%f4%90%80%80", 400),
    path("continuation byte alone", "RFC 3629 3", b"/v1/secret/%80", 400),
    path("full-width slash is a letter", "RFC 3987 3.1; CVE-2020-4044", "/v1/secret/%EF%BC%8Fsmuggled".encode(), 404),
    path("cut escape", "RFC 3986 2.1", b"/v1/secret/%", 400),
    path("cut escape of one digit", "RFC 3986 2.1", b"/v1/secret/%2", 400),
    path("escape of no digits", "RFC 3986 2.1", b"/v1/secret/%zz", 400),
    path("escape of four digits", "RFC 3986 2.1 (no %u)", b"/v1/secret/%u002fb", 400),
    path("escape with a sign", "RFC 3986 2.1", b"/v1/secret/%+1", 400),
    path("encoded root", "RFC 3986 6.2.2.2", b"/%76%31/sys/mounts", 404),
    path("root in upper case", "RFC 3986 6.2.2.1", b"/V1/sys/mounts", 404),
    path("mount in upper case", "RFC 3986 6.2.2.1", b"/v1/SECRET/smuggled", 404),
    path("two slashes in front", "RFC 3986 3.3, 4.2", b"//v1/sys/mounts", 404),
    path("two slashes behind the root", "RFC 3986 3.3", b"/v1//sys/mounts", 400),
    path("two slashes within", "RFC 3986 3.3", b"/v1/secret//smuggled", 400, b"POST"),
    path("two slashes at the end", "RFC 3986 3.3", b"/v1/secret/smuggled//", 400, b"POST"),
    path("a slash at the end of what is written", "RFC 3986 6.2.3", b"/v1/secret/smuggled/", 400, b"POST"),
    path("parameter at the root", ORANGE, b"/v1;a=b/sys/mounts", 404),
    path("parameter behind an endpoint", f"RFC 3986 3.3; {ORANGE}", b"/v1/sys/mounts;a=b", 404),
    path("encoded question mark is a letter", "RFC 3986 2.2", b"/v1/sys/mounts%3fa", 404),
    path("encoded number sign is a letter", "RFC 3986 2.2; CVE-2019-9740", b"/v1/sys/mounts%23a", 404),
    path("65 segments", "RFC 3986 3.3", b"/v1/secret" + b"/a" * 64, 400, b"POST"),
    path("64 segments", "RFC 3986 3.3 (good)", b"/v1/secret" + b"/a" * 63, 204, b"POST"),
    path("64 segments, a slash behind", "RFC 3986 3.3 (good)", b"/v1/secret" + b"/a" * 63 + b"/", 404),
    path("1,000 segments", "RFC 3986 3.3", b"/v1/secret" + b"/a" * 1000, 400, b"POST"),
    path("a key of 511 bytes", "LMDB's limit", b"/v1/secret/" + b"k" * 511, 400, b"POST"),
    path("a key of 512 bytes, encoded", "LMDB's limit", b"/v1/secret/" + b"%6b" * 512, 400, b"POST"),
    path("a path of 501 bytes", "api.md", b"/v1/secret/" + b"k" * (501 - 7), 400, b"POST"),
    path("a name of other characters", "RFC 3986 2.2 (good)", b"/v1/secret/~!$&'()*+,;=:@%5b%5d%7c%22%3c%3e%5e%60%7b%7d%5c", 204, b"POST"),
    path("17 parameters", "api.md", b"/v1/secret/x?" + b"&".join(b"a%d=b" % n for n in range(17)), 400),
    path("NUL in the query", "RFC 3986 7.3", b"/v1/secret/x?a=%00", 400),
    path("query that is not UTF-8", "RFC 3629 3", b"/v1/secret/x?a=%ff", 400),
    path("query with a cut escape", "RFC 3986 2.1", b"/v1/secret/x?a=%2", 400),
    path("query with question marks", "RFC 3986 3.4 (good)", b"/v1/secret/x?a=?b?/../", 404),
    ("token in the query is none", "RFC 6750 5.3", get(target=b"/v1/sys/mounts?token=" + TOKEN.encode() + b"&X-Vault-Token=" + TOKEN.encode()), [403, NEXT_STATUS]),
]

GROUPS = {"length": LENGTHS, "coding": CODINGS, "chunks": CHUNKS, "field": FIELDS, "host": HOSTS, "line": LINES, "protocol": PROTOCOLS, "path": PATHS}
TABLE = {f"{group}: {name}": (source, sent, statuses) for group, rows in GROUPS.items() for name, source, sent, statuses in rows}
assert len(TABLE) == sum(map(len, GROUPS.values())), "a name stands twice"
