package onnxio

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// ChangedError says that a model is not what was read any more.
type ChangedError struct{ File string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s changed since it was read; run this again when nothing writes to it", e.File)
}

// SourceDigest is Digest of the file that the model was read from. Where the files are not those that were read, which size, time
// and identity tell, the error is a *ChangedError.
func (m *Model) SourceDigest(ctx context.Context) (string, error) {
	sum, err := Digest(ctx, cmp.Or(m.files.path, m.Path))
	if err != nil {
		return "", err
	}
	if file := m.touched(); file != "" {
		return "", &ChangedError{file}
	}
	return sum, nil
}

// Unchanged wants the files that the model was read from to be as they were when SourceDigest gave sum. They are read again
// only where one was touched: that costs nothing while nobody writes to them, and a copy of the same content does no harm. Of a
// change that leaves size, time and identity as they were this sees nothing. A model of no file is unchanged.
func (m *Model) Unchanged(ctx context.Context, sum string) error {
	file := m.touched()
	if file == "" {
		return nil
	}
	if now, err := Digest(ctx, m.files.path); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil || now != sum {
		return &ChangedError{file}
	}
	return nil
}

// touched returns a file of the model that is not the one that was read, by size, time and identity; "" for none.
func (m *Model) touched() string {
	m.files.mu.Lock()
	defer m.files.mu.Unlock()
	other := func(path string, was os.FileInfo) bool {
		now, err := os.Stat(path)
		return err != nil || !os.SameFile(was, now) || now.Size() != was.Size() || !now.ModTime().Equal(was.ModTime())
	}
	if m.files.info != nil && other(m.files.path, m.files.info) {
		return m.files.path
	}
	for location, e := range m.files.external {
		if path := filepath.Join(m.folder, filepath.FromSlash(location)); other(path, e.info) {
			return path
		}
	}
	return ""
}
