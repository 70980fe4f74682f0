package main

import (
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// drawn puts an empty picture of a size into a folder.
func drawn(t *testing.T, folder string, height, width int) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(folder, fmt.Sprintf("%dx%d.png", height, width)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
}

// TestPreparation: how images may be prepared follows from the model's input, from what it gives, and from the sizes of the images.
func TestPreparation(t *testing.T) {
	t.Chdir(t.TempDir())
	drawn(t, "near", 240, 260)
	drawn(t, "large", 240, 260)
	drawn(t, "large", 600, 400)
	drawn(t, "little", 100, 300)
	for _, c := range []struct {
		shape  []int
		kind   verify.Kind
		folder string
		want   string
	}{
		{[]int{-1, 3, 224, 224}, "scores", "near", "crop=224 normalize=imagenet"},
		{[]int{-1, 3, 224, 224}, "scores", "large", "resize=256 crop=224 normalize=imagenet"},
		{[]int{-1, 3, 224, 224}, "scores", "little", "resize=256 crop=224 normalize=imagenet"},
		{[]int{-1, 224, 224, 3}, "scores", "nowhere", "resize=256 crop=224 normalize=imagenet"},
		{[]int{-1, 1, 28, 28}, "scores", "nowhere", "resize=32 crop=28"},
		{[]int{1, 3, 640, 640}, "boxes", "large", "resize=640x640"},
		{[]int{1, 3, 512, 512}, "mask", "large", "resize=512x512 normalize=imagenet"},
		{[]int{1, 3, 320, 640}, "values", "large", "resize=320x640 normalize=imagenet"},
		{[]int{-1, 3, 48, -1}, "tokens", "large", "resize=48 normalize=half"},
		{[]int{-1, 3, -1, -1}, "values", "large", "resize=640x640 normalize=imagenet"},
		{[]int{-1, 3, -1, -1}, "boxes", "large", "resize=640x640"},
		{[]int{-1, 3, -1, -1}, "scores", "large", "resize=256 crop=224 normalize=imagenet"},
		{[]int{-1, -1, -1, 3}, "scores", "nowhere", "resize=256 crop=224 normalize=imagenet"},
		{[]int{-1, 128}, "scores", "large", ""},
	} {
		s := &subject{inputs: []samples.InputSpec{{Name: "x", Shape: c.shape}}, outputs: []compress.OutputInspection{{Kind: c.kind}}}
		if got := strings.Join(s.preparation(c.folder), " "); got != c.want {
			t.Errorf("%v, %s of %s: %q, want %q", c.shape, c.kind, c.folder, got, c.want)
		}
	}
}

// TestOnlyHere: what lies in the folder is named where it leaves no doubt, as a word for a shell, and nothing that acts on a terminal is.
func TestOnlyHere(t *testing.T) {
	t.Chdir(t.TempDir())
	want := func(texts, photos string) {
		t.Helper()
		if a, b := onlyHere("texts.txt", isText), onlyHere("photos/", isPhotos); a != texts || b != photos {
			t.Errorf("%s and %s, want %s and %s", a, b, texts, photos)
		}
	}
	touch := func(name string) {
		t.Helper()
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want("texts.txt", "photos/")
	touch("requirements.txt")
	touch("vocab.txt")
	touch(".hidden.txt")
	touch("\x1b[2J.txt")
	touch("my tickets.txt")
	drawn(t, "street", 1, 1)
	want("'my tickets.txt'", "street/")
	touch("other.txt")
	drawn(t, "more", 1, 1)
	want("texts.txt", "photos/")
	elsewhere := t.TempDir()
	drawn(t, filepath.Join(elsewhere, "street"), 1, 1)
	t.Chdir(t.TempDir())
	if err := os.Symlink(filepath.Join(elsewhere, "street"), "linked"); err != nil {
		t.Skipf("no links here: %v", err)
	}
	if err := os.Symlink("nowhere", "dangling"); err != nil {
		t.Fatal(err)
	}
	want("texts.txt", "linked/")
}
