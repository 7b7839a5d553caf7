"""Refused names in a pickle: names that only an attack needs, and names of other programs than torch.save.

Every name is inert, so none of these can do harm here. They are refused because no checkpoint needs them, and because
the next program that reads the file may be less careful. The list is not complete, and need not be.
"""

from effconvert.formats.torch.tensors import PickleError

_LONGEST = 200

# Modules that run programs or code, or access files, sockets and memory, with everything in them.
_MODULES = frozenset(
    """os posix nt subprocess sys importlib imp runpy pickle _pickle cPickle marshal ctypes _ctypes socket _socket ssl
    shutil webbrowser pty commands popen2 code codeop pdb bdb profile cProfile timeit trace doctest pydoc venv ensurepip
    pip idlelib lib2to3 asyncio smtplib ftplib telnetlib xmlrpc zipimport
    torch.hub torch.utils.collect_env torch.utils.cpp_extension torch.utils.model_zoo torch.utils.bottleneck
    torch.utils._config_module torch.jit.unsupported_tensor_ops torch._inductor.codecache numpy.testing
    urllib.request urllib2 http.client requests""".split()
)
_CODE = "eval exec execfile compile __import__ open input raw_input breakpoint apply reload globals locals vars".split()
_NAMES = frozenset(
    [
        *((module, name) for module in ("builtins", "__builtin__") for name in _CODE),
        *((module, name) for module in ("io", "_io") for name in ("open", "open_code", "FileIO")),
        *((module, name) for module in ("operator", "_operator") for name in ("attrgetter", "methodcaller")),
        *(("types", name) for name in ("CodeType", "FunctionType")),
        *((module, "load") for module in ("torch", "torch.serialization", "torch.jit", "numpy", "joblib", "dill")),
        ("codecs", "open"),
        ("pkgutil", "resolve_name"),
        ("uuid", "_popen"),
        ("uuid", "_get_command_stdout"),
    ]
)
_HARMLESS = frozenset([("os", "PathLike")])  # for type hints
_INSIDE = frozenset("os posix nt sys subprocess builtins importlib socket shutil ctypes pickle".split())

_OTHERS = {
    ("torch.storage", "_load_from_bytes"): (
        "pickle.dump wrote its tensors, each as a file inside the file; "
        "load it with pickle.load where it was made, and torch.save it"
    ),
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): (
        "joblib.dump wrote it; load it with joblib.load where it was made, and torch.save the arrays"
    ),
}


def check_global(module: str, name: str) -> str:
    """Return `module.name`. Raises PickleError if it is not a name, or if it is refused."""
    if not module or not name:
        raise PickleError("asks for a global without a name")
    asked = f"{module}.{name}"
    shown = ascii(asked[:_LONGEST])[1:-1]
    if (module, name) in _OTHERS:
        raise PickleError(f"asks for {shown}: {_OTHERS[module, name]}")
    if len(asked) > _LONGEST or not asked.isprintable():
        raise PickleError(f"asks for {shown}, which is not the name of a class or function")
    if _is_refused(module, name):
        raise PickleError(
            f"asks for {shown}; only tensors are read, no code is run (no checkpoint needs that: it may be an attack)"
        )
    return asked


def _is_refused(module: str, name: str) -> bool:
    if (module, name) in _HARMLESS:
        return False
    parts = module.split(".")
    if any(".".join(parts[:count]) in _MODULES for count in range(1, len(parts) + 1)):
        return True
    # A name with dots goes from attribute to attribute: to the module of a module, to the globals of a function.
    inner = name.split(".")
    hidden = len(inner) > 1 and any(part.startswith("__") and part.endswith("__") for part in inner)
    return (module, inner[0]) in _NAMES or hidden or not _INSIDE.isdisjoint(inner)
