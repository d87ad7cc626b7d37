"""Runs other programs with a time limit, for the steps of the GPU suite. Knows no step and no
figure: a child either gives its output or an exception that says in one line what went wrong.
"""

import json
import os
import shlex
import signal
import subprocess
import time


class InputError(Exception):
    """The command line, a path or a folder is wrong: exit code 2."""


class Failed(Exception):
    """A step ran and did not come out right; `stdout` is what its program had printed until then."""

    def __init__(self, reason, stdout=""):
        super().__init__(reason)
        self.stdout = stdout


class Absent(Exception):
    """A step could not run here: something that it needs is not there."""


class Done:
    """A child that has ended. `code` is its exit status, `seconds` its wall time."""

    def __init__(self, command, code, stdout, stderr, seconds):
        self.command, self.code, self.stdout, self.stderr, self.seconds = command, code, stdout, stderr, seconds


def run(command, limit_s, env=None, cwd=None):
    """Runs a child in a session of its own; past `limit_s` it and its children are ended. Raises
    `Failed` on a program that cannot start or outlasts its limit; the caller looks at the exit
    status."""
    command = [str(part) for part in command]
    if limit_s <= 0:
        raise Failed(f"no time is left for {brief(command)}")
    started = time.monotonic()
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"cannot run {command[0]}: {error}") from None
    try:
        stdout, stderr = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        stdout, stderr = end(child)
        text = f"no answer within {limit_s:.0f} s: {brief(command)}: {tail(stderr or stdout)}"
        raise Failed(text, stdout) from None
    except BaseException:
        end(child)
        raise
    return Done(command, child.returncode, stdout, stderr, time.monotonic() - started)


def end(child):
    """Ends the child and those it started; what they had printed so far."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return child.communicate()


def succeed(done):
    """The child if it exited with 0; `Failed` with its last words otherwise."""
    if done.code == 0:
        return done
    text = done.stderr or done.stdout
    refused = next((line.strip() for line in text.splitlines() if is_refusal(line)), None)
    if done.code == 2 and refused:
        raise Failed(f"this build does not know what the suite asks of it ({refused}): {brief(done.command)}")
    how = f"signal {-done.code}" if done.code < 0 else f"exit code {done.code}"
    raise Failed(f"{how} from {brief(done.command)}: {tail(text)}", done.stdout)


def is_refusal(line):
    """Whether clap says here that it does not know an argument or a command."""
    return line.startswith("error: ") and ("unexpected argument" in line or "unrecognized subcommand" in line)


def json_object(text, command):
    """The last line of `text` that is a JSON object whose `command` is the one given."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except ValueError as error:
                raise Failed(f"the JSON of `{command}` cannot be read: {error}") from None
            if found.get("command") == command:
                return found
    raise Failed(f"`{command}` printed no JSON object of its own: {tail(text) or 'nothing'}")


def json_objects(text, command):
    """Every line of `text` that is a JSON object whose `command` is the one given; a line that was
    cut off is none."""
    found = []
    for line in text.splitlines():
        try:
            read = json.loads(line) if line.startswith("{") else {}
        except ValueError:
            continue
        if read.get("command") == command:
            found.append(read)
    return found


def json_lines(text):
    """Every line as JSON."""
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise Failed(f"a line that is no JSON: {error}") from None


def brief(command):
    text = shlex.join(str(part) for part in command)
    return text if len(text) <= 240 else text[:237] + "..."


def tail(text, lines=6, width=240):
    return " / ".join(line.strip()[:width] for line in text.strip().splitlines()[-lines:])
