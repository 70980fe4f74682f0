package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/provenance"
)

// namePattern says where the compressed model of a source goes: % stands for the source's
// name without .onnx, and the whole is relative to the source's folder; a pattern without %
// is a path as it is.
type namePattern string

// defaultPattern puts net.small.onnx beside net.onnx.
const defaultPattern namePattern = "%.small.onnx"

// of returns the place of a source's compressed model.
func (p namePattern) of(source string) string {
	if !p.wild() {
		return string(p)
	}
	name := strings.TrimSuffix(filepath.Base(source), ".onnx")
	return filepath.Join(filepath.Dir(source), strings.ReplaceAll(filepath.FromSlash(string(p)), "%", name))
}

func (p namePattern) wild() bool { return strings.Contains(string(p), "%") }

// check refuses a pattern that cannot serve so many sources.
func (p namePattern) check(flag string, files []string) error {
	switch {
	case p == "" || p == "%":
		return usagef("%s %q: want a pattern such as %s, %% being the source's name", flag, p, defaultPattern)
	case !p.wild() && len(files) > 1:
		return usagef("%s %s is one file for %d models; want a pattern such as %s, %% being the source's name", flag, p, len(files), defaultPattern)
	}
	return nil
}

// compressed tells whether a model file has a record, which makes it a result and no source.
func compressed(path string) (bool, error) {
	_, err := provenance.Read(path)
	none := (*provenance.NoRecordError)(nil)
	if errors.As(err, &none) {
		return false, nil
	}
	return err == nil, err
}

// exists tells whether there is a file at path.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
