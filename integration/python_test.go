package integration

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// wheelPython is what pythonDoor made, one test at a time.
var (
	wheelPython string
	wheelMaking sync.Mutex
)

// pythonDoor is the interpreter of a fresh virtual environment with the wheel in it, and beside it the Python packages that tests have. It is made
// once for all tests.
func pythonDoor(t *testing.T) (interpreter string) {
	t.Helper()
	wheelMaking.Lock()
	defer wheelMaking.Unlock()
	if wheelPython != "" {
		return wheelPython
	}
	if runtime.GOOS == "windows" {
		t.Skip("the paths here are those of other systems")
	}
	tests := provisiontest.Python(t, "numpy", "onnx")
	folder, err := os.MkdirTemp(scratch, "wheel-")
	if err != nil {
		t.Fatal(err)
	}
	code, site := runIn(t, folder, nil, tests, "-c", "import numpy, pathlib; print(pathlib.Path(numpy.__file__).parent.parent)")
	if code != 0 {
		t.Fatalf("%s: %d\n%s", tests, code, site)
	}
	python := need(t, "python3")
	if code, out := runIn(t, folder, nil, python, "-c", "import pip"); code != 0 {
		t.Skipf("python3 has no pip: %s", out)
	}
	path := wheel(t, python, folder)
	env := filepath.Join(folder, "env")
	if code, out := runIn(t, folder, nil, tests, "-m", "venv", "--without-pip", env); code != 0 {
		t.Fatalf("venv: %d\n%s", code, out)
	}
	interpreter = filepath.Join(env, "bin", "python")
	code, out := runIn(t, folder, nil, python, "-m", "pip", "--python", interpreter, "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", path)
	if code != 0 {
		t.Fatalf("pip install: %d\n%s", code, out)
	}
	own, err := filepath.Glob(filepath.Join(env, "lib", "python*", "site-packages"))
	if err != nil || len(own) != 1 {
		t.Fatal(own, err)
	}
	write(t, filepath.Join(own[0], "others.pth"), site)
	wheelPython = interpreter
	return interpreter
}

// TestPythonPackage runs the package's own tests with what the wheel has installed.
func TestPythonPackage(t *testing.T) {
	t.Parallel()
	interpreter := pythonDoor(t)
	folder := t.TempDir()
	tests := os.DirFS(filepath.Join(moduleRoot(t), "python", "tests"))
	if err := os.CopyFS(filepath.Join(folder, "tests"), tests); err != nil { // without the sources beside them
		t.Fatal(err)
	}
	code, out := runIn(t, folder, []string{"PYTHONPATH=", "PATH=" + filepath.Join(folder, "nothing")}, interpreter, "-W", "error", "-m", "unittest", "-v")
	if code != 0 || !strings.Contains(out, "test_three_lines") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "skipped") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// TestPythonTypes: the package keeps what its annotations promise.
func TestPythonTypes(t *testing.T) {
	t.Parallel()
	interpreter := provisiontest.Python(t, "mypy", "numpy", "onnx")
	folder := t.TempDir()
	write(t, filepath.Join(folder, "user.py"), `import numpy as np
import onnx
import onnx_compress

small = onnx_compress.compress("model.onnx", [np.zeros(3)], target="macs=0.5", methods="svd")
model: onnx.ModelProto = small.model
text: str = small.verdict
found: dict[str, object] = onnx_compress.inspect(model)
`)
	code, out := runIn(t, folder, []string{"MYPYPATH=" + filepath.Join(moduleRoot(t), "python")}, interpreter, "-m", "mypy", "--strict", "--cache-dir", filepath.Join(folder, "cache"), "-p", "onnx_compress", "-p", "user")
	if code != 0 {
		t.Errorf("mypy: %d\n%s", code, out)
	}
}
