// Package dynlib loads shared libraries, without cgo. A library that has been loaded stays for
// the life of the process: its threads may still run, and what it gave out may still be held.
package dynlib

import (
	"fmt"
	"os"
	"path/filepath"
)

// Library is a shared library that has been loaded.
type Library struct {
	handle uintptr
	path   string // absolute
}

// Open loads the shared library in the file at path. Its symbols stay apart from those of the
// process and of other libraries. What it needs itself is looked for in its own folder, where
// the system has that, and where the system looks. Opening a file again does not load it twice.
func Open(path string) (*Library, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// The loader's own words for a file that does not exist differ by platform.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		return nil, fmt.Errorf("%s is a folder: give the library's file", path)
	} else if !info.Mode().IsRegular() { // the loader would wait for whoever writes to a pipe
		return nil, fmt.Errorf("%s is not a regular file: give the library's file", path)
	}
	handle, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	return &Library{handle: handle, path: path}, nil
}

// Path returns the absolute path of the library's file.
func (l *Library) Path() string { return l.path }

// Symbol returns the address of a symbol that the library exports.
func (l *Library) Symbol(name string) (uintptr, error) {
	address, err := symbol(l.handle, name)
	if err != nil {
		return 0, fmt.Errorf("%s exports no %s: %w", l.path, name, err)
	}
	return address, nil
}
