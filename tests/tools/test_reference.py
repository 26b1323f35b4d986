"""docs/api.md says what the tables of operations say, and the script that checks it does not pass over what it cannot read."""
import shutil
import subprocess

import pytest
from server import ROOT

KV = "src/engine/kv.c"
LAST = '    {"kv-list", VERB_LIST, "*", OP_READ, 0, list_op, NULL},\n'


def reference(root, *options):
    return subprocess.run([ROOT / "tools" / "reference", *options, root], capture_output=True, text=True, check=False)


@pytest.fixture
def copy(folder):
    shutil.copytree(ROOT / "src", folder / "tree" / "src")
    shutil.copytree(ROOT / "docs", folder / "tree" / "docs")
    return folder / "tree"


def plant(copy, entry):
    file = copy / KV
    text = file.read_text()
    assert LAST in text
    file.write_text(text.replace(LAST, LAST + entry))


def test_the_page_is_what_the_sources_say():
    done = reference(ROOT, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_operation_makes_the_page_stale_and_write_mends_it(copy):
    plant(copy, '    {"kv-scan", VERB_SCAN, "a/*",\n     OP_WRITE, /* not "b" */ OP_SUDO | OP_NO_AUDIT, scan_op, NULL},\n')
    done = reference(copy, "--check")
    assert done.returncode == 1 and "tools/reference --write" in done.stdout
    assert reference(copy, "--write").returncode == 0
    assert reference(copy, "--check").returncode == 0
    page = (copy / "docs/api.md").read_text()
    assert "| `SCAN` | `MOUNT/a/*` | kv-scan | scan and sudo | yes | never | unsealed | not audited | writer |\n" in page


@pytest.mark.parametrize("rest", ["op, NULL, NULL, &kind", "op, NULL, .stream = &kind", "op, exists_op, prepare_op, &kind", "op, NULL, .prepare = prepare_op, .stream = &kind"])
def test_a_stream_is_one_of_the_forms(copy, rest):
    plant(copy, f'    {{"kv-move", VERB_WRITE, "move-stream/:to", OP_STREAM, 0, {rest}}},\n')
    assert reference(copy, "--write").returncode == 0
    assert "move-stream/:to` | kv-move |" in (copy / "docs/api.md").read_text()
    assert "| loop, as a stream |\n" in (copy / "docs/api.md").read_text()


@pytest.mark.parametrize("entry", ['"kv-move", VERB_WRITE, "a", OP_STREAM, 0, op, NULL', '"kv-move", VERB_READ, "a", OP_STREAM, 0, op, NULL, .stream = &kind',
                                   '"kv-move", VERB_WRITE, "a", OP_WRITE, 0, op, NULL, .stream = &kind'])
def test_a_stream_without_its_kind_is_no_operation(copy, entry):
    plant(copy, f"    {{{entry}}},\n")
    done = reference(copy, "--write")
    assert done.returncode == 1 and "kv-move" in done.stderr


def test_a_hand_made_change_in_the_tables_is_noticed(copy):
    page = copy / "docs/api.md"
    text = page.read_text()
    assert "update and sudo" in text
    page.write_text(text.replace("update and sudo", "update", 1))
    assert reference(copy, "--check").returncode == 1


def test_text_around_the_tables_is_free(copy):
    page = copy / "docs/api.md"
    page.write_text("Something.\n" + page.read_text() + "More.\n")
    assert reference(copy, "--check").returncode == 0
    assert reference(copy, "--write").returncode == 0
    assert page.read_text().startswith("Something.\n") and page.read_text().endswith("More.\n")


def test_a_page_without_marks_is_refused(copy):
    page = copy / "docs/api.md"
    page.write_text("no marks\n")
    for mode in ("--check", "--write"):
        done = reference(copy, mode)
        assert done.returncode == 1 and "marks" in done.stderr
    assert page.read_text() == "no marks\n"


UNCLEAR = {
    "unknown flag": '    {"kv-x", VERB_READ, "x", OP_READ, OP_NEW, read_op, NULL},\n',
    "unknown verb": '    {"kv-x", VERB_NEW, "x", OP_READ, 0, read_op, NULL},\n',
    "unknown kind": '    {"kv-x", VERB_READ, "x", OP_NEW, 0, read_op, NULL},\n',
    "other form": '    {.name = "kv-x", .verb = VERB_READ},\n',
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_it_cannot_read_is_an_error(copy, name):
    plant(copy, UNCLEAR[name])
    done = reference(copy, "--check")
    assert done.returncode == 1
    assert KV in done.stderr


def test_a_table_that_it_does_not_name_is_an_error(copy):
    (copy / "src/engine/planted.c").write_text("static const struct operation planted[] = {\n};\n")
    done = reference(copy, "--check")
    assert done.returncode == 1
    assert "planted.c" in done.stderr


def test_a_source_without_its_table_is_an_error(copy):
    (copy / KV).write_text("int x;\n")
    assert reference(copy, "--check").returncode == 1


def test_what_a_session_needs_is_told():
    page = (ROOT / "docs/api.md").read_text()
    assert "| `DELETE` | `MOUNT/vaults/:vault` | vault-delete | delete | yes | capability write, level admin | unsealed | delete | writer |\n" in page
    assert "| `POST` | `vault/:vaultid/member/:userid` | `storedsafe/vaults/:vaultid/members/:userid` | VaultmembersHandler | 200 | needed |\n" in page


def test_a_route_that_it_cannot_read_is_an_error(copy):
    file = copy / "src/api/storedsafe_route.c"
    text = file.read_text()
    first = '    {HTTP_POST, "auth",'
    assert first in text
    file.write_text(text.replace(first, '    {.method = HTTP_GET},\n' + first))
    done = reference(copy)
    assert done.returncode == 1 and "another form" in done.stderr
