"""JSON text read piece by piece, so that a file need not fit in memory, with the line of every fault."""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from bayeskit.errors import DataError

_CHUNK = 1 << 18  # bytes read at first; doubled while one value is not complete
_MOST = 1 << 29  # characters of one value, beyond which a file is taken for broken
_BLANK = " \t\r\n"


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading, through gzip where its name ends in ``.gz``."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


class JsonStream:
    """A cursor over JSON text.

    Parameters
    ----------
    stream
        Bytes of UTF-8 text, with or without a byte order mark.
    shown
        The file's name in messages.
    """

    def __init__(self, stream: BinaryIO, shown: str) -> None:
        self._stream, self._shown = stream, shown
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at, self._line, self._end, self._chunk = "", 0, 1, False, _CHUNK

    def peek(self) -> str:
        """Return the next character that is not blank, or ``""`` at the end of the file."""
        while True:
            text, n = self._text, len(self._text)
            while self._at < n and text[self._at] in _BLANK:
                self._at += 1
            if self._at < n:
                return text[self._at]
            if not self._more():
                return ""

    def take(self, mark: str) -> None:
        """Go past a character that must be next."""
        if self.peek() != mark:
            self.fail(f"{mark!r} is missing")
        self._at += 1

    def value(self) -> Any:
        """Read one whole value."""
        self.peek()
        self._drop()
        while True:
            try:
                found, end = self._scan(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._more():
                    continue
                self._at = min(error.pos, len(self._text))
                self.fail("the text ends in the middle of a value" if error.pos >= len(self._text) - 1 else error.msg)
            except RecursionError:
                self.fail("values are nested too deeply")
            except ValueError:  # Python refuses whole numbers of more than 4300 digits
                self.fail("a number has thousands of digits")
            # "1" may go on as "1.5" or "1e+5": only with three more characters at hand is its end known.
            if len(self._text) - end < 3 and self._more():
                continue
            self._at, self._chunk = end, _CHUNK
            return found

    def members(self) -> Iterator[str]:
        """Keys of the object that is next; read or skip the value before going on."""
        self.take("{")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                self.fail("a key is not text")
            self.take(":")
            yield key
            if self._ends("}"):
                return

    def elements(self) -> Iterator[Any]:
        """Elements of the array that is next, one by one."""
        self.take("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self._ends("]"):
                return

    @property
    def line(self) -> int:
        """Line of the cursor, from 1."""
        return self._line + self._text.count("\n", 0, self._at)

    def fail(self, problem: str) -> Any:
        """Raise a fault at the cursor."""
        raise broken(self._shown, self.line, problem)

    def odd(self, problem: str) -> Any:
        """Raise the fault of JSON that is not what the format has there."""
        raise DataError(
            f"File {self._shown!r}, line {self.line}: {problem}.",
            rule="a log has the fields that its harness writes.",
            fix="check which tool and version wrote the file; read the scores from a table if it is another one.",
        )

    def _ends(self, mark: str) -> bool:
        found = self.peek()
        if found not in (",", mark) or not found:
            self.fail("the text ends too early" if not found else f"',' or {mark!r} is missing")
        self._at += 1
        return found == mark

    def _drop(self) -> None:
        self._line += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :], 0

    def _more(self) -> bool:
        if self._end:
            return False
        if len(self._text) - self._at > _MOST:
            self.fail(f"one value is longer than {_MOST >> 20} million characters")
        try:
            data = self._stream.read(self._chunk)
            self._text += self._decode.decode(data, final=not data)
        except UnicodeDecodeError as error:
            self._line += self._text.count("\n") + data[: error.start].count(b"\n")
            self._text, self._at = "", 0
            raise not_utf8(self._shown, self._line) from None
        except (OSError, EOFError) as error:
            raise unreadable(self._shown, error) from None
        self._end = not data
        self._chunk = min(2 * self._chunk, 1 << 26)
        return bool(data)


def first_broken_line(path: Path, shown: str) -> DataError | None:
    """Return the fault of the first line of a JSON Lines file that is no JSON, or None."""
    with open_binary(path) as stream:
        for number, raw in enumerate(stream, 1):
            try:
                if raw.strip():
                    json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError:
                return not_utf8(shown, number)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(error.doc.rstrip()) - 1 or "Unterminated" in error.msg
                return broken(shown, number, "the text ends in the middle of a value" if cut else error.msg)
            except RecursionError:
                return broken(shown, number, "values are nested too deeply")
            except ValueError:
                return broken(shown, number, "a number has thousands of digits")
    return None


def broken(shown: str, line: int, problem: str) -> DataError:
    """Return the fault of text that is no JSON."""
    return DataError(
        f"File {shown!r}, line {line}: {problem}.",
        rule="a log is whole JSON.",
        fix="copy the file again from where it was written; if the run was cut off there, remove the line or run it again.",
    )


def not_utf8(shown: str, line: int) -> DataError:
    """Return the fault of bytes that are no UTF-8."""
    return DataError(
        f"File {shown!r}, line {line}: the bytes are not UTF-8.",
        rule="JSON is UTF-8 text.",
        fix="write the file again as UTF-8, for example with 'iconv -t UTF-8'.",
    )


def unreadable(shown: str, error: Exception) -> DataError:
    """Return the fault of a file that the system does not let us read."""
    return DataError(
        f"File {shown!r} cannot be read: {type(error).__name__}.",
        rule="a log is a whole file that may be read.",
        fix="check its permissions, and copy it again if it was cut off.",
    )
