package integration

import (
	"archive/zip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
)

// wheel builds the wheel of this platform.
func wheel(t *testing.T, python, folder string) string {
	t.Helper()
	code, out := runIn(t, moduleRoot(t), nil, python, "scripts/wheel.py", "--version", "1.2.3", "--out", folder)
	if code != 0 {
		t.Fatalf("scripts/wheel.py: %d\n%s", code, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// TestWheel installs the wheel with its libraries into a fresh virtual environment, and
// works there with nothing else on the PATH.
func TestWheel(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the paths here are those of other systems")
	}
	python := need(t, "python3")
	if code, out := runIn(t, t.TempDir(), nil, python, "-c", "import pip, venv"); code != 0 {
		t.Skipf("python3 has no pip and venv: %s", out)
	}
	folder := t.TempDir()
	path := wheel(t, python, folder)
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if exec := f.Mode().Perm()&0o111 != 0; exec != strings.Contains(f.Name, "/scripts/") {
			t.Errorf("%s has the mode %v", f.Name, f.Mode())
		}
	}
	env := filepath.Join(folder, "env")
	if code, out := runIn(t, folder, nil, python, "-m", "venv", "--without-pip", env); code != 0 {
		t.Fatalf("venv: %d\n%s", code, out)
	}
	install := []string{"-m", "pip", "--python", filepath.Join(env, "bin", "python"), "install", "--quiet", "--disable-pip-version-check"}
	if code, out := runIn(t, folder, nil, python, append(install, "--no-deps", "--no-index", path)...); code != 0 {
		t.Fatalf("pip install: %d\n%s", code, out)
	}
	program := filepath.Join(env, "bin", "onnx-compress")
	checkRule(t, filepath.Join(env, "share", "onnx-compress", "onnx-compress.mk"))
	alone := []string{"ONNX_COMPRESS_ORT=", "ONNX_COMPRESS_OPENBLAS=", "ONNX_COMPRESS_CACHE=" + filepath.Join(folder, "cache"), "PATH=" + filepath.Join(folder, "nothing"), "VIRTUAL_ENV="}
	if code, out := runIn(t, folder, alone, program, "version"); code != 0 || !strings.HasPrefix(out, "onnx-compress ") {
		t.Fatalf("version: %d %s", code, out)
	}
	if code, out := runIn(t, folder, nil, python, append(install, path+"[runtime]")...); code != 0 {
		t.Skipf("the libraries cannot be installed here: %s", out)
	}
	code, out := runIn(t, folder, alone, program, "doctor")
	if code != 0 || !strings.Contains(out, filepath.Join(env, "lib")) || !strings.Contains(out, "(python)") || !strings.Contains(out, "OpenBLAS      ok") {
		t.Errorf("doctor: %d\n%s", code, out)
	}
	model(t, "cnn", 1, filepath.Join(folder, "net.onnx"))
	if code, out := runIn(t, folder, alone, program, "net.onnx", "-o", "small.onnx", "--target", "macs=0.8", "--methods", "svd"); code != 0 || !strings.Contains(out, "verified on") {
		t.Errorf("compress: %d\n%s", code, out)
	}
}

// checkRule wants a file to be the rule for make.
func checkRule(t *testing.T, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	want, err := os.ReadFile(filepath.Join(moduleRoot(t), "onnx-compress.mk"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is another file", path)
	}
}

// TestTutorialFromWheel follows the tutorial as one who installs the wheel: its first
// sections, with both libraries from the wheel's extra.
func TestTutorialFromWheel(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the tutorial's commands are those of other systems")
	}
	python := need(t, "python3")
	if code, out := runIn(t, t.TempDir(), nil, python, "-c", "import ensurepip, venv"); code != 0 {
		t.Skipf("python3 cannot make virtual environments with pip in them: %s", out)
	}
	clone, _ := hookRepository(t)
	s := newSession(t, clone)
	s.env = append(s.env, provision.EnvCache+"="+t.TempDir())
	all := documents(t)
	tutorial := all[slices.IndexFunc(all, func(d document) bool { return d.name == "docs/tutorial.md" })]
	end := 1 + strings.Count(tutorial.text[:strings.Index(tutorial.text, "\n## 4. ")], "\n")
	done := 0
	for _, b := range tutorial.blocks {
		if b.line > end || b.marks["way"] == "clone" {
			continue
		}
		if strings.Contains(b.text, "pip install") {
			if code, out, err := s.script("pip download --no-deps --dest \"$STATE\" scipy-openblas32"); code != 0 || err != nil {
				t.Skipf("the libraries cannot be installed here: %v\n%s", err, out)
			}
		}
		s.run(t, b)
		done++
	}
	if done < 5 {
		t.Errorf("only %d blocks were run", done)
	}
}

// TestWheelIsRepeatable: the same sources give the same wheel, of every platform's name.
func TestWheelIsRepeatable(t *testing.T) {
	t.Parallel()
	python := need(t, "python3")
	var first []byte
	for range 2 {
		data, err := os.ReadFile(wheel(t, python, t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && string(data) != string(first) {
			t.Error("other bytes")
		}
		first = data
	}
}
