package onnxio

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestUnchanged: a change of the model or its data is noticed, whatever was touched without one is not.
func TestUnchanged(t *testing.T) {
	ctx := context.Background()
	write := func(path string, change bool) error {
		content, err := os.ReadFile(path)
		if change {
			content[len(content)-1] ^= 1
		}
		return errors.Join(err, os.Remove(path), os.WriteFile(path, content, 0o644))
	}
	for name, c := range map[string]struct {
		touch   func(folder string) error
		changed bool
	}{
		"nothing":          {func(string) error { return nil }, false},
		"time":             {func(f string) error { return os.Chtimes(filepath.Join(f, "model.onnx"), time.Time{}, time.Unix(1, 0)) }, false},
		"same content":     {func(f string) error { return write(filepath.Join(f, "a.bin"), false) }, false},
		"another model":    {func(f string) error { return write(filepath.Join(f, "model.onnx"), true) }, true},
		"other data":       {func(f string) error { return write(filepath.Join(f, "a.bin"), true) }, true},
		"data are missing": {func(f string) error { return os.Remove(filepath.Join(f, "a.bin")) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := outside(t)
			m := open(t, path)
			sum, err := m.SourceDigest(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.touch(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			err = m.Unchanged(ctx, sum)
			if _, is := errors.AsType[*ChangedError](err); is != c.changed || !is && err != nil {
				t.Errorf("%v", err)
			}
			if _, err := m.SourceDigest(ctx); (err != nil) != (name != "nothing") {
				t.Errorf("a digest after that: %v", err)
			}
		})
	}
}
