package integration

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// goreleaser finds the program where `make snapshot` puts it, or on the PATH. It is not built
// for the test: that takes many minutes.
func goreleaser(t *testing.T) string {
	t.Helper()
	path := filepath.Join(moduleRoot(t), "build", "tools", "goreleaser")
	if exec.Command(path, "--version").Run() == nil {
		return path
	}
	path, err := exec.LookPath("goreleaser")
	if err != nil {
		t.Skipf("goreleaser is neither in build/tools, where `make snapshot` puts it, nor on the PATH: %v", err)
	}
	return path
}

// TestRelease lets goreleaser check its configuration, and builds the archive of this
// platform as a release would.
func TestRelease(t *testing.T) {
	t.Parallel()
	program := goreleaser(t)
	folder, _ := hookRepository(t)
	r := &repository{t, folder, offline(t)}
	r.git("tag", "v0.1.0")
	only := oneTarget(t, folder)
	for _, args := range [][]string{{"check"}, {"release", "--config", only, "--snapshot", "--clean"}} {
		if code, out := runIn(t, folder, r.env, program, args...); code != 0 {
			t.Fatalf("goreleaser %s: %d\n%s", strings.Join(args, " "), code, out)
		}
	}
	dist := filepath.Join(folder, "build", "packages")
	sums, err := os.ReadFile(filepath.Join(dist, "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	archives := map[string]string{}
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		archives[name] = sum
	}
	checkArchive(t, dist, runtime.GOOS+"_"+runtime.GOARCH, archives)
}

// oneTarget writes the configuration for this platform alone: the others are built by `make
// cross` and `make snapshot`, and take minutes.
func oneTarget(t *testing.T, folder string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for all, one := range map[string]string{
		"goos: [linux, darwin, windows]\n": "goos: [" + runtime.GOOS + "]\n",
		"goarch: [amd64, arm64]\n":         "goarch: [" + runtime.GOARCH + "]\n",
	} {
		if strings.Count(text, all) != 1 {
			t.Fatalf(".goreleaser.yaml does not have %q once", all)
		}
		text = strings.Replace(text, all, one, 1)
	}
	path := filepath.Join(t.TempDir(), "one.yaml")
	write(t, path, text)
	return path
}

// checkArchive wants the archive of a platform to be listed with its checksum, and to hold
// the program and what belongs beside it.
func checkArchive(t *testing.T, dist, platform string, archives map[string]string) {
	t.Helper()
	program, kind, list := "onnx-compress", ".tar.gz", tarNames
	if strings.HasPrefix(platform, "windows") {
		program, kind, list = "onnx-compress.exe", ".zip", zipNames
	}
	found, err := filepath.Glob(filepath.Join(dist, "onnx-compress_*_"+platform+kind))
	if err != nil || len(found) != 1 {
		t.Errorf("%s: %d archives, %v", platform, len(found), err)
		return
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if want := archives[filepath.Base(found[0])]; want != hex.EncodeToString(sum[:]) {
		t.Errorf("%s: the checksum %q is listed", found[0], want)
	}
	names, err := list(data)
	if err != nil {
		t.Fatalf("%s: %v", found[0], err)
	}
	for _, want := range []string{
		program, "LICENSE", "README.md", "onnx-compress.mk", "completion/onnx-compress.bash", "completion/_onnx-compress", "completion/onnx-compress.fish", "completion/onnx-compress.ps1",
		"man/onnx-compress.1", "man/onnx-compress-compress.1",
	} {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, "/"+want) }) {
			t.Errorf("%s lacks %s: %q", found[0], want, names)
		}
	}
}

func tarNames(data []byte) ([]string, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var out []string
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, header.Name)
	}
}

func zipNames(data []byte) ([]string, error) {
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range r.File {
		out = append(out, f.Name)
	}
	return out, nil
}
