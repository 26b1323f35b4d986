"""What must hold for any input: random durations, lifetimes, paths, policies and values, against models that are written from the papers.

The same examples each time; KEYTURN_EXAMPLES=20 tries twenty times as many, other ones each time.
"""
import itertools
import json
import math
import os
import random
import re
import time
from datetime import datetime, timezone

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from server import Server

FACTOR = int(os.environ.get("KEYTURN_EXAMPLES", "1"))


def examples(n):
    return settings(max_examples=n * FACTOR, derandomize=FACTOR == 1, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def started(folder, config):
    return Server(folder, storage="inmem", config=config).ready()


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """Lifetimes of any length."""
    server = started(tmp_path_factory.mktemp("any"), 'default_lease_ttl = "1h"\nmax_lease_ttl = "2562047h"')
    yield server.api
    server.close()


DEFAULT_S, MAX_S = 3600, 36000


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """Lifetimes of an hour, at most ten."""
    server = started(tmp_path_factory.mktemp("strict"), f"default_lease_ttl = {DEFAULT_S}\nmax_lease_ttl = {MAX_S}")
    yield server.api
    server.close()


# Durations: go.dev/pkg/time, ParseDuration and Duration.String

NS = {"ns": 1, "us": 10**3, "\u00b5s": 10**3, "\u03bcs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
DAY = 24 * NS["h"]
LIMIT = 1 << 63
TERM = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]+)")


def fraction_ns(digits, unit):
    """Go reads digits as long as they fit 63 bits, then reckons in floating point and cuts off."""
    value, scale = 0, 1.0
    for digit in digits:
        if value > (LIMIT - 1) // 10 or value * 10 + int(digit) > LIMIT:
            break
        value, scale = value * 10 + int(digit), scale * 10
    return int(float(value) * (float(unit) / scale))


def go_magnitude(text):
    """Nanoseconds of a duration without sign; None: malformed, or more than 63 bits."""
    if text == "0":
        return 0
    at, total = 0, 0
    while at < len(text):
        term = TERM.match(text, at)
        if not term or not (term[1] or term[2]) or term[3] not in NS:
            return None
        whole, unit = int(term[1] or 0), NS[term[3]]
        if whole * unit > LIMIT:
            return None
        ns = whole * unit + fraction_ns(term[2] or "", unit)
        total += ns
        if ns > LIMIT or total > LIMIT:
            return None
        at = term.end()
    return total if text else None


def parse(text):
    """(nanoseconds, or None; whether Go takes it too).  Beside Go's: whole seconds, and whole days."""
    sign, rest = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    ns, is_go = go_magnitude(rest), True
    if ns is None and re.fullmatch(r"[0-9]+d?", rest):
        ns, is_go = int(rest.rstrip("d")) * (DAY if rest[-1] == "d" else NS["s"]), False
    if ns is None or ns > LIMIT or (ns == LIMIT and sign != "-"):
        return None, False
    return -ns if sign == "-" else ns, is_go


def go_string(ns):
    """Duration.String of what is not negative."""
    if ns < NS["s"]:
        unit, name = next(((u, n) for u, n in ((1, "ns"), (10**3, "\u00b5s"), (10**6, "ms")) if ns < u * 1000), None)
        return "0s" if ns == 0 else trimmed(ns, unit) + name
    minutes, ns = divmod(ns, NS["m"])
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + trimmed(ns, NS["s"]) + "s"


def trimmed(ns, unit):
    whole, rest = divmod(ns, unit)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def short(ns):
    """The same without the units that are zero."""
    parts = re.findall(r"[0-9.]+[^0-9.]+", go_string(ns))
    return "".join(part for part in parts if part[:-1] != "0") or "0s"


@pytest.mark.parametrize("ns,text", [(0, "0s"), (1, "1ns"), (1100, "1.1\u00b5s"), (2_200_000, "2.2ms"), (3_300_000_000, "3.3s"), (4 * 60 * 10**9 + 5 * 10**9, "4m5s"),
                                     (4 * 60 * 10**9 + 5_001_000_000, "4m5.001s"), (5 * NS["h"] + 6 * NS["m"] + 7_001_000_000, "5h6m7.001s"),
                                     (8 * 60 * 10**9 + 1, "8m0.000000001s"), (LIMIT - 1, "2562047h47m16.854775807s")])
def test_the_model_prints_as_go_does(ns, text):
    """The table of Go's own tests, time_test.go, TestDurationString."""
    assert go_string(ns) == text and parse(text) == (ns, True)


def digits(most):
    return st.text("0123456789", max_size=most)


fractions = st.one_of(st.just(""), digits(25).map(lambda d: "." + d))
terms = st.builds("{}{}{}".format, digits(9), fractions, st.sampled_from([*NS, "d", "S", "H", "", " ", "hs", "\u00b5"]))
near = st.sampled_from([0, 1, DAY, 2562047 * NS["h"], LIMIT, NS["h"], LIMIT // 10]).flatmap(lambda n: st.integers(max(0, n - 3 * 10**9), n + 3 * 10**9))
spelled = st.one_of(
    near.map(go_string), near.map(lambda n: f"{n}ns"), near.map(lambda n: f"{n // 10**9}"), near.map(lambda n: f"{n // 10**9}.{n % 10**9:09}s"),
    st.integers(0, 120_000).map(lambda n: f"{n}d"), st.integers(0, LIMIT // DAY + 2).map(lambda n: f"{n}d"),
    st.builds("{}h{}m{}{}s".format, st.integers(24, 3_000_000), st.integers(0, 99), st.integers(0, 99), fractions),
    st.lists(terms, min_size=1, max_size=4).map("".join), st.text("0123456789.+-hmsnu\u00b5d ", max_size=12))
# Zeros in front: what does not fit is shown as it is understood, to the nanosecond.
durations = st.builds(lambda sign, zeros, text: sign + zeros + text if text[:1].isdigit() else sign + text,
                      st.sampled_from(["", "", "", "+", "-"]), st.sampled_from(["", "", "0" * 50]), spelled)
SHOWN_MAX = 47


def shown(text):
    """(the part of the refusal, or None; how the interval reads back)"""
    ns, is_go = parse(text) if text else (0, False)
    if ns is None:
        return "is no duration", None
    if ns < 0:
        return "must not be negative", None
    if ns == 0:
        return None, ""
    if ns < DAY:
        return "greater or equal to 24h0m0s", None
    if ns > 2562047 * NS["h"]:
        return "at most 2562047h", None
    return None, text if is_go and len(text.encode()) <= SHOWN_MAX else short(ns)


def check_interval(api, sent, text):
    before = api.get("sys/rotate/config").expect(200).data["interval"]
    refusal, reads = shown(text)
    answer = api.post("sys/rotate/config", {"interval": sent}).expect(400 if refusal else 204)
    assert not refusal or refusal in answer.errors
    assert api.get("sys/rotate/config").expect(200).data["interval"] == (before if refusal else reads)


@examples(400)
@given(durations)
def test_interval_as_text(api, text):
    check_interval(api, text, text)


@examples(60)
@given(st.one_of(near.map(lambda n: n // 10**9), st.integers(-10, 200_000), st.integers(-(1 << 70), 1 << 70)))
def test_interval_as_number(api, number):
    check_interval(api, number, str(number))


def lease_of(ns, most_s):
    """Whole seconds, half ones up, at most so many; what is not there is the default."""
    return min(math.ceil(ns / 10**9) if abs(ns) < 10**15 else -(-ns // 10**9), most_s)


@examples(250)
@given(st.one_of(durations, near.map(lambda n: n // 10**9), st.integers(-3, 100_000)))
def test_ttl(api, ttl):
    ns = 0 if ttl == "" else parse(str(ttl))[0]
    answer = api.post("auth/token/create", {"policies": ["default"], "ttl": ttl}).expect(200, 400)
    if ns is None or ns < 0:
        answer.expect(400)
    else:
        assert answer.expect(200).body["auth"]["lease_duration"] == (lease_of(ns, 2562047 * 3600) or DEFAULT_S)


# Lifetimes

lengths = st.one_of(st.just(0), st.integers(600, 2 * MAX_S), st.sampled_from([DEFAULT_S, MAX_S - 1, MAX_S, MAX_S + 1]))
wishes = st.fixed_dictionaries({"renewable": st.booleans()}, optional={"ttl": lengths, "explicit_max_ttl": lengths, "period": lengths})


def wall_ns(text):
    """Of RFC 3339, to the nanosecond."""
    date, _, rest = text.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(date).replace(tzinfo=timezone.utc).timestamp()) * 10**9 + int(rest.ljust(9, "0"))


def life_of(wish):
    """(seconds to live at first, period, the seconds after which it ends for good or None) of a token that is asked for so."""
    period = min(wish.get("period", 0), MAX_S)
    explicit = wish.get("explicit_max_ttl", 0)
    ttl = min(period or wish.get("ttl", 0) or DEFAULT_S, MAX_S)
    ends = [n for n in (explicit, 0 if period else MAX_S) if n]
    return min(ttl, explicit or ttl), period, min(ends, default=None)


@examples(120)
@given(wishes, st.lists(lengths, max_size=3))
def test_lifetimes(strict, wish, increments):
    """Creating, then renewing; only what the clock does between two calls is left open, and that is measured."""
    auth = strict.post("auth/token/create", {"policies": ["default"], **wish}).expect(200).body["auth"]
    token = auth["client_token"]
    ttl, period, last = life_of(wish)
    found = strict.get("auth/token/lookup-self", token=token).expect(200).data
    issued = wall_ns(found["issue_time"])
    assert wall_ns(found["expire_time"]) - issued == ttl * 10**9
    assert (auth["lease_duration"], found["creation_ttl"], found["explicit_max_ttl"]) == (ttl, ttl, wish.get("explicit_max_ttl", 0))
    assert (found.get("period", 0), found["renewable"], auth["renewable"]) == (period, wish["renewable"], wish["renewable"])
    for increment in increments:
        early = time.time_ns()
        answer = strict.post("auth/token/renew-self", {"increment": increment}, token=token).expect(200 if wish["renewable"] else 400)
        late = time.time_ns()
        if not wish["renewable"]:
            assert "not renewable" in answer.errors
            continue
        wanted = period or increment or ttl
        ends = wall_ns(strict.get("auth/token/lookup-self", token=token).expect(200).data["expire_time"])
        end_of = [min(now + wanted * 10**9, issued + last * 10**9 if last else 1 << 80) for now in (early, late)]
        assert end_of[0] <= ends <= end_of[1]
        ttl = answer.body["auth"]["lease_duration"]
        assert (ends - late) // 10**9 <= ttl <= min(wanted, (ends - early) // 10**9)


@examples(20)
@given(st.integers(1, 6), st.data())
def test_uses(strict, uses, data):
    """So many requests and not one more, whatever they are and whether they are granted."""
    token = strict.new_token("default", num_uses=uses)
    kinds = [("GET", "auth/token/lookup-self", 200), ("POST", "auth/token/renew-self", 200), ("GET", "secret/forbidden", 403), ("GET", "sys/no-such", 403)]
    for left in range(uses, 0, -1):
        method, path, status = data.draw(st.sampled_from(kinds))
        answer = strict.request(method, path, token=token).expect(status)
        if path.endswith("lookup-self") and left > 1:
            assert answer.data["num_uses"] == left - 1
    for _ in range(2):
        strict.get("auth/token/lookup-self", token=token).expect(403)
    strict.post("auth/token/lookup", {"token": token}).expect(403)


# Paths

RAW = {byte for byte in range(0x21, 0x7F)} - set(b"#%?/")
ODD = ["a", "A", "b", "a b", "...", ".a", "a.", "..a", "*", "+", "%", "%2f", "%00", "..;", ";", "?", "#", "&", "=", ":", "@", "\\", '"', "<>", "^`{|}", "~", "ä", "a\u0308",
       "\u212a", "\uff0f", "\u202e", "\U0001f511", "\u00a0", " ", "list", "keys", "metadata", "0", "-"]
segments = st.one_of(st.sampled_from(["a", "a b", "a!"]), st.sampled_from(ODD), st.text(st.characters(min_codepoint=0x20, blacklist_characters="/\x7f", blacklist_categories=["Cs"]), min_size=1, max_size=6)).filter(
    lambda s: s not in (".", ".."))
places = st.lists(segments, min_size=1, max_size=3).map(tuple)
BAD = ["", ".", "..", "%2e", "%2E.", ".%2e", "a%2fb", "%2F", "%00", "%1f", "a%0a", "%7f", "%c0%af", "%ff", "%ed%a0%80", "%zz", "%", "%4", "a%"]
steps = st.lists(st.tuples(st.sampled_from(["POST"] * 6 + ["PUT", "GET", "GET", "DELETE", "LIST", "LIST", "bad"]), places, st.sampled_from([False] * 3 + [True])), min_size=4, max_size=24)
numbers = itertools.count()


def encoded(segment, dice):
    """Each byte as it is or escaped, in either case."""
    return "".join(chr(byte) if byte in RAW and dice.random() < 0.6 else dice.choice(("%{:02x}", "%{:02X}")).format(byte) for byte in segment.encode())


def below(model, folder):
    """The names in a folder, in the order of their bytes."""
    n = len(folder)
    return sorted({place[n] + ("/" if len(place) > n + 1 else "") for place in model if place[:n] == folder and len(place) > n}, key=str.encode)


def check_folder(api, root, model, folder=()):
    """It and all below are listed as the model has them."""
    names = below(model, folder)
    answer = api.list("/".join([root, *(encoded(s, random.Random(0)) for s in folder)])).expect(200 if names else 404)
    assert not names or answer.data["keys"] == names
    for name in names:
        if name.endswith("/"):
            check_folder(api, root, model, (*folder, name[:-1]))


@examples(120)
@given(steps, st.integers(0, 1 << 32))
def test_paths(api, steps, seed):
    """Written, read, deleted and listed: the store is a dictionary of places."""
    dice, model, root = random.Random(seed), {}, f"secret/paths-{next(numbers)}"
    for n, (what, place, slash) in enumerate(steps):
        parts = [encoded(segment, dice) for segment in place]
        if what == "bad":
            parts.insert(dice.randrange(len(parts)), dice.choice(BAD))
            for method in ("POST", "GET", "DELETE", "LIST"):
                api.request(method, "/".join([root, *parts]), {"n": n} if method == "POST" else None).expect(400)
            continue
        path = "/".join([root, *parts]) + ("/" if slash else "")
        if what in ("POST", "PUT"):
            api.request(what, path, {"n": n}).expect(400 if slash else 204)
            if not slash:
                model[place] = {"n": n}
        elif what == "GET":
            found = api.get(path).expect(404 if slash or place not in model else 200)
            assert found.status == 404 or found.data == model[place]
        elif what == "DELETE":
            api.delete(path).expect(204)
            if not slash:
                model.pop(place, None)
        else:
            found, names = api.list(path), below(model, place)
            assert found.expect(200 if names else 404).status == 404 or found.data["keys"] == names
    check_folder(api, root, model)


# Policies: HashiCorp Vault, "Policies", priority matching

CAPABILITIES = ["create", "delete", "list", "patch", "read", "sudo", "update"]
grants = st.one_of(st.lists(st.sampled_from(CAPABILITIES), max_size=3, unique=True), st.lists(st.sampled_from(CAPABILITIES), max_size=3, unique=True),
                   st.sampled_from([["deny"], ["deny", "read"]]))
words = st.sampled_from(["a", "b", "ab", "a+", "c"])
patterns = st.builds(lambda lead, parts, tail: lead + "/".join(parts) + tail, st.sampled_from(["", "", "", "/"]),
                     st.lists(st.one_of(words, words, st.just("+")), min_size=1, max_size=4), st.sampled_from(["", "", "", "/", "/*", "*"])).filter(
                         lambda p: not p.endswith("+*") and p not in ("", "/"))
# Many patterns of few places, so that several match.
BASES = [("a", "ab", "c", "b"), ("ab", "a", "abc")]


def masked(base, n, mask, tail):
    return "/".join("+" if hidden else part for part, hidden in zip(base[:n], mask)) + tail


met = st.builds(masked, st.sampled_from(BASES), st.integers(1, 4), st.lists(st.booleans(), min_size=4, max_size=4), st.sampled_from(["", "", "", "/", "/*"]))
rules = st.tuples(st.one_of(patterns, met, met, st.just("*")), grants)
texts = st.lists(st.lists(rules, max_size=8), min_size=1, max_size=3)
wanted_paths = st.lists(st.builds(lambda parts, tail: "/".join(parts) + tail, st.lists(words, min_size=1, max_size=5), st.sampled_from(["", "", "/"])), min_size=1, max_size=60, unique=True)


def matches(pattern, path):
    glob = pattern.endswith("*")
    body = "/".join("[^/]*" if part == "+" else re.escape(part) for part in pattern.removesuffix("*").split("/"))
    return re.fullmatch(body + (".*" if glob else ""), path) is not None


def is_plain(pattern):
    return not pattern.endswith("*") and "+" not in pattern.split("/")


def priority(pattern):
    """Higher comes first: the first wildcard late; no "*" at the end; few "+"; long; late in the alphabet."""
    parts = pattern.removesuffix("*").split("/")
    at = [len("/".join(parts[:i])) + (i > 0) for i, part in enumerate(parts) if part == "+"]
    if pattern.endswith("*"):
        at.append(len(pattern) - 1)
    return at[0], not pattern.endswith("*"), -parts.count("+"), len(pattern), pattern


def unite(policies):
    """{pattern: capabilities} of all stanzas; a deny silences the others of its pattern."""
    united = {}
    for pattern, granted in itertools.chain(*policies):
        united.setdefault(pattern.removeprefix("/"), set()).update(granted)
    return {pattern: {"deny"} if "deny" in granted else granted for pattern, granted in united.items()}


def rule_for(united, path):
    """The pattern that applies to this very spelling, or None."""
    if path in united and is_plain(path):
        return path
    return max((p for p in united if not is_plain(p) and matches(p, path)), key=priority, default=None)


def verdict(united, path):
    """A folder is met under both spellings; where the one without the slash is denied, that is what counts."""
    bare = path.removesuffix("/")
    pattern = rule_for(united, bare)
    if path != bare and (pattern is None or "deny" not in united[pattern]):
        exact = path if path in united else bare if bare in united and is_plain(bare) else None
        pattern = exact or rule_for(united, path) or pattern
    return sorted(united[pattern]) if pattern is not None and united[pattern] else ["deny"]


@pytest.fixture(scope="module")
def judged(api):
    """A token with three policies that the examples write."""
    for n in range(3):
        api.policy(f"judged-{n}", "# nothing")
    return api.new_token(*(f"judged-{n}" for n in range(3)), no_default_policy=True)


def texts_of(api, policies):
    for n in range(3):
        stanzas = policies[n] if n < len(policies) else []
        api.policy(f"judged-{n}", "# rules\n" + "".join(f"path {json.dumps(p)} {{ capabilities = {json.dumps(g)} }}\n" for p, g in stanzas))


@examples(150)
@given(texts, wanted_paths)
@example([[("+/a/+", ["read"]), ("+/+/abc", ["list"])]], ["ab/a/abc"])  # the longer one
@example([[("+/a/+", ["read"]), ("+/+/b", ["list"])]], ["b/a/b"])  # the later one in the alphabet
@example([[("a/b", ["read"]), ("a/*", ["list"])]], ["a/b/", "a/b"])  # a rule without the slash before a wider one with it
def test_capabilities(api, judged, policies, paths):
    texts_of(api, policies)
    united = unite(policies)
    # and where the patterns themselves point
    paths = [*paths, *("/".join(base[:n]) + tail for base in BASES for n in (1, 2, 3, 4) for tail in ("", "/")), *(p.replace("+", dummy).replace("*", tail) for p in united for dummy, tail in (("a", "b"), ("c", "/a")))]
    paths = [path for path in dict.fromkeys(paths) if path and "//" not in path]
    shown = api.post("sys/capabilities", {"token": judged, "paths": [*paths, "x"]}).expect(200).data
    del shown["x"]
    assert shown == {path: verdict(united, path.removeprefix("/")) for path in paths}


METHODS = {"GET": "read", "DELETE": "delete", "LIST": "list"}


@examples(60)
@given(texts, wanted_paths)
def test_what_is_done_follows_the_verdict(api, judged, policies, paths):
    """The gate does what sys/capabilities says, over kv.  A listing is one of the folder; anything else must be allowed without the slash too."""
    policies = [[("secret/" + pattern.removeprefix("/"), granted) for pattern, granted in stanzas] for stanzas in policies]
    texts_of(api, policies)
    united = unite(policies)
    for path in paths[:6]:
        for method, capability in METHODS.items():
            asked = "secret/" + path
            bare = asked.removesuffix("/")
            spellings = [bare + "/"] if method == "LIST" else [asked, bare]
            status = api.request(method, asked, token=judged).expect(200, 204, 403, 404).status
            assert (status != 403) == all(capability in verdict(united, each) for each in spellings), (method, asked)


# Values

texts_any = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
numbers_any = st.one_of(st.integers(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False).map(repr).map(lambda s: s.replace("e+", "e")),
                        st.sampled_from(["-0", "1E5", "1e-400", "1.0e+10", "0.10", "-0.0e-0", "123456789012345678901234567890.5"]))


class Number(str):
    """A number as it is written."""


leaves = st.one_of(st.none(), st.booleans(), numbers_any.map(str).map(Number), texts_any)
documents = st.dictionaries(texts_any, st.recursive(leaves, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts_any, inner, max_size=4)), max_leaves=20), min_size=1,
                            max_size=6)


def spelled_string(text, dice):
    short_forms = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    out = []
    for c in text:
        if c in short_forms and (dice.random() < 0.7 or c in '"\\'):
            out.append(short_forms[c])
        elif c < " " or dice.random() < 0.2:
            units = c.encode("utf-16-be")
            out += ["\\u" + dice.choice((str.lower, str.upper))(units[i:i + 2].hex()) for i in range(0, len(units), 2)]
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


def spelled_json(value, dice):
    """One of the many ways to write it: RFC 8259."""
    gap = lambda: dice.choice(("", "", " ", "\n", "\t", "\r\n  "))  # noqa: E731
    if isinstance(value, dict):
        items = [spelled_string(k, dice) + gap() + ":" + gap() + spelled_json(v, dice) for k, v in value.items()]
        text = "{" + gap() + (gap() + "," + gap()).join(items) + gap() + "}"
    elif isinstance(value, list):
        text = "[" + gap() + (gap() + "," + gap()).join(spelled_json(v, dice) for v in value) + gap() + "]"
    elif isinstance(value, Number):
        text = str(value)
    elif isinstance(value, str):
        text = spelled_string(value, dice)
    else:
        text = json.dumps(value)
    return text


@examples(200)
@given(documents, st.integers(0, 1 << 32))
def test_documents(api, document, seed):
    """However it is written: the same members in the same order, strings equal, numbers to the letter."""
    text = spelled_json(document, random.Random(seed)).encode()
    api.request("POST", "secret/document", raw=text).expect(204)
    found = json.loads(api.get("secret/document").expect(200).raw, parse_int=Number, parse_float=Number)["data"]
    assert repr(found) == repr(document)
