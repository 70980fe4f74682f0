// Package provision finds and fetches the two shared libraries that are loaded at
// run time: ONNX Runtime, which executes models, and OpenBLAS, which speeds up dense
// linear algebra. It deals in files only; internal/ort and linalg open them.
package provision

import (
	"fmt"
	"slices"
	"strings"
)

// Library names one of the shared libraries that this project loads at run time.
type Library int

const (
	// ONNXRuntime is Microsoft's ONNX Runtime, release 1.24 or newer (C API version 24).
	ONNXRuntime Library = iota
	// OpenBLAS is OpenBLAS built with its C interfaces to BLAS and LAPACK, 32-bit integers.
	OpenBLAS
)

// Libraries lists every library, the most important first.
func Libraries() []Library { return []Library{ONNXRuntime, OpenBLAS} }

// String returns the library's name as people write it.
func (l Library) String() string {
	switch l {
	case ONNXRuntime:
		return "ONNX Runtime"
	case OpenBLAS:
		return "OpenBLAS"
	}
	return fmt.Sprintf("Library(%d)", int(l))
}

// Env returns the environment variable that names the library's file.
func (l Library) Env() string {
	if l == OpenBLAS {
		return "ONNX_COMPRESS_OPENBLAS"
	}
	return "ONNX_COMPRESS_ORT"
}

// Flag returns the command-line flag that names the library's file, or "" if there is none.
func (l Library) Flag() string {
	if l == ONNXRuntime {
		return "--ort"
	}
	return ""
}

// EnvCache is the environment variable that moves the cache folder.
const EnvCache = "ONNX_COMPRESS_CACHE"

// Source says which of the places that Find looks in held a library.
type Source string

// The places, in the order in which Find asks them.
const (
	FromFlag   Source = "flag"
	FromEnv    Source = "env"
	FromCache  Source = "cache"
	FromPython Source = "python"
	FromSystem Source = "system"
)

// Found is a library's file.
type Found struct {
	Path    string
	Source  Source
	Version string // as far as file and package names tell it; "" when they do not
}

// Tried is one place that was looked at and did not give the library.
type Tried struct {
	Source Source
	Where  string // a file, a folder or the name of what was asked
	Why    string // why it was not taken
}

// String returns the line that doctor prints.
func (t Tried) String() string { return fmt.Sprintf("%s: %s: %s", t.Source, t.Where, t.Why) }

// NotFoundError says that no place held the library.
type NotFoundError struct {
	Library Library
	Tried   []Tried
}

func (e *NotFoundError) Error() string {
	var sources []string
	for _, t := range e.Tried {
		if !slices.Contains(sources, string(t.Source)) {
			sources = append(sources, string(t.Source))
		}
	}
	return fmt.Sprintf("%s was not found (looked at: %s); to fetch it: %s",
		e.Library, strings.Join(sources, ", "), Mend(e.Library))
}

// Find looks for a library: in the file (or folder) that flag names, then in the one that
// the environment variable names, in the cache folder that Setup fills, among installed
// Python packages, and in the system's library folders. It returns the first hit together
// with every place that came before it and why that was not taken.
//
// A flag or variable that is set but does not name a library is an error: an explicit
// wish is never passed over in silence. When nothing is found the error is a *NotFoundError.
func Find(lib Library, flag string) (Found, []Tried, error) {
	return host().find(lib, flag)
}
