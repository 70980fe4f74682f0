package atomicfile

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock locks an open file for this process, or says that another has it; with neither, there are no locks here. A lock goes
// with the process, however that ends.
func tryLock(f *os.File) (locked, taken bool) {
	const all = ^uint32(0)
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, all, all, new(windows.Overlapped))
	return err == nil, errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}
