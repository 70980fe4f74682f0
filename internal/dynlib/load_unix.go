//go:build !windows

package dynlib

import (
	"runtime"

	"github.com/ebitengine/purego"
)

// load loads the library in the file at an absolute path.
func load(path string) (uintptr, error) {
	// The reason of a failure is kept per thread and fetched by a second call.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

func symbol(handle uintptr, name string) (uintptr, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return purego.Dlsym(handle, name)
}
