"""What the fixture scripts share: seeded numbers, exact values, and files that come out the same every time."""

import json
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np


def write_bytes(path, data):
    """Writes `data` to `path` through a temporary file, so that an interrupted run leaves no half file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def write_text(path, text):
    """Writes UTF-8 text with LF line ends, whatever the platform."""
    write_bytes(path, text.encode("utf-8"))


def write_sections(path, sections):
    """Writes a JSON object whose lists stand one record a line: small, and a change shows as one changed line.

    Everything outside ASCII is escaped, so that no editor or tool can normalise the nasty strings on the way.
    """
    parts = []
    for key, value in sections.items():
        head = json.dumps(key) + ": "
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines = ",\n    ".join(json.dumps(record, separators=(",", ":")) for record in value)
            parts.append(f"  {head}[\n    {lines}\n  ]")
        elif isinstance(value, dict) and value and all(isinstance(v, dict) for v in value.values()):
            lines = ",\n    ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            parts.append(f"  {head}{{\n    {lines}\n  }}")
        else:
            parts.append(f"  {head}{json.dumps(value)}")
    write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")


class Seeded:
    """Normal, uniform and integer values drawn from a name: adding one fixture moves no other.

    NumPy's PCG64 rather than torch's generator, whose normal values depend on the vector instructions at hand.
    """

    def __init__(self, name):
        self.rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode("utf-8"))))

    def normal(self, shape, mean=0.0, std=1.0):
        """float64 values that are exactly representable in float32."""
        values = mean + std * self.rng.standard_normal(tuple(shape))
        return values.astype(np.float32).astype(np.float64)

    def integers(self, low, high, shape):
        """int64 values in low..high (high excluded)."""
        return self.rng.integers(low, high, size=tuple(shape), dtype=np.int64)
