package filekind

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	tar := make([]byte, 512)
	copy(tar, "model.onnx")
	copy(tar[257:], "ustar\x0000")
	for _, c := range []struct {
		head, want string // "" where nothing is known
		sure       bool
	}{
		{"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull", true},
		{"/annex/objects/SHA256E-s1--00.onnx\n", "git annex get", true},
		{"outs:\n- md5: 00\n  path: m.onnx\n", "dvc pull", true},
		{"outs: {}", "a text", false},
		{"0.5,1.5\n", "a text", false},
		{"\x00\x05\x16\x07\x00\x02\x00\x00", "macOS", false},
		{"\xef\xbb\xbf\r\n <!DOCTYPE html><html>", "web page", true},
		{"<html lang=en>", "web page", true},
		{`<?xml version="1.0"?><Error><Code>AccessDenied</Code>`, "error that a server sent", true},
		{`<?xml version="1.0"?><net name="m">`, "OpenVINO", true},
		{`{"error": "not found – ü"}`, "JSON", false},
		{"{\x00\x01", "", false},
		{"PK\x03\x04\x14\x00model.onnx", "zip archive", false},
		{"PK\x03\x04\x14\x00archive/data.pkl", "PyTorch", false},
		{"\x1f\x8b\x08", "gzip", false},
		{string(tar), "tar archive", false},
		{"\x80\x02\x8a\x0a", "pickle", false},
		{"\x1c\x00\x00\x00TFL3", "TensorFlow Lite", false},
		{"\x40\x00\x00\x00\x00\x00\x00\x00{\"w\":", "safetensors", false},
		{"GGUF\x03", "GGUF", false},
		{"\x89HDF\r\n\x1a\n", "HDF5", false},
		{"\x93NUMPY\x01\x00", "NumPy", false},
		{"\x00\x00\x00\x20ftypavif", "AVIF", false},
		{"BM\x36\x00\x0c\x00\x00\x00\x00\x00", "BMP", false},
		{"\x08\x08\x12\x07pytorch", "", false},
		{"", "", false},
	} {
		switch k := Of([]byte(c.head)); {
		case k == nil:
			if c.want != "" {
				t.Errorf("Of(%q) knows nothing, want %q", c.head, c.want)
			}
		case c.want == "" || !strings.Contains(k.String(), c.want) || k.Sure != c.sure || k.Do == "":
			t.Errorf("Of(%q) = %v, sure %v; want %q", c.head, k, k.Sure, c.want)
		}
	}
}

func TestAt(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	for _, gone := range []string{path, folder} {
		if k := At(gone); k != nil {
			t.Errorf("of %s: %v", gone, k)
		}
	}
	for text, want := range map[string]bool{"<html>": true, "": false, "<html>" + strings.Repeat("x", 2*HeadSize): true} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if k := At(path); (k != nil) != want {
			t.Errorf("of %.9q: %v", text, k)
		}
	}
}
