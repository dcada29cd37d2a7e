"""Zip archives of logs: nothing is unpacked to disk, names and sizes are checked before anything is read.

Zstandard members (method 93), which Inspect writes since 2025 and Python's `zipfile` reads only from 3.14 on, are read
through PyArrow.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType

from bayeskit.errors import DataError

_ZSTANDARD = 93
_MOST_MEMBERS = 2_000_000
_MOST_BYTES = 1 << 30  # of one member, unpacked


class Archive:
    """The members of a zip file by name.

    Parameters
    ----------
    path
        The file.
    shown
        Its name in messages.

    Raises
    ------
    DataError
        If it is no whole zip, holds a name that leaves the archive, a link or an encrypted member, or is too large.
    """

    def __init__(self, path: Path, shown: str) -> None:
        self._shown, self._path = shown, path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise self._fault(
                f"is not a whole zip archive ({error})",
                "an .eval log is a zip archive, whose list of members stands at its end.",
                "copy the file again; if the run was killed, run it again.",
            ) from None
        try:
            self._check(self._zip.infolist())
        except DataError:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._zip.close()

    @property
    def names(self) -> list[str]:
        """Names of the members, in the order of the archive."""
        return self._zip.namelist()

    def read(self, name: str) -> bytes:
        """Return a member's content.

        Raises
        ------
        DataError
            If it is damaged, compressed in an unknown way, or larger than it says.
        """
        member = self._zip.getinfo(name)
        try:
            data = self._raw(member) if member.compress_type == _ZSTANDARD else self._plain(member)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError) as error:
            kind = "is compressed in a way that is not known" if isinstance(error, NotImplementedError) else "is damaged"
            raise self._fault(
                f"holds a member {name!r} that {kind}",
                "a member can be unpacked.",
                "copy the file again from where it was written.",
            ) from None
        if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
            raise self._fault(
                f"holds a member {name!r} that is damaged",
                "a member has the size and the checksum that the archive states.",
                "copy the file again from where it was written.",
            )
        return data

    def _plain(self, member: zipfile.ZipInfo) -> bytes:
        with self._zip.open(member) as stream:
            return stream.read(member.file_size + 1)

    def _raw(self, member: zipfile.ZipInfo) -> bytes:
        """Unpack Zstandard frames, one after another, up to one byte more than the member should have."""
        import pyarrow as pa

        with self._path.open("rb") as file:
            file.seek(member.header_offset)
            head = file.read(30)  # the local header, whose name and extra field may differ from the list at the end
            if len(head) < 30 or head[:4] != b"PK\x03\x04":
                raise zipfile.BadZipFile("no local header")
            file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
            packed = file.read(member.compress_size)
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            return bytes(stream.read(member.file_size + 1))

    def _check(self, members: Sequence[zipfile.ZipInfo]) -> None:
        for member in members[:_MOST_MEMBERS]:
            name = member.orig_filename
            parts = PurePosixPath(name).parts
            outside = not parts or parts[0] == "/" or ":" in parts[0] or ".." in parts or not {"\\", "\0"}.isdisjoint(name)
            if outside or stat.S_ISLNK(member.external_attr >> 16):
                what = "a link" if not outside else "a name that leads out of the archive"
                raise self._fault(
                    f"holds {what}: {name!r:.80}",
                    "the names of an archive's members are relative and stay inside it.",
                    "do not trust this file: get the log from its source, or write it again with Inspect.",
                )
            if member.flag_bits & 1:
                raise self._fault(f"holds an encrypted member {name!r:.80}", "a log is not encrypted.", "decrypt it first.")
            if member.file_size > _MOST_BYTES:
                raise self._fault(
                    f"holds a member of {member.file_size:,} bytes: {name!r:.80}",
                    f"a member unpacks to at most {_MOST_BYTES:,} bytes.",
                    "check that the file is a log; if it is, split the run into several.",
                )
        if len(members) > _MOST_MEMBERS:
            raise self._fault(f"holds {len(members):,} members", f"at most {_MOST_MEMBERS:,} are read.", "split the run.")

    def _fault(self, problem: str, rule: str, fix: str) -> DataError:
        return DataError(f"File {self._shown!r} {problem}.", rule=rule, fix=fix)
