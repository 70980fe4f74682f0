//go:build !windows

package atomicfile

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks an open file for this process, or says that another has it; with neither, there are no locks here. A lock goes
// with the process, however that ends, and holds for other machines as well where they share the folder.
func tryLock(f *os.File) (locked, taken bool) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return err == nil, errors.Is(err, syscall.EWOULDBLOCK)
}
