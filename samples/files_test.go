package samples

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFiles: the files that samples come from, and no others.
func TestFiles(t *testing.T) {
	folder := func(files ...string) string {
		dir := t.TempDir()
		for _, f := range files {
			path := filepath.Join(dir, filepath.FromSlash(f))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(f), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for _, c := range []struct {
		path string
		want []string
	}{
		{filepath.Join(folder("x.npy"), "x.npy"), []string{"."}},
		{folder("b.png", "a/c.JPG", "README.md", "labels.tsv"), []string{"a/c.JPG", "b.png"}},
		{folder("test_data_set_10/input_0.pb", "test_data_set_2/input_0.pb", "model.onnx"), []string{"test_data_set_10/input_0.pb", "test_data_set_2/input_0.pb"}},
		{folder("input_0.pb", "input_1.pb"), []string{"input_0.pb", "input_1.pb"}},
		{folder("notes.txt"), nil},
	} {
		if got, err := Files(c.path); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v, %v; want %v", got, err, c.want)
		}
	}
	if _, err := Files(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("error %v", err)
	}
}
