//go:build !windows

package ort

import (
	"runtime"
	"syscall"

	"github.com/ebitengine/purego"
)

// loadLibrary loads the shared library at an absolute path.
func loadLibrary(path string) (uintptr, error) {
	// The reason of a failure is kept per thread and fetched by a second call.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

// lookup returns the address of an exported function.
func lookup(library uintptr, name string) (uintptr, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return purego.Dlsym(library, name)
}

// pathChar is the header's ORTCHAR_T: paths are bytes.
type pathChar = byte

// cPath returns path as the zero-terminated string that the C API wants.
func cPath(path string) (*pathChar, error) {
	return syscall.BytePtrFromString(path)
}
