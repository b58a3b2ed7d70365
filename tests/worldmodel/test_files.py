"""Files beside other processes: what is read is regular, what is written is whole, and nobody's work is lost."""

import errno
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from worldmodel.system import files
from worldmodel.system.digest import with_checksum, without_checksum
from worldmodel.system.errors import UserError
from worldmodel.system.files import read_json, remove_leftovers, write_atomically, write_json, write_new


def leave(path: Path, ended: bool) -> Path:
    """A temporary file as a process leaves it that was killed while it wrote, or is still at it."""
    context = multiprocessing.get_context("fork")
    wrote = context.Event()

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        wrote.set()
        if ended:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)

    process = context.Process(target=write_atomically, args=(path, write), daemon=True)
    process.start()
    assert wrote.wait(30)
    if ended:
        process.join()
    (left,) = path.parent.glob(".*.tmp")
    return left


def test_what_a_killed_process_left_is_removed(tmp_path: Path):
    left = leave(tmp_path / "file [1]", ended=True)
    remove_leftovers(tmp_path / "another")
    assert left.exists()
    remove_leftovers(tmp_path / "file [1]")
    assert not left.exists()


def test_what_a_living_process_writes_is_not_removed(tmp_path: Path):
    left = leave(tmp_path / "file", ended=False)
    os.utime(left, (0, 0))
    remove_leftovers(tmp_path / "file")
    assert left.exists()


@pytest.mark.parametrize("name", [".file.0123456789ab-77-cafe.tmp", ".file.12345.tmp"], ids=["machine", "version"])
def test_of_another_machine_only_what_is_old_is_removed(tmp_path: Path, name: str):
    left = tmp_path / name
    left.touch()
    remove_leftovers(tmp_path / "file")
    assert left.exists()
    os.utime(left, (0, time.time() - files.ABANDONED_S - 60))
    remove_leftovers(tmp_path / "file")
    assert not left.exists()


def test_a_new_file_is_new_on_file_systems_without_hard_links_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    write_new(tmp_path / "file", lambda path: path.write_text("first"))
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "file", lambda path: path.write_text("second"))
    assert (tmp_path / "file").read_text() == "first" and len(list(tmp_path.iterdir())) == 1


def test_what_stands_is_kept_where_it_turns_out_to_be_better(tmp_path: Path):
    path = tmp_path / "file"

    def write(temporary: Path) -> None:
        temporary.write_text("mine")
        path.write_text("another's")  # was faster

    write_atomically(path, write, unless=path.exists)
    assert path.read_text() == "another's" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_even_where_another_error_hides_it(tmp_path: Path):
    def write(temporary: Path) -> None:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            raise RuntimeError("cannot close")

    with pytest.raises(UserError, match=r"^no space left on the disk of .*free some space and run again$"):
        write_atomically(tmp_path / "file", write)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": -Infinity}', "no JSON number"),
        ("[1]", "a JSON object was expected, not list"),
        ("{", "Expecting"),
        ('{"a": ' + "[" * 10**5 + "]" * 10**5 + "}", "nested too deep"),
        ('{"a": "' + "x" * files.MAX_JSON_BYTES + '"}', "are read"),
    ],
)
def test_json_of_a_stranger_is_refused_in_one_line(tmp_path: Path, text: str, told: str):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=told):
        read_json(path)


def test_a_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path):
    os.mkfifo(tmp_path / "file.json")
    with pytest.raises(UserError, match="is a named pipe; a regular file is expected"):
        read_json(tmp_path / "file.json")


def test_json_carries_a_checksum_of_its_content_and_not_of_its_layout(tmp_path: Path):
    content = {"b": [1, 2.5, None], "a": {"c": "é"}}
    write_json(tmp_path / "file.json", with_checksum(content))
    assert without_checksum(read_json(tmp_path / "file.json")) == (content, True)
    turned = json.dumps(dict(reversed(with_checksum(content).items())))
    assert without_checksum(json.loads(turned)) == (content, True)
    assert without_checksum(content) == (content, False)
    with pytest.raises(ValueError, match="the checksum differs"):
        without_checksum({**with_checksum(content), "b": [1, 2.5]})
