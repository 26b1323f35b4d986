"""The rules that scripts keep: layers, headers alone.  Each script is shown to refuse what it forbids."""
import shutil
import subprocess

import pytest
from server import ROOT


def tool(name, root):
    return subprocess.run([ROOT / "tools" / name, root], capture_output=True, text=True, check=False)


def test_layers_of_this_tree():
    done = tool("layers", ROOT)
    assert done.returncode == 0, done.stdout


def test_headers_of_this_tree():
    done = tool("headers", ROOT)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def copy(folder):
    shutil.copytree(ROOT / "src", folder / "tree" / "src")
    return folder / "tree"


PLANTED = {
    "upward": ("base/planted.c", '#include "barrier/keyring.h"\n', 'may not include "barrier/keyring.h"'),
    "keyring in core": ("core/planted.c", '#include "barrier/keyring.h"\n', 'may not include "barrier/keyring.h"'),
    "txn in engine": ("engine/planted.c", '#include "barrier/txn.h"\n', 'may not include "barrier/txn.h"'),
    "engine in api": ("api/planted.c", '#include "engine/engine.h"\n', 'may not include "engine/engine.h"'),
    "core in http": ("http/planted.h", '#include "core/request.h"\n', 'may not include "core/request.h"'),
    "cli in server": ("keyturnd.c", '#include "cli/client.h"\n', 'may not include "cli/client.h"'),
    "core in config": ("config.c", '#include "core/audit.h"\n', 'may not include "core/audit.h"'),
    "unknown place": ("misc/planted.c", "int x;\n", "does not know"),
    "lmdb elsewhere": ("barrier/planted.c", "#include <lmdb.h>\n", "may not include <lmdb.h>"),
    "openssl in http": ("http/server.c", "#include <openssl/ssl.h>\n", "may not include <openssl/ssl.h>"),
    "new library": ("base/planted.c", "#include <glib.h>\n", "has no owner"),
    "strcpy": ("base/planted.c", "void f(char *a)\n{\n\tstrcpy(a, a);\n}\n", "banned function"),
    "sprintf": ("base/planted.c", "void f(char *a)\n{\n\tsprintf (a, a);\n}\n", "banned function"),
    "line comment": ("base/planted.c", "int x; // no\n", "comment"),
    "if in body": ("base/planted.c", "void f(void)\n{\n#ifdef X\n#endif\n}\n", "#if inside"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_layers_refuses(copy, name):
    path, text, complaint = PLANTED[name]
    file = copy / "src" / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    done = tool("layers", copy)
    assert done.returncode == 1
    assert complaint in done.stdout


def test_layers_lets_good_code_pass(copy):
    (copy / "src/base/planted.c").write_text(
        '#include "base/bytes.h"\n#include <string.h>\n#ifdef X\n#endif\n'
        'static const char url[] = "http://x"; /* strcpy( in a comment */\nvoid my_strcpy(void);\n')
    assert tool("layers", copy).returncode == 0


def test_an_empty_tree_is_no_success(folder):
    (folder / "src").mkdir()
    assert tool("layers", folder).returncode == 1
    assert tool("headers", folder).returncode == 1


def test_headers_refuses_one_that_leans_on_another(copy):
    (copy / "src/base/planted.h").write_text("struct span planted(void);\nstruct bad { struct unknown x; };\n")
    done = tool("headers", copy)
    assert done.returncode == 1
    assert "base/planted.h with gcc" in done.stdout and "base/planted.h with clang-14" in done.stdout
