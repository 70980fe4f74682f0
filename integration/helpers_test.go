package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// moduleRoot is the folder of go.mod.
func moduleRoot(t testing.TB) string {
	t.Helper()
	root, err := provisiontest.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// need finds a program on the PATH, or skips the test and says which is missing.
func need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed: %v", program, err)
	}
	return path
}

// scratch is a folder for all tests, removed behind them.
var scratch string

// binary builds the program once, and returns its folder.
var binary = sync.OnceValues(func() (string, error) {
	root, err := provisiontest.Root()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(scratch, "bin")
	build := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "./cmd/onnx-compress")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return folder, nil
})

func TestMain(m *testing.M) {
	os.Exit(withScratch(m.Run))
}

func withScratch(f func() int) int {
	var err error
	if scratch, err = os.MkdirTemp("", "onnx-compress-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return f()
}

// bin is the folder of the program, and the library that it needs must be there.
func bin(t testing.TB) string {
	t.Helper()
	provisiontest.Need(t, provision.ONNXRuntime)
	folder, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// runIn runs a program in a folder, with the environment added to, and returns its exit
// code and what it said.
func runIn(t testing.TB, folder string, env []string, name string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "ONNX_COMPRESS_ORT="+provisiontest.Need(t, provision.ONNXRuntime))
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// tool runs the program, wants an exit code, and returns what it said.
func tool(t testing.TB, folder string, code int, args ...string) string {
	t.Helper()
	got, out := runIn(t, folder, nil, filepath.Join(bin(t), "onnx-compress"), args...)
	if got != code {
		t.Fatalf("onnx-compress %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// model writes a model of the zoo, made with a seed.
func model(t testing.TB, name string, seed uint64, path string) {
	t.Helper()
	c, ok := testmodels.Get(name)
	if !ok {
		t.Fatalf("no model %q in the zoo", name)
	}
	m, err := c.Build(seed)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := onnxio.Write(context.Background(), m, path, onnxio.WriteOptions{Overwrite: true}); err != nil {
		t.Fatal(err)
	}
}

// fashion writes the trained network as net.onnx and its images as fashion.bin.
func fashion(t testing.TB, folder string) {
	t.Helper()
	m, err := testmodels.Fashion()
	if err != nil {
		t.Fatal(err)
	}
	if err := onnxio.Write(context.Background(), m, filepath.Join(folder, "net.onnx"), onnxio.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "fashion.bin"), string(testmodels.FashionImages()))
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
