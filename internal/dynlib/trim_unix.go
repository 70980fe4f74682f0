//go:build !windows

package dynlib

import "github.com/ebitengine/purego"

// Trim gives memory back to the system that libraries have freed and the C runtime keeps for later, where it can (malloc_trim of
// glibc).
func Trim() {
	if trim, err := symbol(purego.RTLD_DEFAULT, "malloc_trim"); err == nil {
		purego.SyscallN(trim, 0)
	}
}
