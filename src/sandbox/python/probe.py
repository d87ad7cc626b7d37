"""Reports where this interpreter's files are, as lines `key value`: the sandbox lets programs read
these and no others.

Every extension module is loaded once, so that the libraries that they need are mapped and can be
listed. The files named as arguments are compiled beside themselves.
"""
import os
import py_compile
import sys
import sysconfig
import threading


def say(key, value):
    if "\n" not in value:
        print(key, value)


def libraries():
    """Returns the files that are mapped into this process."""
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split(None, 5)[5].strip() for line in maps if "/" in line}
    except OSError:
        return []
    return sorted(path for path in paths if path.startswith("/") and os.path.isfile(path))


def load_extensions(folder):
    for name in sorted(os.listdir(folder) if os.path.isdir(folder) else []):
        if ".so" in name and "test" not in name and not name.startswith("_tkinter"):
            try:
                __import__(name.split(".")[0])
            except Exception:
                pass


executable = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
stdlib = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
thread = threading.Thread(target=print, args=("",))
thread.start()
thread.join()
for folder in [path for path in sys.path if path.endswith("lib-dynload")]:
    load_extensions(folder)
    stdlib.add(os.path.realpath(folder))
say("version", "%d.%d.%d" % sys.version_info[:3])
say("executable", executable)
for folder in sorted(stdlib):
    say("folder", folder)
for path in sorted(set(libraries()) - {executable}):
    say("file", os.path.realpath(path))
for path in sys.argv[1:]:
    py_compile.compile(path, path + "c", doraise=True)
