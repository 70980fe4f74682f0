package samples

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

// album is a folder of n images, those in bad cut off or no images at all.
func album(t *testing.T, n int, bad ...int) string {
	t.Helper()
	root := t.TempDir()
	at := func(i int) string { return filepath.Join(root, fmt.Sprintf("%04d.png", i)) }
	picture(t, at(0), 2, 2, ramp)
	good, err := os.ReadFile(at(0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		text := string(good)
		if slices.Contains(bad, i) {
			text = text[:len(text)-25]
		}
		put(t, at(i), text)
	}
	return root
}

// TestUnreadable lets the next image stand in for one among hundreds that cannot be read, and says so afterwards.
func TestUnreadable(t *testing.T) {
	image := spec("x", -1, 3, 2, 2)
	var labels strings.Builder
	for i := range 200 {
		fmt.Fprintln(&labels, i)
	}
	o := SourceOptions{Labels: write(t, "labels", []byte(labels.String()))}
	s := mustOpen(t, album(t, 200, 3, 199), o, image)
	if before, want := Account(s), s.Describe(); before != want {
		t.Errorf("before: %q, want %q", before, want)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for _, i := range []int{3, 199, 4} {
				got, err := s.Sample(i)
				want := (i + i%2) % 200
				if err != nil || got.Name != fmt.Sprintf("%04d.png", want) || got.Label != want {
					t.Errorf("sample %d is %s with label %d, %v", i, got.Name, got.Label, err)
				}
			}
		})
	}
	wait.Wait()
	if got := Account(s); !strings.HasSuffix(got, " (2 of the 200 cannot be read, and the next ones stood in: 0003.png, 0199.png)") || s.Describe() == got {
		t.Errorf("afterwards: %q", got)
	}
	s = mustOpen(t, album(t, 200, 3, 4, 5), SourceOptions{}, image)
	_, err := s.Sample(3)
	testkit.WantError(t, err, "3 of 200 images cannot be read, more than 1 %: 0003.png, 0004.png, 0005.png", "0005.png: it cannot be decoded")
	_, err = mustOpen(t, album(t, 99, 3), SourceOptions{}, image).Sample(3)
	testkit.WantError(t, err, "0003.png: it cannot be decoded")
}

// TestMostlyPages refuses a large folder whose images are web pages before any work.
func TestMostlyPages(t *testing.T) {
	root := album(t, 600)
	for i := range 60 {
		put(t, filepath.Join(root, fmt.Sprintf("%04d.png", 10*i)), "<!DOCTYPE html>")
	}
	_, err := Open(root, SourceOptions{}, []InputSpec{spec("x", -1, 3, 2, 2)})
	testkit.WantError(t, err, "of 512 images", "0000.png", "a web page")
}
