"""Tests of how the GPU suite gets along with versions of torch and transformers; none of them is
needed.
"""

import contextlib
import io
import tempfile
import unittest
from unittest import mock

from gpu import steps, torch_side
from gpu.setting import Setting
from gpu.test_suite import pretended, program


class Transformers(unittest.TestCase):
    """Versions of transformers that differ in what they take; none is here."""

    @staticmethod
    def model(knows, refuses):
        class Model:
            @staticmethod
            def from_pretrained(folder, attn_implementation, **named):
                if refuses and set(named) - {knows}:
                    raise TypeError(f"unexpected keyword argument {named}")
                return mock.Mock(dtype=named.get(knows, "float32"))

        return Model

    def test_the_type_is_asked_for_by_the_name_of_the_version(self):
        for knows in ("dtype", "torch_dtype"):
            for refuses in (True, False):
                found = torch_side.pretrained(self.model(knows, refuses), "folder", "bfloat16", "sdpa")
                self.assertEqual(found.dtype, "bfloat16")

    def test_a_version_that_knows_neither_name_is_unsuitable(self):
        for refuses in (True, False):
            with self.assertRaises(torch_side.Unsuitable):
                torch_side.pretrained(self.model("type", refuses), "folder", "bfloat16", "sdpa")

    def test_an_unsuitable_version_makes_a_step_absent_and_no_failure(self):
        with tempfile.TemporaryDirectory() as folder:
            text = "#!/bin/sh\necho 'ImportError: no CompileConfig' >&2\nexit 3\n"
            python = program(folder, "old", text)
            setting = Setting(pretended(folder), python, "cpu", True, folder)
            setting.torch = {"transformers": "4.40.0", "torch": "2.4.0", "sees_gpu": False}
            found = steps.take("parity", setting)
        self.assertEqual(found["status"], "absent", found)
        self.assertIn("4.40.0", found["reason"])
        self.assertIn("no CompileConfig", found["reason"])

    def test_a_job_that_lacks_an_import_says_so(self):
        with (
            mock.patch.object(torch_side, "make", side_effect=ImportError("no Qwen3")),
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            self.assertEqual(torch_side.work({"command": "make"}), torch_side.UNSUITABLE)
        self.assertIn("no Qwen3", err.getvalue())
