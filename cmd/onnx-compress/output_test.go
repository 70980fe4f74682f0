package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// write writes text and fails if it is empty.
func write(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		if text == "" {
			_, _ = io.WriteString(w, "the first half")
			return errors.New("it went wrong")
		}
		_, err := io.WriteString(w, text)
		return err
	}
}

// holds wants a folder to hold one file with that text.
func holds(t *testing.T, path, text string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != text {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, text)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// TestWriteFile: a file comes into being whole, replaces an old one whole, or the old one
// stays.
func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	if err := writeFile(path, write("")); err == nil {
		t.Error("the failure was lost")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a file is there: %v", err)
	}
	if err := writeFile(path, write("one")); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "one")
	if err := writeFile(path, write("")); err == nil || !strings.Contains(err.Error(), "it went wrong") {
		t.Errorf("error %v", err)
	}
	holds(t, path, "one")
	if err := writeFile(path, write("two")); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "two")
	if err := writeFile(filepath.Join(path, "x"), write("three")); err == nil {
		t.Error("a file was taken for a folder")
	}
}

// TestWriteAnew: what cannot be written anew does not stay as an earlier run left it.
func TestWriteAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	for _, text := range []string{"one", "two"} {
		if err := writeAnew(path, write(text)); err != nil {
			t.Fatal(err)
		}
		holds(t, path, text)
	}
	if err := writeAnew(path, write("")); err == nil || !strings.Contains(err.Error(), "it went wrong") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what an earlier run wrote is still there: %v", err)
	}
}

// TestWriteFileThroughLinks: a link stays a link, and what is no ordinary file is written to.
func TestWriteFileThroughLinks(t *testing.T) {
	folder := t.TempDir()
	file, link := filepath.Join(folder, "r.json"), filepath.Join(t.TempDir(), "link.json")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skipf("no links here: %v", err)
	}
	if err := writeFile(link, write("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, file, "new")
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info.Mode(), err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := writeFile(os.DevNull, write("nothing")); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s has become a file: %v", os.DevNull, err)
	}
}

// TestOutput: JSON to standard output stands alone; to a file, people get the text as well
// unless they want quiet.
func TestOutput(t *testing.T) {
	for _, c := range []struct {
		o         outputFlags
		out, file string
	}{
		{outputFlags{}, "text", ""},
		{outputFlags{quiet: true}, "", ""},
		{outputFlags{json: toStdout}, "7\n", ""},
		{outputFlags{json: toStdout, quiet: true, verbose: true}, "7\n", ""},
		{outputFlags{json: "r.json"}, "text", "7\n"},
		{outputFlags{json: "r.json", quiet: true}, "", "7\n"},
	} {
		path := filepath.Join(t.TempDir(), "r.json")
		if c.o.json == "r.json" {
			c.o.json = jsonTarget(path)
		}
		var out bytes.Buffer
		if err := c.o.write(&out, 7, write("text")); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.out {
			t.Errorf("%+v: %q in standard output, want %q", c.o, &out, c.out)
		}
		if c.file != "" {
			holds(t, path, c.file)
		} else if _, err := os.Stat(path); err == nil {
			t.Errorf("%+v: a file was written", c.o)
		}
	}
	bad := outputFlags{json: jsonTarget(filepath.Join(t.TempDir(), "none", "r.json"))}
	if err := bad.write(io.Discard, 7, write("text")); err == nil || !strings.Contains(err.Error(), "--json=") {
		t.Errorf("error %v", err)
	}
}

// TestJSONOverwritesNothing: a report may not take the place of what it is about, by
// whatever name.
func TestJSONOverwritesNothing(t *testing.T) {
	folder := t.TempDir()
	model, link, other := filepath.Join(folder, "m.onnx"), filepath.Join(folder, "l.onnx"), filepath.Join(folder, "r.json")
	for _, path := range []string{model, other} {
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(model, link); err != nil {
		t.Skipf("no links here: %v", err)
	}
	for path, fine := range map[string]bool{
		model: false, link: false, filepath.Join(folder, "sub", "..", "m.onnx"): false, filepath.Join(folder, "new.onnx"): false,
		folder: false, filepath.Join(folder, "none", "r.json"): false, other: true, filepath.Join(folder, "s.json"): true, toStdout: true,
	} {
		o := outputFlags{json: jsonTarget(path)}
		f := declare(&cobra.Command{}, func(f *flagSet) { o.declare(f, "as JSON", "", "") }).Flags()
		if err := writable(f, []string{model, "", filepath.Join(folder, "new.onnx")}, "json"); (err == nil) != fine {
			t.Errorf("--json=%s: %v", path, err)
		}
	}
}
