"""The notebook of the documents in Jupyter's own kernel, where that is installed: make doors."""

from __future__ import annotations

import importlib.util
import pathlib
import unittest
from typing import Any

from . import ways
from .test_compress import InFolder

NOTEBOOK = pathlib.Path(__file__).resolve().parents[2] / "docs" / "ways" / "notebook.ipynb"
MISSING = [name for name in ("nbclient", "ipykernel") if importlib.util.find_spec(name) is None]


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
@unittest.skipUnless(NOTEBOOK.exists(), f"there is no {NOTEBOOK}: the tests run apart from the repository")
class TestNotebook(InFolder):
    def test_notebook(self) -> None:
        """The cells run in a kernel, a bar shows how far the work is, and the last shows the page."""
        import nbclient
        import nbformat

        ways.notebook()
        notebook: Any = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call,unused-ignore]
        nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(self.folder)}}).execute()
        shown = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
        printed = "".join(o["text"] for o in shown[1] if o["output_type"] == "stream")
        self.assertIn("of its multiply-adds", printed)
        self.assertTrue(shown[-1][-1]["data"]["text/html"].startswith("<iframe srcdoc="))
        self.assertTrue(pathlib.Path("model.small.onnx").exists())
