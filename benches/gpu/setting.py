"""What the steps of the GPU suite share: the binaries, the device, the load, and how much time is
left. Knows how to call `maspo` and the Python with torch, and nothing of what a step makes of the
answers.
"""

import glob
import json
import os
import pathlib
import shutil
import time

from gpu import goals, shapes
from gpu.pack import BENCHES, SHAPE
from gpu.process import Absent, Failed, json_object, run, succeed, tail
from gpu.torch_side import UNSUITABLE

SUITE = BENCHES / "gpu_suite.py"

# e4m3 weights are for GPUs only; no goal is about them.
DTYPES = [*goals.DTYPES, "f8"]
FULL = {"prompt_tokens": 256, "new_tokens": 128, "queries": None, "rounds": 1, "repeats": 3}
DRY = {"prompt_tokens": 8, "new_tokens": 4, "queries": 1, "rounds": 1, "repeats": 1}
FULL_LOAD = {"dtypes": DTYPES, "batches": list(goals.BATCHES), **FULL}
DRY_LOAD = {"dtypes": list(goals.DTYPES), "batches": list(goals.BATCHES), **DRY}

VERSIONS = """
import json, safetensors, torch, transformers
from transformers import CompileConfig, LogitsProcessor, LogitsProcessorList, Qwen3Config, Qwen3ForCausalLM
found = {"torch": torch.__version__, "transformers": transformers.__version__, "cuda": torch.version.cuda}
print(json.dumps({"command": "versions", **found, "sees_gpu": torch.cuda.is_available()}))
"""


class Setting:
    """One run of the suite. `load` is FULL_LOAD or DRY_LOAD, `folder` a scratch folder, `budget_s`
    the time for all steps."""

    def __init__(self, binaries, python, device, dry_run, folder, budget_s=None):
        self.maspo, self.tests = binaries["maspo"], binaries["maspo-tests"]
        self.python, self.device, self.dry_run = python, device, dry_run
        self.folder = pathlib.Path(folder)
        self.load = dict(DRY_LOAD if dry_run else FULL_LOAD)
        self.ends = None if budget_s is None else time.monotonic() + budget_s
        self.step_ends = None
        self.torch = None
        self.log = None
        self.environment = {"LD_LIBRARY_PATH": self.libraries()}

    @property
    def on_gpu(self):
        return self.device.startswith("cuda")

    # --- time

    def begin(self, limit_s):
        """A step begins that may take this long."""
        self.step_ends = time.monotonic() + limit_s

    def left(self):
        """Seconds that the step still has, within its own limit and the budget of the whole run."""
        ends = [end for end in (self.ends, self.step_ends) if end is not None]
        return min(ends) - time.monotonic()

    def spent(self):
        """Whether the budget of the whole run is used up."""
        return self.ends is not None and time.monotonic() >= self.ends

    # --- what is kept whatever happens

    def note(self, line):
        """A line of the log, which is on the disk at once: a run that is killed keeps it."""
        if self.log:
            with open(self.log, "a") as log:
                log.write(line + "\n")

    # --- programs

    def ask(self, *arguments):
        """What `maspo` prints with `--json`, as an object."""
        done = succeed(run([self.maspo, *arguments, "--json"], self.left(), self.environment))
        return json_object(done.stdout, arguments[0])

    def call(self, *arguments, environment=None):
        """`maspo` for the files that it writes, or for what it prints."""
        return succeed(run([self.maspo, *arguments], self.left(), {**self.environment, **(environment or {})}))

    def work(self, command, **job):
        """A job of torch_side.py in the Python that has torch; its object."""
        self.need_torch()
        job = json.dumps({"command": command, **job})
        done = run([self.python, SUITE, "--torch-side", job], self.left())
        if done.code == UNSUITABLE:
            raise Absent(
                f"{self.python} (transformers {self.torch['transformers']}) cannot do it: {tail(done.stderr, lines=1)}"
            )
        return json_object(succeed(done).stdout, command)

    def versions(self):
        """Versions of what the transformers parts need; with `missing` where they cannot run."""
        if self.torch is None:
            try:
                done = run([self.python, "-c", VERSIONS], min(120, self.left()))
                if done.code:
                    self.torch = {"missing": (done.stderr.strip().splitlines() or ["it says nothing"])[-1]}
                else:
                    self.torch = {
                        key: value for key, value in json_object(done.stdout, "versions").items() if key != "command"
                    }
            except Failed as error:
                self.torch = {"missing": str(error)}
        return self.torch

    def need_torch(self):
        if "missing" in self.versions():
            raise Absent(f"{self.python} has no torch with a transformers that knows Qwen3: {self.torch['missing']}")
        if self.on_gpu and not self.torch["sees_gpu"]:
            raise Absent(f"the torch of {self.python} ({self.torch['torch']}) sees no GPU")

    def need_device(self):
        """A step on the GPU is absent where there is none, and not failed."""
        if self.on_gpu and not (shutil.which("nvidia-smi") or glob.glob("/dev/nvidia[0-9]*")):
            raise Absent("this machine has no NVIDIA GPU: no nvidia-smi and no /dev/nvidia0")

    def libraries(self):
        """Where the CUDA libraries may lie that the program loads: the system's, the toolkit's,
        those of torch's wheels."""
        folders = ["/usr/local/nvidia/lib64", "/usr/local/cuda/lib64"]
        code = (
            "import glob, sysconfig; print(*glob.glob(sysconfig.get_paths()['purelib'] + '/nvidia/*/lib'), sep='\\n')"
        )
        try:
            folders += succeed(run([self.python, "-c", code], 20)).stdout.split()
        except Failed:
            pass
        given = os.environ.get("LD_LIBRARY_PATH", "").split(":")
        return ":".join(
            [folder for folder in given if folder] + [folder for folder in folders if os.path.isdir(folder)]
        )

    # --- models

    def large_model(self):
        """The folder of Qwen3-8B's shape, or of the tiny one."""
        if not self.dry_run:
            return BENCHES / SHAPE
        folder = self.folder / "tiny"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(shapes.TINY))
        return folder

    def two_layers(self):
        """The folder of a model like the large one, with two layers."""
        config = json.loads((self.large_model() / "config.json").read_text())
        folder = self.folder / "two-layers"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
        return folder
