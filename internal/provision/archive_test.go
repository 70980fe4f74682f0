package provision

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/seeds"
)

func TestExtractRefuses(t *testing.T) {
	evil := []string{"../evil", "a/../../evil", "/evil", `..\evil`, `a\..\..\evil`}
	for _, name := range evil {
		for kind, data := range map[string][]byte{
			"a.whl": zipOf(t, entry{name, "evil"}, entry{"lib.so", "library"}),
			"a.tgz": tgzOf(t, entry{"lib.so", "library"}, entry{name, "evil"}),
		} {
			dir := t.TempDir()
			archive := filepath.Join(dir, kind)
			if err := os.WriteFile(archive, data, 0o644); err != nil {
				t.Fatal(err)
			}
			err := extract(archive, "lib.so", filepath.Join(dir, "out"))
			if err == nil || !strings.Contains(err.Error(), "unsafe name") {
				t.Errorf("%s with %q: %v", kind, name, err)
			}
		}
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"link.tgz":      tgzOf(t, entry{"lib.so", ""}),
		"none.tgz":      tgzOf(t, entry{"other", "x"}),
		"none.whl":      zipOf(t, entry{"other", "x"}),
		"folder.whl":    zipOf(t, entry{"lib.so/", ""}),
		"garbage.whl":   []byte("garbage"),
		"garbage.tgz":   []byte("garbage"),
		"truncated.tgz": tgzOf(t, entry{"lib.so", "library"})[:60],
		"kind.rar":      []byte("x"),
	} {
		archive := filepath.Join(dir, name)
		if err := os.WriteFile(archive, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := extract(archive, "lib.so", filepath.Join(dir, "out-"+name)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzExtract(f *testing.F) {
	f.Add(true, zipOf(f, entry{"lib.so", "library"}))
	f.Add(true, zipOf(f, entry{"../lib.so", "library"}))
	f.Add(false, tgzOf(f, entry{"lib.so", "library"}))
	f.Add(false, tgzOf(f, entry{"lib.so", ""}))
	f.Add(true, seeds.Files(f, "archives", ".zip")[0])
	f.Add(false, seeds.Files(f, "archives", ".tgz")[0])
	f.Fuzz(func(t *testing.T, zipped bool, data []byte) {
		root := t.TempDir()
		dir := filepath.Join(root, "inner")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(dir, map[bool]string{true: "a.whl", false: "a.tgz"}[zipped])
		if err := os.WriteFile(archive, data, 0o644); err != nil {
			t.Fatal(err)
		}
		err := extract(archive, "lib.so", filepath.Join(dir, "out"))
		if info, statErr := os.Lstat(filepath.Join(dir, "out")); err == nil && (statErr != nil || !info.Mode().IsRegular()) {
			t.Errorf("no error and no file: %v", statErr)
		}
		if entries, _ := os.ReadDir(root); len(entries) != 1 {
			t.Errorf("something was written outside: %v", entries)
		}
	})
}
