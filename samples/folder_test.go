package samples

import (
	"encoding/base64"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

// link makes a symbolic link.
func link(t testing.TB, to, at string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, at); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
}

func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestLinkedFolders follows links to folders and images, the folder itself and those of classes too, and passes over what
// systems leave beside images.
func TestLinkedFolders(t *testing.T) {
	root := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }
	for _, name := range []string{"a.png", "b.png"} {
		picture(t, at("real", name), 2, 2, ramp)
	}
	for _, name := range []string{"._a.png", ".DS_Store", "Thumbs.db", ".cache/c.png", "notes.txt"} {
		put(t, at("real", name), "no picture")
	}
	link(t, "real", at("images"))
	link(t, "../real", at("classes", "cat"))
	link(t, "../real", at("classes", "dog"))
	link(t, "../real/a.png", at("classes", "one.png"))
	link(t, "/dev/null", at("classes", "null"))
	want := map[string][]string{
		"images":  {"a.png", "b.png"},
		"classes": {"cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png", "one.png"},
	}
	for folder, files := range want {
		if got, err := Files(at(folder)); err != nil || !slices.Equal(got, files) {
			t.Errorf("%s has %v, %v; want %v", folder, got, err, files)
		}
		s := mustOpen(t, at(folder), SourceOptions{}, spec("x", -1, 3, 2, 2))
		if s.Len() != len(files) || mustSample(t, s, 1).Name != files[1] {
			t.Errorf("%s has %d samples", folder, s.Len())
		}
	}
	link(t, "..", at("classes", "loop"))
	_, err := Open(at("classes"), SourceOptions{}, []InputSpec{spec("x", -1, 3, 2, 2)})
	testkit.WantError(t, err, filepath.Join("classes", "loop"), "a link to a folder that it lies in itself")
}

// TestFanOfLinks ends where a few folders of links lead to more than could ever be listed.
func TestFanOfLinks(t *testing.T) {
	root := t.TempDir()
	for level := range 20 {
		for _, side := range []string{"l", "r"} {
			link(t, filepath.Join("..", string(rune('a'+level+1))), filepath.Join(root, string(rune('a'+level)), side))
		}
	}
	put(t, filepath.Join(root, string(rune('a'+20)), "x.png"), "")
	w := walk{root: filepath.Join(root, "a"), keep: isImage, most: 1000}
	testkit.WantError(t, w.all(), "more than 1000 folders")
}

func TestLinkedTestData(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "elsewhere", "input_0.pb"), "")
	put(t, filepath.Join(root, "elsewhere", ".DS_Store"), "")
	link(t, filepath.Join("..", "elsewhere"), filepath.Join(root, "m", "test_data_set_0"))
	if got, err := Files(filepath.Join(root, "m")); err != nil || !slices.Equal(got, []string{"test_data_set_0/input_0.pb"}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestWebP decodes a lossless image of 2×3 pixels, as PIL writes it.
func TestWebP(t *testing.T) {
	data, err := base64.StdEncoding.DecodeString("UklGRjAAAABXRUJQVlA4TCMAAAAvAkAAAC8wZAKBJJz9acYZ5PkPFiKMAYEAZaw44JSI/sfyAgA=")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.webp")
	put(t, path, string(data))
	img, err := readImage(path)
	if err != nil {
		t.Fatal(err)
	}
	for y := range 2 {
		for x := range 3 {
			want := color.NRGBA{uint8(40 * x), uint8(100 * y), 200, 255}
			if got := img.NRGBAAt(x, y); got != want {
				t.Errorf("pixel %d, %d is %v, want %v", y, x, got, want)
			}
		}
	}
}

// TestOtherSamples names what stands in place of samples.
func TestOtherSamples(t *testing.T) {
	const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
	image := spec("x", -1, 3, 2, 2)
	root := t.TempDir()
	for _, c := range []struct {
		name, text string
		words      []string
	}{
		{"x.npy", pointer, []string{"signature", "git lfs pull"}},
		{"x.npz", pointer, []string{"no .npz file", "git lfs pull"}},
		{"cut.npz", "PK\x03\x04 and no more", []string{"a damaged one"}},
		{"x.bin", pointer, []string{"git lfs pull"}},
		{"x.csv", "<!DOCTYPE html>", []string{"a web page"}},
		{"numbers.csv", "1,2,3,4\n", []string{"a text", "numpy.save"}},
		{"x.tar.gz", "\x1f\x8b" + string(make([]byte, 11)), []string{"compressed by gzip: unpack it first"}},
		{"x.png", pointer, []string{"cannot be decoded", "git lfs pull"}},
		{"y.jpg", "<html>", []string{"cannot be decoded", "a web page"}},
		{"x.pb", "\x80\x04\x95", []string{"a pickle of Python"}},
		{"bmp/x.bmp", "BM", []string{"1 of them", "convert them to PNG"}},
		{"arrays/x.npy", "", []string{"name one of its files that end in .npy"}},
		{"test_data_set_0/input_0.pb", pointer, []string{"input_0.pb", "git lfs pull"}},
	} {
		path := filepath.Join(root, c.name)
		put(t, path, c.text)
		if dir := filepath.Dir(path); dir != root {
			path = dir
		}
		s, err := Open(path, SourceOptions{}, []InputSpec{image})
		if err == nil {
			_, err = s.Sample(0)
		}
		testkit.WantError(t, err, c.words...)
	}
	_, err := Open(write(t, "x.png", nil), SourceOptions{Labels: write(t, "labels", []byte(pointer))}, []InputSpec{image})
	testkit.WantError(t, err, "labels", "git lfs pull")
	_, err = Open("/dev/zero", SourceOptions{}, []InputSpec{image})
	testkit.WantError(t, err, "/dev/zero")
}
