package depcheck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHouse(t *testing.T) {
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	faults, err := House().Check(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

// Every arrow of the rules goes down: a cycle among them would allow everything in it.
func TestHouseHasNoCycle(t *testing.T) {
	rules := House()
	for pkg, below := range rules.Below {
		for _, next := range below {
			if rules.reaches(next, pkg, map[string]bool{}) {
				t.Errorf("%s is above and below %s", pkg, next)
			}
		}
	}
}

func TestCheckFindsFaults(t *testing.T) {
	const module = "github.com/onnx-compress/onnx-compress/"
	for _, c := range []struct {
		file, imported string
		fault          string // "" where the import is fine
	}{
		{"decomp/a.go", module + "linalg", ""},
		{"decomp/a.go", module + "onnxio", "not below decomp"},
		{"search/a.go", module + "onnxio", "not below search"},
		{"onnxio/a.go", module + "rewrite", "not below onnxio"},
		{"compress/a.go", module + "onnxio", ""},
		{"graph/a.go", module + "onnxio/onnxpb", ""},
		{"rewrite/a.go", module + "onnxio/onnxpb", "may"},
		{"rewrite/a_test.go", module + "onnxio/onnxpb", "may"},
		{"rewrite/a_test.go", "google.golang.org/protobuf/proto", "may"},
		{"compress/a.go", module + "cmd/onnx-compress", "not below compress"},
		{"internal/calib/a.go", "github.com/ebitengine/purego", "only internal/dynlib and internal/ort and linalg"},
		{"internal/calib/a_test.go", "github.com/ebitengine/purego", "only internal/dynlib and internal/ort and linalg"},
		{"internal/ort/a_windows.go", "github.com/ebitengine/purego", ""},
		{"internal/ort/a.go", "C", "only nobody may"},
		{"internal/ort/a_test.go", module + "testmodels", ""},
		{"cmd/onnx-compress/a.go", module + "testmodels", "for tests"},
		{"bench/peers/a.go", module + "testmodels", ""},
		{"bench/a.go", module + "compress", ""},
		{"verify/a.go", module + "internal/provision/provisiontest", "for tests"},
		{"newroom/a.go", module + "tensor", "not in the rules"},
		{"tensor/a.go", "strings", ""},
		{"internal/calib/testdata/a.go", module + "cmd/onnx-compress", ""},
	} {
		root := t.TempDir()
		name := filepath.Join(root, filepath.FromSlash(c.file))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("package a\n\nimport _ \""+c.imported+"\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		faults, err := House().Check(root)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(faults, "\n")
		if (c.fault == "") != (got == "") || !strings.Contains(got, c.fault) {
			t.Errorf("%s with %s: got %q, wanted %q", c.file, c.imported, got, c.fault)
		}
	}
}

// What compares, judges and records models knows nothing of how they are made smaller.
func TestHouseKeepsApart(t *testing.T) {
	rules := House()
	for _, pkg := range []string{"internal/gate", "verify", "internal/provenance", "internal/feed", "samples"} {
		if _, known := rules.Below[pkg]; !known {
			t.Errorf("there is no package %s", pkg)
		}
		for _, far := range []string{"decomp", "rewrite", "grad", "internal/calib", "internal/moments"} {
			if rules.reaches(pkg, far, map[string]bool{}) {
				t.Errorf("%s is above %s", pkg, far)
			}
		}
	}
}
