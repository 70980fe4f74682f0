package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write writes the file at path as body writes it, through a buffer. Of path it wants what
// Create wants.
func Write(path string, body func(io.Writer) error) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	w := bufio.NewWriterSize(f, 1<<16)
	if err := body(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Commit()
}

// File is one file that waits beside its place until Commit or Discard.
type File struct {
	set *Set
	f   *os.File
}

// Create begins the file that is to be at path. A link stays, and the file that it leads to is
// the one that is replaced. Refused are a link that leads nowhere and anything that is there
// and no regular file.
func Create(path string) (*File, error) {
	target, err := resolve(path)
	if err != nil {
		return nil, err
	}
	set, err := Beside(target)
	if err != nil {
		return nil, err
	}
	f, err := set.create(target)
	if err != nil {
		set.Discard()
		return nil, err
	}
	return &File{set: set, f: f}, nil
}

// resolve returns the file that a path leads to, which need not exist unless by a link.
func resolve(path string) (string, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return path, nil
	} else if err != nil {
		return "", err
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("%s is a link that leads nowhere: %w", path, err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s exists and is not a regular file", path)
	}
	return target, nil
}

// Write adds to the file.
func (f *File) Write(b []byte) (int, error) { return f.f.Write(b) }

// ReadAt reads what was written.
func (f *File) ReadAt(b []byte, at int64) (int, error) { return f.f.ReadAt(b, at) }

// Commit puts the file, synced, in its place. When it fails, the old file is as it was, and
// Discard is left to do.
func (f *File) Commit() error {
	if err := errors.Join(f.f.Sync(), f.f.Close()); err != nil {
		return err
	}
	return f.set.Commit()
}

// Discard removes the file unless it has been committed.
func (f *File) Discard() {
	_ = f.f.Close() // on systems where an open file stays
	f.set.Discard()
}
