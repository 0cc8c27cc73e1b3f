"""A replication daemon and the log-structured store inside it.

>>> import replicad
>>> with replicad.open("/var/lib/example") as db:        # doctest: +SKIP
...     db.put(b"key", b"value")
...     db.get(b"key")
b'value'

The names are in `replicad.library`, which is loaded when the first of them is used: the program begins in
this package too, and must be able to catch a Ctrl-C while the rest is loaded.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from replicad.library import *  # noqa: F403

    __version__: str

if not TYPE_CHECKING:

    def __getattr__(name):
        """A module of the package, or a public name."""
        from importlib import import_module

        if name == "__version__":
            return import_module("replicad.version").VERSION
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module 'replicad' has no attribute {name!r}")
        try:
            value = import_module(f"replicad.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"replicad.{name}":
                raise
            library = import_module("replicad.library")
            if name not in ("__all__", *library.__all__):
                raise AttributeError(f"module 'replicad' has no attribute {name!r}") from None
            value = ["__version__", *library.__all__] if name == "__all__" else getattr(library, name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__getattr__("__all__")})
