package compress

import (
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Libraries are the numerical libraries of one run, opened once.
type Libraries struct {
	// Runtime is nil when no ONNX Runtime could be opened; Missing says why.
	Runtime *ort.Library
	Missing error
	Algebra linalg.Backend
	// Plain says why OpenBLAS does not do the algebra, nil when it does.
	Plain error
}

// OpenLibraries finds and opens ONNX Runtime and OpenBLAS. runtime is a path
// given by the caller, or empty to look in the usual places. A library that
// was named, by path or by environment variable, and cannot be opened is an
// error; one that is nowhere to be found is not.
func OpenLibraries(runtime string) (*Libraries, error) {
	libs := &Libraries{Algebra: linalg.Gonum()}
	blas, named, err := find(provision.OpenBLAS, "")
	if err == nil {
		var b linalg.Backend
		if b, err = linalg.Open(blas); err == nil {
			libs.Algebra = b
		}
	}
	if libs.Plain = err; err != nil && named {
		return nil, &UsageError{fmt.Errorf("OpenBLAS: %w", err)}
	}
	path, named, err := find(provision.ONNXRuntime, runtime)
	if err == nil {
		libs.Runtime, err = ort.Open(path)
	}
	if libs.Missing = err; err != nil && named {
		return nil, &UsageError{fmt.Errorf("ONNX Runtime: %w", err)}
	}
	return libs, nil
}

// find looks for a library and says whether somebody named the place.
func find(lib provision.Library, flag string) (path string, named bool, err error) {
	found, _, err := provision.Find(lib, flag)
	if missing := (*provision.NotFoundError)(nil); errors.As(err, &missing) {
		return "", false, err
	}
	if err != nil {
		return "", true, err
	}
	return found.Path, found.Source == provision.FromFlag || found.Source == provision.FromEnv, nil
}

// Close releases ONNX Runtime.
func (l *Libraries) Close() {
	if l.Runtime != nil {
		l.Runtime.Close()
	}
}

// Need returns ONNX Runtime, or an error that says what wants it and how to
// get it.
func (l *Libraries) Need(what string) (*ort.Library, error) {
	if l.Runtime != nil {
		return l.Runtime, nil
	}
	return nil, fmt.Errorf("%s needs ONNX Runtime (run `onnx-compress setup`, or see `onnx-compress doctor`): %w", what, l.Missing)
}
