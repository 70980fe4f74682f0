//go:build unix

package rss

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Forget gives the pages back that lie whole in b, a part of a file's map: they are read from the file again, as they were written last,
// where they are wanted again. Others may read b meanwhile.
func Forget(b []byte) {
	page := uintptr(os.Getpagesize())
	start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	skip := -start & (page - 1)
	if uintptr(len(b)) < skip+page {
		return
	}
	whole := (uintptr(len(b)) - skip) &^ (page - 1)
	// Where the system does not take the advice, the pages stay.
	_ = unix.Madvise(b[skip:skip+whole], unix.MADV_DONTNEED)
}
