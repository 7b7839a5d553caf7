"""Text files in place of weights: pointers of version control, pages and errors of servers, model descriptions.

Sources: the specifications of Git LFS, git-annex and DVC; answers of the hubs' servers.
"""

import html
import re
from collections.abc import Mapping
from typing import Any

_AGAIN = "download the file again (the same address in a browser shows what the server wants)"
GIVE_WEIGHTS = "give the file of the weights"
_LONGEST_ANSWER = 4096  # bytes of a server's answer
_SHOWN = 80

_ERROR = re.compile(
    r"not[ _]?found|denied|forbidden|unauthori[sz]ed|not authori[sz]ed|error|expired|too many|rate limit|invalid"
    r"|moved|unavailable|gateway|quota|log ?in|sign ?in|redirect|no such|not exist|timed? ?out|gated|restricted"
    r"|\b[45]\d\d\b",
    re.IGNORECASE,
)
_POINTERS = (
    (r"version https?://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/", "a Git LFS pointer", "`git lfs pull`"),
    (r"# xet version ", "a Git Xet pointer", "`git xet checkout`"),
    (r"(?:\.\./)*(?:\.git)?/annex/objects/", "a git-annex pointer", "`git annex get`"),
    (r"(?:md5: |outs:\s*\n\s*- )[\s\S]*?(?:path|md5):", "a DVC pointer", "`dvc pull`"),
)
# (beginning of a text, its kind, what to do)
_TEXTS = (
    (r"\[InternetShortcut\]", "a link to a web page (.url)", "download the file that it links to"),
    (r"d\d+:announce|magnet:", "a torrent", "download the file that it names"),
    (r"model_checkpoint_path:", "TensorFlow's list of checkpoints", "give its folder, or one of those it names"),
    (r"#!.*python|import |from \w[\w.]* import ", "a Python program", GIVE_WEIGHTS),
    (r"[\[{]", "a JSON file", GIVE_WEIGHTS),
    (r"-----BEGIN ", "a file in PEM form", GIVE_WEIGHTS),
)


def text_in_words(head: bytes, size: int) -> str:
    """Return what a text file of `size` bytes that begins with `head` is, and what to do; "" for any other file."""
    text = _decoded(head)
    if not text.strip():
        return f"a file of {size:,} blanks; {_AGAIN}" if head and not head.strip() else ""
    text = text.lstrip()
    return _pointer(text) or _markup(text) or _plain(text, size)


def json_in_words(value: Any, size: int) -> str:
    """Return what a JSON file of `size` bytes is, and what to do; "" if unknown, or if it is an index of shards."""
    keys = set(value) if isinstance(value, Mapping) else set()
    if keys & {"weightsManifest", "modelTopology"}:
        return "a TensorFlow.js model; give the checkpoint that it was exported from"
    if keys >= {"class_name", "config"}:
        return f"Keras's description of a network, which holds no weights; {GIVE_WEIGHTS}"
    if keys & {"architectures", "model_type", "pretrained_cfg"}:
        return "a configuration (config.json), which holds no weights; give its folder or the file of the weights"
    if keys >= {"nodes", "arg_nodes"}:
        return "a network of MXNet, which holds no weights; its framework is not known here"
    if keys >= {"cells", "nbformat"}:
        return f"a Jupyter notebook; {GIVE_WEIGHTS}"
    said = next((value[key] for key in ("error", "message", "errors", "detail", "title") if key in keys), None)
    if said is not None and size <= _LONGEST_ANSWER:
        return f"an error of a server as JSON ({_quoted(str(said))}) in place of the file; {_AGAIN}"
    return ""


def _decoded(head: bytes) -> str:
    """Return `head` as text, "" if it is not text."""
    utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = head[:_LONGEST_ANSWER].decode("utf-16" if utf16 else "utf-8-sig", errors="replace")
    if len(head) > _LONGEST_ANSWER:
        text = text.removesuffix("\ufffd")  # a character that was cut in two
    return text if all(c.isprintable() or c.isspace() for c in text) and "\ufffd" not in text else ""


def _pointer(text: str) -> str:
    for pattern, name, command in _POINTERS:
        if re.match(pattern, text):
            said = re.search(r"^[\s-]*(?:oid )?((?:sha256|md5):? ?[0-9a-f]{8,64})$", text, re.MULTILINE)
            size = re.search(r"^\s*size:? (\d{1,18})$", text, re.MULTILINE)
            facts = [*([said[1]] if said else []), *([f"{int(size[1]):,} bytes"] if size else [])]
            about = f" ({', '.join(facts)})" if facts else ""
            return f"{name}{about} in place of the file; get the file by {command} in its repository"
    return ""


def _markup(text: str) -> str:
    if re.match(r"(?:<!--[\s\S]*?-->\s*)?<(?:!doctype html|html|head|body|script|title|meta)", text, re.IGNORECASE):
        title = _between(text, "title") or _between(text, "h1")
        return f"an HTML page{title} in place of the file, such as a login page or an error; {_AGAIN}"
    if not re.match(r"<\?xml|<[A-Za-z]+[\s>]", text):
        return ""
    if re.search(r"<net\s[^>]*version=", text):
        return "an OpenVINO model; give the checkpoint that it was exported from"
    if re.search(r"<(?:Error|Code|Message)>", text):
        said = _between(text, "Code") or _between(text, "Message")
        return f"an error of a server as XML{said} in place of the file; {_AGAIN}"
    return f"an XML file; {GIVE_WEIGHTS}, or download it again if it should be that"


def _between(text: str, tag: str) -> str:
    """Return the content of the first element `tag`, in parentheses; "" if there is none."""
    match = re.search(rf"<{tag}\b[^>]*>([^<]*)</{tag}>", text, re.IGNORECASE)
    words = " ".join(html.unescape(match[1]).split()) if match else ""
    return f" ({_quoted(words)})" if words else ""


def _plain(text: str, size: int) -> str:
    line = _quoted(text.splitlines()[0])
    for pattern, name, remedy in _TEXTS:
        if re.match(pattern, text):
            return f"{name}; {remedy}"
    if size <= _LONGEST_ANSWER and _ERROR.search(text[:400]):
        return f"a text file ({line}), perhaps an error of a server in place of the file; {_AGAIN}"
    return f"a text file, which begins {line}; {GIVE_WEIGHTS}"


def _quoted(words: str) -> str:
    words = "".join(c if c.isprintable() else " " for c in words)
    return repr(words if len(words) <= _SHOWN else words[: _SHOWN - 2] + " …")
