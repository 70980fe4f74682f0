package depcheck

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestProcessors: files differ by system alone, which is what `make cross` goes by.
func TestProcessors(t *testing.T) {
	faults, err := ByProcessor(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

func TestByProcessor(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"sum_amd64.go": "", "sum_arm64_test.go": "", "sum.go": "//go:build linux && arm64\n", "wide.go": "//go:build !386\n",
		"unix.go": "//go:build unix\n", "amd64.go": "", "arm64.txt": "//go:build arm64\n", "charm.go": "//go:build charm\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	faults, err := ByProcessor(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range faults {
		path, _, _ := strings.Cut(f, " ")
		got = append(got, filepath.Base(path))
	}
	if want := []string{"sum.go", "sum_amd64.go", "sum_arm64_test.go", "wide.go"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
