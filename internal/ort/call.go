package ort

import (
	"errors"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// call calls the function in a slot of OrtApi and returns its result. Go memory
// whose address is converted to uintptr in the argument list stays alive and in
// place until the call returns.
//
//go:uintptrescapes
func (l *Library) call(f slot, args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(l.api[f], args...)
	return r
}

// do is call for the functions that return an OrtStatus, which it frees; op
// says in an error what was being done.
//
//go:uintptrescapes
func (l *Library) do(op string, f slot, args ...uintptr) error {
	r, _, _ := purego.SyscallN(l.api[f], args...)
	return l.failure(op, r)
}

// failure turns an OrtStatus into an error and frees it. The null status, which
// means success, gives nil.
func (l *Library) failure(op string, status uintptr) error {
	if status == 0 {
		return nil
	}
	// The code is a C int: the upper half of the register is undefined.
	code := errorCode(int32(l.call(slotGetErrorCode, status)))
	message := goString(l.call(slotGetErrorMessage, status))
	l.call(slotReleaseStatus, status)
	return &Error{Op: op, Code: code.String(), Message: strings.TrimSpace(message)}
}

// cMemory turns an address outside of Go's heap into a pointer. It is never
// given the address of a Go object.
func cMemory(address uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}

// cString returns s as a zero-terminated string in Go's memory.
func cString(s string) (*byte, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, errors.New("the text holds a zero byte")
	}
	return unsafe.SliceData(append([]byte(s), 0)), nil
}

// goString returns a copy of the zero-terminated string at an address outside
// of Go's heap.
func goString(address uintptr) string {
	if address == 0 {
		return ""
	}
	p := cMemory(address)
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return strings.Clone(unsafe.String((*byte)(p), n))
}

// takeString returns a copy of a string that the runtime allocated, and frees it.
func (l *Library) takeString(address uintptr) (string, error) {
	s := goString(address)
	if address == 0 {
		return s, nil
	}
	return s, l.do("free a string", slotAllocatorFree, l.allocator, address)
}
