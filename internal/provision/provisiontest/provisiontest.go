// Package provisiontest lets tests ask for the shared libraries and the Python
// interpreter that they need. What is missing skips the test with the reason, or fails it
// where ONNX_COMPRESS_REQUIRE=1 says that everything should be there.
package provisiontest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
)

const (
	// EnvRequire set to 1 turns skips for missing things into failures.
	EnvRequire = "ONNX_COMPRESS_REQUIRE"
	// EnvPython names the interpreter for tests, in place of the project's virtual environment.
	EnvPython = "ONNX_COMPRESS_PYTHON"
)

// Need returns the path of a library's file.
func Need(t testing.TB, lib provision.Library) string {
	t.Helper()
	found, _, err := provision.Find(lib, "")
	if err != nil {
		Missing(t, err)
	}
	return found.Path
}

// Python returns what FindPython finds.
func Python(t testing.TB, modules ...string) string {
	t.Helper()
	python, err := FindPython(modules...)
	if err != nil {
		Missing(t, err)
	}
	return python
}

// FindPython finds a Python interpreter that has the named modules: the one that
// ONNX_COMPRESS_PYTHON names, else that of .venv in the module's root folder.
func FindPython(modules ...string) (string, error) {
	python := os.Getenv(EnvPython)
	if python == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		python = filepath.Join(root, ".venv", "bin", "python")
		if runtime.GOOS == "windows" {
			python = filepath.Join(root, ".venv", "Scripts", "python.exe")
		}
	}
	if _, err := os.Stat(python); err != nil {
		return "", fmt.Errorf("no Python for tests: %w; `make venv` makes it, or name one with %s", err, EnvPython)
	}
	if len(modules) > 0 {
		out, err := exec.Command(python, "-c", "import "+strings.Join(modules, ", ")).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s lacks a module of %s: %w\n%s", python, strings.Join(modules, ", "), err, out)
		}
	}
	return python, nil
}

// garbage is by how much the heap of tests may grow between collections, in percent of what lives. That is a few megabytes, so
// that by Go's default a third of their time would go into collections. The program has a floor under its heap in place of this.
const garbage = 500

// Main runs the tests of a package, from its TestMain, and returns the exit code. Garbage is collected as often as GOGC says, and by
// default less often than else. Examples cannot be skipped one by one: where a library is missing, all of them are left out with
// the reason, or all fails where everything should be there.
func Main(m *testing.M, libs ...provision.Library) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	for _, lib := range libs {
		_, _, err := provision.Find(lib, "")
		if err == nil {
			continue
		}
		if os.Getenv(EnvRequire) == "1" {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := skipExamples(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Fprintf(os.Stderr, "the examples are left out: %v\n", err)
		break
	}
	return m.Run()
}

// skipExamples adds the examples to what -skip leaves out.
func skipExamples() error {
	flag.Parse()
	skip := flag.Lookup("test.skip")
	pattern := "^Example"
	if given := skip.Value.String(); given != "" {
		pattern = given + "|" + pattern
	}
	return flag.Set("test.skip", pattern)
}

// Root returns the module's root folder, found upwards from the current one.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above %s", start)
		}
	}
}

// Missing ends a test for want of something: it is skipped with the reason, or fails where
// everything should be there.
func Missing(t testing.TB, reason error) {
	t.Helper()
	if os.Getenv(EnvRequire) == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
