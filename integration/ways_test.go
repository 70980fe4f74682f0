package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// beginning puts what a reader of docs/ways has at the beginning, and nothing else, into a folder.
func beginning(t *testing.T, folder, way string) {
	t.Helper()
	keep := map[string][]string{"photos": {"model.onnx", "images"}, "pre-commit": {"net.onnx"}}[way]
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		kept := false
		for _, name := range keep {
			kept = kept || e.Name() == name
		}
		if !kept {
			if err := os.RemoveAll(filepath.Join(folder, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if slices.Contains([]string{"texts", "tickets", "language"}, way) {
		provisiontest.Python(t, "tokenizers")
	}
	if len(keep) == 0 {
		code, out := runIn(t, folder, []string{"PYTHONPATH=" + filepath.Join(moduleRoot(t), "python")}, pythonDoor(t), "-m", "tests.ways", way)
		if code != 0 {
			t.Fatalf("tests.ways %s: %d\n%s", way, code, out)
		}
	}
}

// TestNotebook runs the cells of the notebook, and wants its last value to show as a page.
func TestNotebook(t *testing.T) {
	t.Parallel()
	interpreter := pythonDoor(t)
	folder := t.TempDir()
	beginning(t, folder, "notebook")
	const run = `import ast, json, sys
names = {}
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] != "code":
        continue
    body = ast.parse("".join(cell["source"])).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
print(value._repr_html_()[:60])
`
	notebook := filepath.Join(moduleRoot(t), "docs", "ways", "notebook.ipynb")
	if code, out := runIn(t, folder, nil, interpreter, "-c", run, notebook); code != 0 || !strings.Contains(out, "\n<iframe srcdoc=") {
		t.Errorf("%d\n%s", code, out)
	}
}
