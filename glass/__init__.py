"""Physics on arrays: energies, minima, features, paths, tunnelling, sampling. Units are σ, ε and m throughout."""

import os
import sys
import tempfile
from pathlib import Path


def _keep_compiled_functions() -> None:
    """Have Numba keep what it compiles in a temporary folder of the user's, where neither code nor home is writable."""
    own = Path(__file__).parent / "__pycache__"
    users = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "numba"
    there = [next(one for one in (path, *path.parents) if one.exists()) for path in (own, users)]
    if "NUMBA_CACHE_DIR" in os.environ or any(os.access(path, os.W_OK | os.X_OK) for path in there):
        return
    folder = Path(tempfile.gettempdir()) / f"tls-finder-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        folder = Path(tempfile.mkdtemp(prefix="tls-finder-"))  # nobody else may put code there
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    print(f"compiled functions are kept in {folder}, as {own} is not writable", file=sys.stderr)


_keep_compiled_functions()
