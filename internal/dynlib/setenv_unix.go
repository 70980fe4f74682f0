//go:build !windows

package dynlib

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Setenv sets a variable in the environment that shared libraries see: that of C, which Go's own copy
// is not. It is for before a library is loaded, as C lets nobody read the environment meanwhile.
func Setenv(name, value string) error {
	set, err := symbol(purego.RTLD_DEFAULT, "setenv")
	if err != nil {
		return fmt.Errorf("the environment of C: %w", err)
	}
	key, text := append([]byte(name), 0), append([]byte(value), 0)
	var pin runtime.Pinner
	pin.Pin(&key[0])
	pin.Pin(&text[0])
	defer pin.Unpin()
	failed, _, _ := purego.SyscallN(set, uintptr(unsafe.Pointer(&key[0])), uintptr(unsafe.Pointer(&text[0])), 1)
	if int32(failed) != 0 {
		return fmt.Errorf("the environment of C takes no %s=%s", name, value)
	}
	return nil
}
