package bounded

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, most := range []int64{5, 6, 1 << 20} {
		if data, err := ReadFile(path, most); err != nil || string(data) != "12345" {
			t.Errorf("at most %d: %q, %v", most, data, err)
		}
	}
	for _, most := range []int64{0, 1, 4} {
		_, err := ReadFile(path, most)
		testkit.WantError(t, err, path, "more than", Text(most))
	}
	_, err := ReadFile(filepath.Dir(path), 5)
	testkit.WantError(t, err, "not a regular file but a folder")
	if _, err := ReadFile(path+"b", 5); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestDevices(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no device files")
	}
	_, err := ReadFile("/dev/zero", 1<<20)
	testkit.WantError(t, err, "/dev/zero is not a regular file but a device")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/dev/zero", link); err != nil {
		t.Fatal(err)
	}
	_, _, err = Open(link)
	testkit.WantError(t, err, link, "not a regular file", "a device")
	_, _, err = Open(t.TempDir())
	testkit.WantError(t, err, "a folder")
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, info, err := Open(path)
	if err != nil || info.Size() != 5 {
		t.Fatalf("%v, %v", info, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPacked(t *testing.T) {
	for _, c := range []struct {
		packed, unpacked int64
		fine             bool
	}{
		{10, 256 << 20, true}, {3 << 20, 3 << 30, false}, {3 << 20, 600 << 20, true}, {1 << 30, 8 << 30, true}, {0, 1 << 62, false},
	} {
		if err := Packed(c.packed, c.unpacked); (err == nil) != c.fine {
			t.Errorf("%d to %d: %v", c.packed, c.unpacked, err)
		}
	}
	if text := Text(3 << 29); !strings.HasPrefix(text, "1.5 GiB") {
		t.Error(text)
	}
}
