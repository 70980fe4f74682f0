package onnxio

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
)

// WriteOptions says how a model is written.
type WriteOptions struct {
	// Overwrite allows an existing file at the target to be replaced.
	Overwrite bool
	// Aside has a model whose target exists, and may not be replaced, go to the first free of NAME.2.onnx, NAME.3.onnx, … beside it: for
	// those who made sure by CanWrite that the target was free, and whose work is not to be lost where that is so no more.
	Aside bool
}

// Write writes the model to a file at path, and external data, where it has any, to one
// file beside it, named path with the first of its SHA-256 and ".data" added. It is Create and Commit in one: a failure
// or a cancelled context leaves no trace, and a file being replaced stays whole until
// its successor is.
func Write(ctx context.Context, m *Model, path string, o WriteOptions) error {
	s, err := Create(ctx, m, path, o)
	if err != nil {
		return err
	}
	defer s.Discard()
	return s.Commit()
}

// CanWrite reports whether Write would accept the target, so that a long computation
// need not end in a refusal. Refused are a target that is the file the model came from
// or one of its data files, by whatever name or link; a target that is not a regular
// file, or whose folder does not exist or cannot be written to; and, unless
// o.Overwrite is set, one that exists, with an error that is [fs.ErrExist], whatever o.Aside says.
func CanWrite(m *Model, path string, o WriteOptions) error {
	o.Aside = false
	err := checkTarget(m.sources(), path, o)
	if err == nil {
		var probe *atomicfile.Set
		if probe, err = atomicfile.Beside(path); err == nil {
			probe.Discard()
		}
	}
	if err != nil {
		return fmt.Errorf("writing model %s: %w", path, err)
	}
	return nil
}

// ExternalBytes returns the size of the external data files of the model at path: 0 when
// its weights are all inside.
func ExternalBytes(path string) (int64, error) {
	m, err := Read(path)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, info := range m.files.infos() {
		n += info.Size()
	}
	return n, m.Close()
}

// sources returns the files that the model comes from.
func (m *Model) sources() []os.FileInfo {
	sources := m.files.infos()
	if m.Path != "" {
		// The input may have been moved away since; then nothing can overwrite it.
		if own, err := os.Stat(m.Path); err == nil {
			sources = append(sources, own)
		}
	}
	return sources
}

// checkTarget refuses a path that must not be written to.
func checkTarget(sources []os.FileInfo, path string, o WriteOptions) error {
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("the target's folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", folder)
	}
	if _, err := os.Lstat(path); err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	if o.Aside && !o.Overwrite {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	if info, err = os.Stat(path); err != nil {
		return fmt.Errorf("the target is a link that leads nowhere: %w", err)
	}
	if err := notASource(sources, path); err != nil {
		return err
	}
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s exists and is not a regular file", path)
	case !o.Overwrite:
		return fmt.Errorf("%s: %w; choose another name, or allow it to be replaced", path, fs.ErrExist)
	}
	return nil
}

// notASource refuses a path that leads to a file that the model is read from.
func notASource(sources []os.FileInfo, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // there is none
	}
	for _, s := range sources {
		if os.SameFile(s, info) {
			return fmt.Errorf("%s is a file that the model is read from; choose another name", path)
		}
	}
	return nil
}
