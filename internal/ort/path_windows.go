package ort

import "golang.org/x/sys/windows"

// pathChar is the header's ORTCHAR_T: paths are UTF-16.
type pathChar = uint16

// cPath returns path as the zero-terminated string that the C API wants.
func cPath(path string) (*pathChar, error) {
	return windows.UTF16PtrFromString(path)
}
