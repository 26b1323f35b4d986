"""What the papers say of the code: commands and flags, metrics, modules, files."""
import re
import subprocess

import pytest
from server import BUILD, ROOT

# Folders of src with a design of their own.
DESIGNED = ["api", "barrier", "core", "crypto", "engine", "http", "seal", "storage"]

PAPERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))


def told(*arguments):
    return subprocess.run([BUILD / "keyturn", *arguments], capture_output=True, text=True, check=True).stdout


def manual(name):
    """A manual page's words, with its macros and fonts taken away."""
    text = re.sub(r"^\.(?:It )?|\b(?:Cm|Fl|Ar|Ns|Op|Nm)\b", "", (ROOT / "docs" / "man" / name).read_text(), flags=re.M)
    return " ".join(text.split())


def commands():
    return re.findall(r"^    ([a-z]+(?: [a-z-]+){0,2})  ", told("-h"), re.M)


def test_there_are_commands():
    assert {"server", "operator rotate", "kv get"} <= set(commands())


def test_the_manual_has_every_command():
    page = manual("keyturn.1")
    assert [command for command in commands() if command not in page] == []


def test_the_manual_has_every_common_flag():
    flags = re.findall(r"^    -([a-z-]+)", told("status", "-h").split("Flags of every command:")[1], re.M)
    text = (ROOT / "docs/man/keyturn.1").read_text()
    assert len(flags) > 3
    assert [flag for flag in flags if f".It Fl {flag}" not in text] == []


def test_the_manual_has_every_flag_of_the_server():
    flags = set(re.findall(r"-((?:config|dev|log)[a-z-]*)", told("server", "-h")))
    text = (ROOT / "docs/man/keyturnd.8").read_text()
    assert {"config", "dev-tls-cert-dir"} <= flags
    assert [flag for flag in flags if not re.search(rf"^\.It Fl {flag}\b(?!-)", text, re.M)] == []


def test_every_metric_is_in_the_operations_paper():
    names = {name for file in (ROOT / "src").rglob("*.c") for name in re.findall(r'"(keyturn_[a-z_]+)"', file.read_text())
             if not file.match("cli/*") and not file.match("base/*")}
    paper = (ROOT / "docs/operations.md").read_text()
    assert len(names) > 10
    assert sorted(name for name in names if f"`{name}`" not in paper) == []


def test_every_module_is_in_the_architecture():
    """A file NAME_VERB.c belongs to NAME; cli is told as a whole."""
    layout = (ROOT / "docs/architecture.md").read_text().split("## Layout")[1].split("## Who may include whom")[0]
    named = set(re.findall(r"[a-z0-9_]+", layout))
    missing = [file.relative_to(ROOT) for file in sorted((ROOT / "src").rglob("*.c"))
               if not {file.stem, file.stem.split("_")[0]} & named and file.parent.name != "cli"]
    assert missing == []


@pytest.mark.parametrize("folder", DESIGNED)
def test_a_folder_with_a_design_says_its_goals(folder):
    text = (ROOT / "src" / folder / "DESIGN.md").read_text()
    assert "## Goals\n" in text and "## Not goals\n" in text


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_files_that_a_paper_names_are_there(paper):
    named = set(re.findall(r"`((?:docs|src|tests|tools|bench)/[\w./-]*\w)`", paper.read_text()))
    named |= {f"docs/{name}" for name in re.findall(r"`([a-z-]+\.md)`", paper.read_text()) if paper.parent.name == "docs"}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_changelog_has_this_version():
    version = re.search(r"version: '([\d.]+)'", (ROOT / "meson.build").read_text())[1]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.M)
