"""Errors of the disk are named; all others pass as they are."""

import errno
import os

import pytest

from ctrfast.errors import ConfigError, StorageError
from ctrfast.folders import new_file, new_folder
from ctrfast.storage import storing


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_disk_that_takes_no_more(number):
    sentence = rf"^The run r cannot be stored: {os.strerror(number)}\. Make room"
    with pytest.raises(StorageError, match=sentence), storing("The run r"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "denied"), ValueError("x")])
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, storing("The run r"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("number, kind", [(errno.ENOSPC, StorageError), (errno.EACCES, ConfigError)])
@pytest.mark.parametrize("new", [new_folder, new_file])
def test_a_place_that_cannot_be_made(tmp_path, monkeypatch, new, number, kind):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pathlib.Path.mkdir", fail)
    with pytest.raises(kind, match="cannot be written"), new(tmp_path / "sub" / "thing"):
        pass
