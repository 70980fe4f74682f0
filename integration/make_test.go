package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// workshop is a folder with a Makefile.
type workshop struct {
	t       *testing.T
	folder  string
	program string
}

func newWorkshop(t *testing.T, makefile string) *workshop {
	t.Helper()
	program := need(t, "make")
	if code, out := runIn(t, t.TempDir(), nil, program, "--version"); code != 0 || !strings.Contains(out, "GNU Make") {
		t.Skipf("make is not GNU make: %s", out)
	}
	w := &workshop{t, t.TempDir(), program}
	w.write("Makefile", strings.ReplaceAll(makefile, "MK", filepath.Join(moduleRoot(t), "onnx-compress.mk")))
	return w
}

func (w *workshop) write(name, text string) {
	w.t.Helper()
	write(w.t, filepath.Join(w.folder, name), text)
}

// make runs make, wants success, and wants exactly these files to be other than before.
func (w *workshop) make(args []string, changed ...string) string {
	w.t.Helper()
	before := w.times()
	time.Sleep(20 * time.Millisecond) // so that what is written now has another time
	args = append([]string{"--no-print-directory", "ONNX_COMPRESS=" + filepath.Join(bin(w.t), "onnx-compress")}, args...)
	code, out := runIn(w.t, w.folder, []string{"MAKEFLAGS="}, w.program, args...)
	if code != 0 {
		w.t.Fatalf("make %q: %d\n%s", args, code, out)
	}
	var got []string
	for name, at := range w.times() {
		if before[name] != at {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	slices.Sort(changed)
	if !slices.Equal(got, changed) {
		w.t.Errorf("make %q changed %q, want %q\n%s", args, got, changed, out)
	}
	return out
}

// times are the times of all files.
func (w *workshop) times() map[string]time.Time {
	w.t.Helper()
	out := map[string]time.Time{}
	entries, err := os.ReadDir(w.folder)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			w.t.Fatal(err)
		}
		out[e.Name()] = info.ModTime()
	}
	return out
}

// samples are records for the model cnn, of a label and 768 pixels.
func samples(seed byte) string {
	return strings.Repeat("\x01"+strings.Repeat(string([]byte{seed, 20, 200, 90}), 192), 20)
}

// TestMake: a model is made anew when its source, its calibration data or its flags are
// others, and not otherwise; what depends on it likewise, and several at a time.
func TestMake(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, `
FLAGS ?= --target macs=0.8 --calib data.bin --calib-samples 12
ONNX_COMPRESS_FLAGS = $(FLAGS) --methods svd --threads 1 -q
include MK
all: bundle
b.small.onnx: ONNX_COMPRESS_FLAGS = --target macs=0.7 --methods svd -q
bundle: a.small.onnx b.small.onnx c.small.onnx
	cat $^ > $@
c.onnx: a.onnx
	cp $< $@
`)
	model(t, "cnn", 1, filepath.Join(w.folder, "a.onnx"))
	model(t, "cnn", 2, filepath.Join(w.folder, "b.onnx"))
	w.write("data.bin", samples(1))
	all := []string{"a.small.onnx", "b.small.onnx", "c.small.onnx", "bundle"}
	w.make([]string{"-j3"}, append(all, "c.onnx")...)
	if out := w.make([]string{"-j3"}); strings.Contains(out, "cat") {
		t.Errorf("said where nothing was to do: %s", out)
	}

	now := time.Now()
	for _, name := range []string{"b.onnx", "data.bin"} {
		if err := os.Chtimes(filepath.Join(w.folder, name), now, now); err != nil {
			t.Fatal(err)
		}
	}
	w.make(nil) // the same contents at another time

	model(t, "cnn", 3, filepath.Join(w.folder, "b.onnx"))
	w.make([]string{"-j2"}, "b.small.onnx", "bundle")
	w.write("data.bin", samples(2))
	w.make([]string{"-j2"}, "a.small.onnx", "c.small.onnx", "bundle")
	w.make([]string{"a.small.onnx", "FLAGS=--target macs=0.75"}, "a.small.onnx")
	w.make([]string{"a.small.onnx", "FLAGS=--target macs=75%"})
	if err := os.Remove(filepath.Join(w.folder, "b.small.onnx")); err != nil {
		t.Fatal(err)
	}
	w.make([]string{"b.small.onnx"}, "b.small.onnx")
}

// TestMakeFails: where nothing can be made the old model stays, and make stops.
func TestMakeFails(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "ONNX_COMPRESS_FLAGS = --target macs=0.8 --methods svd -q\nONNX_COMPRESS_SUFFIX = -lite.onnx\ninclude MK\n")
	model(t, "cnn", 1, filepath.Join(w.folder, "a.onnx"))
	w.make([]string{"a-lite.onnx"}, "a-lite.onnx")
	w.write("a.onnx", "broken")
	before := w.times()
	code, out := runIn(t, w.folder, []string{"MAKEFLAGS="}, w.program, "ONNX_COMPRESS="+filepath.Join(bin(t), "onnx-compress"), "a-lite.onnx")
	if code == 0 || !strings.Contains(out, "a.onnx") || w.times()["a-lite.onnx"] != before["a-lite.onnx"] {
		t.Errorf("exit code %d, %s", code, out)
	}
}
