"""The folder of compiled kernels: ours alone, one for each state of the sources."""

import os
import sys

import pytest

from knerve.gpu import kernel_cache


def test_the_folder_lies_in_the_users_cache_and_is_private(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = kernel_cache.kernel_folder()
    assert folder.parent == tmp_path / "knerve"
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel_cache.tempfile, "gettempdir", lambda: str(tmp_path / "temp"))
    first = kernel_cache.kernel_folder()
    first.chmod(0o777)
    second = kernel_cache.kernel_folder()
    assert second.parent == tmp_path / "temp" / f"knerve-{os.getuid()}"
    second.chmod(0o777)
    assert kernel_cache.kernel_folder() is None
