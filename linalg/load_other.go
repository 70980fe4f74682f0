//go:build !windows

package linalg

import (
	"runtime"

	"github.com/ebitengine/purego"
)

// loadLibrary opens a shared library without adding its symbols to those of the process.
func loadLibrary(path string) (uintptr, error) {
	runtime.LockOSThread() // the reason of a failure is kept for the thread that met it
	defer runtime.UnlockOSThread()
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

func findSymbol(handle uintptr, name string) (uintptr, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return purego.Dlsym(handle, name)
}
