package provision

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

type entry struct{ name, body string }

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.Create(e.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tgzOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.body))}
		if e.body == "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, "elsewhere"
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// rig is a machine with fake package clients: shell scripts that note that they were
// called and copy a prepared archive to the current folder.
type rig struct {
	setup
	bin, stock string
	out        *bytes.Buffer
	list       []pin
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the fake package clients are shell scripts")
	}
	r := &rig{bin: t.TempDir(), stock: t.TempDir(), out: &bytes.Buffer{}}
	r.setup = setup{w: r.out, cache: filepath.Join(t.TempDir(), "cache"), ways: map[client]way{}}
	r.pins = func(lib Library) []pin {
		var out []pin
		for _, p := range r.list {
			if p.lib == lib {
				out = append(out, p)
			}
		}
		return out
	}
	t.Setenv("PATH", r.bin)
	t.Setenv("VIRTUAL_ENV", "")
	wheel := zipOf(t, entry{"pkg/lib.so", "library"}, entry{"pkg/other", "other"})
	tarball := tgzOf(t, entry{"package/lib.so.1", "from npm"})
	r.list = []pin{
		{ONNXRuntime, pip, "ort", "2", "os", "arch", []string{"tag"}, sum(wheel), "pkg/lib.so", sum([]byte("library"))},
		{ONNXRuntime, npm, "node", "1", "os", "arch", nil, sum(tarball), "package/lib.so.1", sum([]byte("from npm"))},
		{OpenBLAS, pip, "blas", "3", "os", "arch", []string{"tag"}, sum(wheel), "pkg/lib.so", sum([]byte("library"))},
	}
	r.shelve(t, "ort.whl", wheel)
	r.shelve(t, "node.tgz", tarball)
	return r
}

func (r *rig) shelve(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.stock, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// install puts a client on PATH that runs the given shell line when asked to download.
func (r *rig) install(t *testing.T, name, line string) {
	t.Helper()
	script := "#!/bin/sh\ncase \"$*\" in *--version) exit 0;; esac\necho \"$*\" >> " + r.stock + "/calls\n" + line + "\n"
	if err := os.WriteFile(filepath.Join(r.bin, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) copies(name string) string { return "/bin/cp " + filepath.Join(r.stock, name) + " ." }

func (r *rig) calls() int {
	data, err := os.ReadFile(filepath.Join(r.stock, "calls"))
	if err != nil {
		return 0
	}
	return strings.Count(string(data), "\n")
}

// leftovers lists everything in the cache that is not a library in its place.
func (r *rig) leftovers(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(r.cache)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() != "lib" {
			out = append(out, e.Name())
		}
	}
	return out
}

func (r *rig) holds(t *testing.T, p pin, want string) {
	t.Helper()
	got, err := os.ReadFile(p.cached(r.cache))
	if err != nil || string(got) != want {
		t.Errorf("%s: %q, %v; wanted %q\n%s", p.name, got, err, want, r.out)
	}
	if left := r.leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func (r *rig) empty(t *testing.T) {
	t.Helper()
	for _, p := range r.list {
		if _, err := os.Stat(p.cached(r.cache)); err == nil {
			t.Errorf("%s is in the cache", p.name)
		}
	}
	if left := r.leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSetupWithPip(t *testing.T) {
	r := newRig(t)
	r.install(t, "python3", r.copies("ort.whl"))
	for range 2 {
		if err := r.run(t.Context(), Libraries()); err != nil {
			t.Fatal(err)
		}
		r.holds(t, r.list[0], "library")
		r.holds(t, r.list[2], "library")
		if r.calls() != 2 {
			t.Errorf("pip was called %d times for two libraries", r.calls())
		}
	}
	calls, _ := os.ReadFile(filepath.Join(r.stock, "calls"))
	for _, want := range []string{"--require-hashes", "--only-binary=:all:", "--no-deps", "--platform tag"} {
		if !strings.Contains(string(calls), want) {
			t.Errorf("pip was called without %s: %s", want, calls)
		}
	}
	// A damaged library is fetched again.
	if err := os.WriteFile(r.list[0].cached(r.cache), []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.run(t.Context(), Libraries()); err != nil {
		t.Fatal(err)
	}
	r.holds(t, r.list[0], "library")
	if r.calls() != 3 {
		t.Errorf("pip was called %d times", r.calls())
	}
}

func TestSetupWithNpmAlone(t *testing.T) {
	r := newRig(t)
	r.install(t, "npm", r.copies("node.tgz"))
	if err := r.run(t.Context(), Libraries()); err != nil {
		t.Fatal(err)
	}
	r.holds(t, r.list[1], "from npm")
	if !strings.Contains(r.out.String(), "OpenBLAS left out") {
		t.Errorf("nothing said about OpenBLAS:\n%s", r.out)
	}
}

func TestSetupFallsBackToNpm(t *testing.T) {
	r := newRig(t)
	r.install(t, "python3", "echo no matching distribution; exit 1")
	r.install(t, "npm", r.copies("node.tgz"))
	if err := r.run(t.Context(), []Library{ONNXRuntime}); err != nil {
		t.Fatal(err)
	}
	r.holds(t, r.list[1], "from npm")
}

func TestSetupAsksForOneClient(t *testing.T) {
	r := newRig(t)
	r.install(t, "python3", r.copies("ort.whl"))
	r.install(t, "npm", r.copies("node.tgz"))
	r.only = npm
	if err := r.run(t.Context(), []Library{ONNXRuntime}); err != nil {
		t.Fatal(err)
	}
	r.holds(t, r.list[1], "from npm")
}

func TestSetupRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(r *rig)
		says    []string
	}{
		"no client": {
			func(*rig) {},
			[]string{"pip does not work here", "npm does not work here", "to mend this: "},
		},
		"client fails": {
			func(r *rig) { r.install(t, "pip", "echo the network is down; exit 1") },
			[]string{"the network is down", "ONNX_COMPRESS_ORT"},
		},
		"wrong archive": {
			func(r *rig) {
				r.shelve(t, "ort.whl", zipOf(t, entry{"pkg/lib.so", "changed"}))
				r.install(t, "pip3", r.copies("ort.whl"))
			},
			[]string{"not the one wanted", "SHA-256"},
		},
		"wrong library": {
			func(r *rig) {
				wheel := zipOf(t, entry{"pkg/lib.so", "changed"})
				r.shelve(t, "ort.whl", wheel)
				r.list[0].archive = sum(wheel)
				r.install(t, "python", r.copies("ort.whl"))
			},
			[]string{"the library in the package is not the one wanted"},
		},
		"library gone from the archive": {
			func(r *rig) {
				r.list[0].member = "pkg/moved.so"
				r.install(t, "python", r.copies("ort.whl"))
			},
			[]string{"pkg/moved.so", "no such file in the archive"},
		},
		"client leaves nothing": {
			func(r *rig) { r.install(t, "npm", "exit 0") },
			[]string{"left 0 archives"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c.prepare(r)
			err := r.run(t.Context(), []Library{ONNXRuntime})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
			r.empty(t)
		})
	}
}

func TestSetupInterrupted(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	r.install(t, "pip", r.copies("ort.whl")+"; exec /bin/sleep 60")
	start := time.Now()
	if err := r.run(ctx, Libraries()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("the client was waited for: %v", took)
	}
	r.empty(t)
}

// Where nothing is published, a library that the user provided is enough.
func TestSetupWithoutPackages(t *testing.T) {
	r := newRig(t)
	r.list = nil
	t.Setenv(ONNXRuntime.Env(), filepath.Join(r.stock, "ort.whl"))
	if err := r.run(t.Context(), []Library{ONNXRuntime}); err != nil {
		t.Error(err)
	}
	t.Setenv(ONNXRuntime.Env(), filepath.Join(r.stock, "gone"))
	if err := r.run(t.Context(), []Library{ONNXRuntime}); err == nil || !strings.Contains(err.Error(), "no package is published") {
		t.Errorf("%v", err)
	}
}

func TestSetupOptions(t *testing.T) {
	err := Setup(t.Context(), &bytes.Buffer{}, SetupOptions{Cache: t.TempDir(), Client: "cargo"})
	if err == nil || !strings.Contains(err.Error(), "cargo") {
		t.Errorf("%v", err)
	}
}

func TestMend(t *testing.T) {
	for _, c := range []struct {
		lib          Library
		goos, goarch string
		programs     string
		want         string
	}{
		{ONNXRuntime, "linux", "amd64", "pip3 apt-get", "onnx-compress setup"},
		{ONNXRuntime, "linux", "amd64", "npm", "onnx-compress setup"},
		{OpenBLAS, "linux", "amd64", "npm apt-get", "apt-get install -y python3-pip && onnx-compress setup"},
		{ONNXRuntime, "windows", "arm64", "winget", "winget install Python.Python.3.13 && onnx-compress setup"},
		{ONNXRuntime, "linux", "arm64", "", "install Python with pip, then: onnx-compress setup"},
		{ONNXRuntime, "darwin", "amd64", "pip brew", "brew install onnxruntime"},
		{ONNXRuntime, "darwin", "amd64", "pip", "export ONNX_COMPRESS_ORT=FILE, a build of ONNX Runtime for darwin/amd64"},
	} {
		has := func(program string) bool { return strings.Contains(" "+c.programs+" ", " "+program+" ") }
		if got := mend(c.lib, c.goos, c.goarch, has); got != c.want {
			t.Errorf("%s on %s/%s with %q: %q, wanted %q", c.lib, c.goos, c.goarch, c.programs, got, c.want)
		}
	}
}

func TestPins(t *testing.T) {
	have := map[string]bool{}
	for _, p := range pins() {
		key := p.cached("")
		if have[key] {
			t.Errorf("%s is there twice", key)
		}
		have[key] = true
		for _, s := range []string{p.archive, p.file} {
			if b, err := hex.DecodeString(s); err != nil || len(b) != sha256.Size {
				t.Errorf("%s: %q is not a SHA-256", key, s)
			}
		}
		if (p.client == pip) != (len(p.tags) > 0) {
			t.Errorf("%s: %d platform tags for %s", key, len(p.tags), p.client)
		}
	}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for _, goarch := range []string{"amd64", "arm64"} {
			for _, lib := range Libraries() {
				none := lib == ONNXRuntime && goos == "darwin" && goarch == "amd64"
				if got := pinsFor(lib, goos, goarch); (len(got) == 0) != none {
					t.Errorf("%s on %s/%s: %d packages", lib, goos, goarch, len(got))
				}
			}
		}
	}
}
