package ort

import "golang.org/x/sys/windows"

// loadLibrary loads the shared library at an absolute path. What it depends on
// is looked for in its own folder first, then in the system's.
func loadLibrary(path string) (uintptr, error) {
	h, err := windows.LoadLibraryEx(path, 0,
		windows.LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR|windows.LOAD_LIBRARY_SEARCH_DEFAULT_DIRS)
	return uintptr(h), err
}

// lookup returns the address of an exported function.
func lookup(library uintptr, name string) (uintptr, error) {
	return windows.GetProcAddress(windows.Handle(library), name)
}

// pathChar is the header's ORTCHAR_T: paths are UTF-16.
type pathChar = uint16

// cPath returns path as the zero-terminated string that the C API wants.
func cPath(path string) (*pathChar, error) {
	return windows.UTF16PtrFromString(path)
}
