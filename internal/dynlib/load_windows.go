package dynlib

import "golang.org/x/sys/windows"

// load loads the library in the file at an absolute path. What it needs is looked for in its own
// folder and in those of the program and the system, never in the current folder or in PATH.
func load(path string) (uintptr, error) {
	h, err := windows.LoadLibraryEx(path, 0,
		windows.LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR|windows.LOAD_LIBRARY_SEARCH_DEFAULT_DIRS)
	return uintptr(h), err
}

func symbol(handle uintptr, name string) (uintptr, error) {
	return windows.GetProcAddress(windows.Handle(handle), name)
}
