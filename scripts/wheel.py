#!/usr/bin/env python3
"""Builds a Python wheel that carries the onnx-compress program, and the Python package that runs it.

Needs Go and nothing but Python's standard library. The same sources and version give the
same bytes. Installing the wheel puts the program on the PATH of the environment, and onnx-compress.mk into its
share/onnx-compress; its extra "runtime" brings the two shared libraries, which the program finds beside itself, "onnx" what reads models for Python,
and "texts" what makes tokens of texts.
"""

import argparse
import base64
import hashlib
import os
import pathlib
import subprocess
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

# The platforms of a wheel by GOOS and GOARCH: Go's own least versions of each system.
PLATFORMS = {
    ("linux", "amd64"): "manylinux_2_17_x86_64.manylinux2014_x86_64",
    ("linux", "arm64"): "manylinux_2_17_aarch64.manylinux2014_aarch64",
    ("darwin", "amd64"): "macosx_12_0_x86_64",
    ("darwin", "arm64"): "macosx_12_0_arm64",
    ("windows", "amd64"): "win_amd64",
    ("windows", "arm64"): "win_arm64",
}

METADATA = """\
Metadata-Version: 2.1
Name: onnx-compress
Version: {version}
Summary: Makes trained ONNX models smaller and faster by low-rank factors
License: MIT
Requires-Python: >=3.9
Requires-Dist: numpy>=1.22
Provides-Extra: runtime
Requires-Dist: onnxruntime>=1.24; extra == "runtime"
Requires-Dist: scipy-openblas32; extra == "runtime"
Provides-Extra: onnx
Requires-Dist: onnx; extra == "onnx"
Provides-Extra: texts
Requires-Dist: tokenizers; extra == "texts"
Description-Content-Type: text/markdown

{readme}"""

WHEEL = """\
Wheel-Version: 1.0
Generator: onnx-compress
Root-Is-Purelib: false
{tags}"""


def go(*args, **env):
    """Runs the go command in the repository."""
    subprocess.run(["go", *args], cwd=ROOT, check=True, env={**os.environ, **env})


def build(goos, goarch):
    """Returns the program's bytes for a platform."""
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder, "program")
        go("build", "-trimpath", "-ldflags=-s -w", "-o", str(target), "./cmd/onnx-compress",
           GOOS=goos, GOARCH=goarch, CGO_ENABLED="0")
        return target.read_bytes()


def package():
    """Returns the files of the Python package by their names in the wheel."""
    sources = sorted(p for p in (ROOT / "python" / "onnx_compress").iterdir() if p.suffix in (".py", ".typed"))
    return {f"onnx_compress/{p.name}": p.read_bytes() for p in sources}


def record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def write(path, version, platform, program, windows):
    """Writes the wheel, whole or not at all."""
    info = f"onnx_compress-{version}.dist-info"
    script = "onnx-compress.exe" if windows else "onnx-compress"
    tags = "".join(f"Tag: py3-none-{p}\n" for p in platform.split("."))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    files = {
        **package(),
        f"onnx_compress-{version}.data/scripts/{script}": program,
        f"onnx_compress-{version}.data/data/share/onnx-compress/onnx-compress.mk": (ROOT / "onnx-compress.mk").read_bytes(),
        f"{info}/licenses/LICENSE": (ROOT / "LICENSE").read_bytes(),
        f"{info}/METADATA": METADATA.format(version=version, readme=readme).encode(),
        f"{info}/WHEEL": WHEEL.format(tags=tags).encode(),
    }
    record = "".join(record_line(name, data) for name, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    waiting = path.with_name("." + path.name)
    with zipfile.ZipFile(waiting, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)  # of 1 January 1980, as every entry
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that the mode counts
            entry.external_attr = (0o100755 if "/scripts/" in name else 0o100644) << 16
            z.writestr(entry, data)
    waiting.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", default="0.0.0.dev0", help="of the wheel, as PEP 440 has it")
    parser.add_argument("--goos", default=subprocess.check_output(["go", "env", "GOOS"], text=True).strip())
    parser.add_argument("--goarch", default=subprocess.check_output(["go", "env", "GOARCH"], text=True).strip())
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "dist")
    options = parser.parse_args()
    platform = PLATFORMS.get((options.goos, options.goarch))
    if platform is None:
        known = ", ".join("/".join(p) for p in PLATFORMS)
        parser.error(f"no wheel for {options.goos}/{options.goarch}; there are {known}")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"onnx_compress-{options.version}-py3-none-{platform}.whl"
    write(path, options.version, platform, build(options.goos, options.goarch), options.goos == "windows")
    print(path)


if __name__ == "__main__":
    main()
