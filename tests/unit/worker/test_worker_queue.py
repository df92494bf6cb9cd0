"""What keeps two processes from serving one data folder."""

from __future__ import annotations

from pathlib import Path

from worker.queue import FolderLock


def test_a_folder_is_one_process_s_at_a_time(tmp_path: Path) -> None:
    """Whoever is second does without, and has it when the first lets go."""
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    assert (True, False) == (first.taken, second.taken)
    first.release()
    assert FolderLock(tmp_path).taken
