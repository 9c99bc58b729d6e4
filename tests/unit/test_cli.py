"""What the command line makes of errors."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from cropflow import cli
from cropflow.files import verify


@pytest.fixture
def fail(tmp_path, monkeypatch, capsys):
    """Let ``cropflow verify`` fail with an error of the system; the exit code and what is said."""

    def run(number):
        def broken(folder):
            raise OSError(number, os.strerror(number), str(folder))

        monkeypatch.setattr(verify, "verify", broken)
        monkeypatch.setattr(sys, "argv", ["cropflow", "verify", str(tmp_path)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return done.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize("number", sorted(cli.DISK))
def test_a_full_or_closed_disk_is_one_line_that_names_the_place(fail, number, tmp_path):
    code, text = fail(number)
    assert code == 2
    assert text == f"Error: {tmp_path}: {os.strerror(number)}. {cli.DISK[number]}\n"


def test_any_other_error_of_the_system_is_a_bug(fail):
    with pytest.raises(OSError, match="Bad file descriptor"):
        fail(errno.EBADF)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("models", "list", "--outputs", "0"), "'--outputs': Input should be greater than or equal to 1. See --help."),
        (("models", "show"), "Missing argument 'name'. See --help."),
        (("models", "trian"), "No such command 'trian'. Did you mean 'train'? See --help."),
    ],
)
def test_a_wrong_option_is_one_line_that_names_it(arguments, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cropflow", *arguments])
    with pytest.raises(SystemExit) as done:
        cli.main()
    error = capsys.readouterr().err
    assert done.value.code == 2
    assert error.startswith("Error: ") and error.endswith(f"{told}\n") and error.count("\n") == 1
