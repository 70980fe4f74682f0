//go:build !windows

package ort

import "syscall"

// pathChar is the header's ORTCHAR_T: paths are bytes.
type pathChar = byte

// cPath returns path as the zero-terminated string that the C API wants.
func cPath(path string) (*pathChar, error) {
	return syscall.BytePtrFromString(path)
}
