//go:build !windows

package dynlib

import (
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
)

// TestSetenv asks C for what was set.
func TestSetenv(t *testing.T) {
	get, err := symbol(purego.RTLD_DEFAULT, "getenv")
	if err != nil {
		t.Fatal(err)
	}
	const name, want = "ONNX_COMPRESS_TEST_OF_SETENV", "a value"
	for range 2 {
		if err := Setenv(name, want); err != nil {
			t.Fatal(err)
		}
		key := append([]byte(name), 0)
		at, _, _ := purego.SyscallN(get, uintptr(unsafe.Pointer(&key[0])))
		if at == 0 {
			t.Fatal("C does not know it")
		}
		if got := unsafe.String(*(**byte)(unsafe.Pointer(&at)), len(want)+1); got != want+"\x00" {
			t.Errorf("C reads %q", got)
		}
	}
}
