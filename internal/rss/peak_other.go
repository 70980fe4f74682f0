//go:build unix && !linux

package rss

import (
	"runtime"
	"syscall"
)

// Peak returns the most bytes of memory that were resident at once since the process began; 0 where the system does not say.
func Peak() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if n := int64(u.Maxrss); runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return n
	} else {
		return n << 10
	}
}
