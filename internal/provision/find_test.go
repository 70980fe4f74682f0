package provision

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// bare is a machine on which nothing is installed.
func bare(t *testing.T) machine {
	cache := t.TempDir()
	return machine{
		goos: "linux", goarch: "amd64",
		getenv:      func(string) string { return "" },
		cache:       func() (string, error) { return cache, nil },
		pythonPaths: func() ([]string, []Tried) { return nil, []Tried{{FromPython, "python3", "not on PATH"}} },
	}
}

func touch(t *testing.T, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFindOrder(t *testing.T) {
	m := bare(t)
	cache, _ := m.cache()
	site, system, other := t.TempDir(), t.TempDir(), t.TempDir()
	env := ""
	m.getenv = func(name string) string { return map[string]string{"ONNX_COMPRESS_ORT": env}[name] }
	m.systemPaths = []string{t.TempDir(), system}

	check := func(flag, path string, source Source, version string) {
		t.Helper()
		found, tried, err := m.find(ONNXRuntime, flag)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Found{path, source, version}); found != want {
			t.Errorf("found %v, wanted %v (tried %v)", found, want, tried)
		}
	}

	_, tried, err := m.find(ONNXRuntime, "")
	var missing *NotFoundError
	if !errors.As(err, &missing) || missing.Library != ONNXRuntime {
		t.Fatalf("nothing there: %v", err)
	}
	for _, source := range []Source{FromFlag, FromEnv, FromCache, FromPython, FromSystem} {
		if !slices.ContainsFunc(tried, func(t Tried) bool { return t.Source == source && t.Where != "" && t.Why != "" }) {
			t.Errorf("%s is not among the places tried: %v", source, tried)
		}
	}
	if !slices.Equal(tried, missing.Tried) {
		t.Error("the error does not carry the places tried")
	}

	systemFile := touch(t, system, "libonnxruntime.so.1.30.0")
	check("", systemFile, FromSystem, "1.30.0")
	m.pythonPaths = func() ([]string, []Tried) { return []string{t.TempDir(), site}, nil }
	check("", systemFile, FromSystem, "1.30.0")
	check("", touchPython(t, site), FromPython, "1.31.0")
	check("", touch(t, pinsFor(ONNXRuntime, "linux", "amd64")[1].cached(cache)), FromCache, "1.30.0")
	check("", touch(t, pinsFor(ONNXRuntime, "linux", "amd64")[0].cached(cache)), FromCache, "1.32.0")
	env = touch(t, other, "env.so")
	check("", env, FromEnv, "")
	flag := touch(t, other, "folder", "libonnxruntime.so.1")
	check(flag, flag, FromFlag, "")
	check(filepath.Dir(flag), flag, FromFlag, "")
}

func touchPython(t *testing.T, site string) string {
	touch(t, site, "onnxruntime-1.31.0.dist-info", "METADATA")
	touch(t, site, "onnxruntime", "capi", "libonnxruntime_providers_shared.so")
	return touch(t, site, "onnxruntime", "capi", "libonnxruntime.so")
}

func TestFindExplicitButWrong(t *testing.T) {
	m := bare(t)
	m.systemPaths = []string{filepath.Dir(touch(t, t.TempDir(), "libonnxruntime.so.1.32.0"))}
	gone := filepath.Join(t.TempDir(), "gone.so")
	for _, flag := range []string{gone, t.TempDir()} {
		if _, _, err := m.find(ONNXRuntime, flag); err == nil || !strings.Contains(err.Error(), "--ort "+flag) {
			t.Errorf("flag %s: error %v does not name the flag", flag, err)
		}
	}
	m.getenv = func(name string) string { return map[string]string{"ONNX_COMPRESS_OPENBLAS": gone}[name] }
	if _, _, err := m.find(OpenBLAS, ""); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "ONNX_COMPRESS_OPENBLAS") {
		t.Errorf("variable: %v", err)
	}
}

func TestFindPassesOverOldReleases(t *testing.T) {
	m := bare(t)
	site, system := t.TempDir(), t.TempDir()
	m.pythonPaths = func() ([]string, []Tried) { return []string{site}, nil }
	m.systemPaths = []string{system}
	old := touch(t, site, "onnxruntime", "capi", "libonnxruntime.so.1.23.2")
	older := touch(t, system, "libonnxruntime.so.1.9.0")
	_, tried, err := m.find(ONNXRuntime, "")
	if err == nil {
		t.Fatal("an old release was taken")
	}
	for _, path := range []string{old, older} {
		if !slices.ContainsFunc(tried, func(t Tried) bool { return t.Where == path && strings.Contains(t.Why, "older than 1.24") }) {
			t.Errorf("%s is not reported as too old: %v", path, tried)
		}
	}
	// A link says its version through its target.
	if runtime.GOOS != "windows" {
		if err := os.Symlink(older, filepath.Join(system, "libonnxruntime.so")); err != nil {
			t.Fatal(err)
		}
		if found, _, err := m.find(ONNXRuntime, ""); err == nil {
			t.Errorf("took the link to an old release: %v", found)
		}
	}
	if found, _, err := m.find(ONNXRuntime, old); err != nil || found.Version != "1.23.2" {
		t.Errorf("named outright it is taken: %v, %v", found, err)
	}
}

func TestFindOpenBLAS(t *testing.T) {
	for goos, file := range map[string]string{
		"linux": "libscipy_openblas.so", "darwin": "libscipy_openblas.dylib", "windows": "libscipy_openblas.dll",
	} {
		m := bare(t)
		m.goos = goos
		site := t.TempDir()
		m.pythonPaths = func() ([]string, []Tried) { return []string{site}, nil }
		touch(t, site, "scipy_openblas32-0.3.34.dist-info", "METADATA")
		want := Found{touch(t, site, "scipy_openblas32", "lib", file), FromPython, "0.3.34"}
		if found, _, err := m.find(OpenBLAS, ""); err != nil || found != want {
			t.Errorf("%s: found %v, %v; wanted %v", goos, found, err, want)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1.23.2", "1.24", true},
		{"1.9.0", "1.24", true},
		{"0.99", "1.24", true},
		{"1.24.0", "1.24", false},
		{"1.100", "1.24", false},
		{"2.0", "1.24", false},
		{"1", "1.24", false},
	} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("older(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func TestSystemPaths(t *testing.T) {
	env := map[string]string{
		"LD_LIBRARY_PATH": "/opt/a" + string(filepath.ListSeparator) + "relative", "CONDA_PREFIX": "/conda",
	}
	paths := systemPaths("linux", "arm64", func(name string) string { return env[name] })
	for _, want := range []string{"/opt/a", "/usr/lib/aarch64-linux-gnu", filepath.Join("/conda", "lib")} {
		if runtime.GOOS != "windows" && !slices.Contains(paths, want) {
			t.Errorf("%s is missing from %v", want, paths)
		}
	}
	if slices.Contains(paths, "relative") {
		t.Error("a folder relative to the current one is looked at")
	}
}

func TestAskPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on PATH")
	}
	// A module of the current folder must not be run.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "os.py"), []byte("open('ran', 'w')"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	folders, err := askPython(python)
	if err != nil || len(folders) == 0 {
		t.Fatalf("%v, %v", folders, err)
	}
	if _, err := os.Stat("ran"); err == nil {
		t.Error("a file of the current folder was executed")
	}
	if _, err := askPython(filepath.Join(dir, "gone")); err == nil {
		t.Error("an interpreter that is not there answered")
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv(EnvCache, "here")
	dir, err := CacheDir()
	if err != nil || !filepath.IsAbs(dir) || filepath.Base(dir) != "here" {
		t.Errorf("%s, %v", dir, err)
	}
}

// TestBesideUs: the interpreter of the environment that the program lies in is found.
func TestBesideUs(t *testing.T) {
	folder := t.TempDir()
	self := func() (string, error) { return filepath.Join(folder, "onnx-compress"), nil }
	if got := besideUs(self); got != nil {
		t.Errorf("found %q in an empty folder", got)
	}
	python := touch(t, folder, "python")
	if got := besideUs(self); !slices.Equal(got, []string{python}) {
		t.Errorf("found %q, want %q", got, python)
	}
	if got := besideUs(func() (string, error) { return "", errors.New("unknown") }); got != nil {
		t.Errorf("found %q without knowing where", got)
	}
}
