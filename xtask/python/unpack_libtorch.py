#!/usr/bin/env python3
"""Takes the CPU part of LibTorch out of downloaded wheels. Called by `cargo xtask libtorch`; standard library only."""

import shutil
import sys
import zipfile
from pathlib import Path, PurePosixPath

# Of torch/lib, what libtorch_cpu.so needs: not libtorch.so, which pulls in libtorch_cuda.so and every CUDA library.
TORCH_LIBRARIES = ("libtorch_cpu.so", "libc10.so", "libgomp")
# Linked into libtorch_cpu.so by the CUDA build, though nothing on the CPU calls them.
CUDA_LIBRARIES = ("libcudart.so", "libcupti.so")


def place(name):
    """Where a file of a wheel goes below LIBTORCH, or None."""
    path = PurePosixPath(name)
    if path.parts[:2] == ("torch", "include"):
        return PurePosixPath("include", *path.parts[2:])
    if path.parts[:2] == ("torch", "lib") and len(path.parts) == 3 and path.name.startswith(TORCH_LIBRARIES):
        return PurePosixPath("lib", path.name)
    if path.parts[0] == "nvidia" and path.name.startswith(CUDA_LIBRARIES):
        return PurePosixPath("lib", path.name)
    return None


def main():
    out, wheels = Path(sys.argv[1]), sys.argv[2:]
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                target = None if member.is_dir() else place(member.filename)
                if target is None:
                    continue
                target = out / target
                target.parent.mkdir(parents=True, exist_ok=True)
                # Reading to the end checks the member's CRC.
                with archive.open(member) as source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    have = {path.name for path in (out / "lib").iterdir()}
    for wanted in TORCH_LIBRARIES + CUDA_LIBRARIES:
        if not any(name.startswith(wanted) for name in have):
            sys.exit(f"{wanted} is in none of {', '.join(wheels)}")
    # The linker reads this in place of the library of that name.
    (out / "lib" / "libtorch.so").write_text("INPUT(libtorch_cpu.so libc10.so)\n")


if __name__ == "__main__":
    main()
