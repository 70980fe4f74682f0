package rss

import (
	"errors"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

// TestGrowth takes memory and gives it back: the peak between counts, whatever there was before.
func TestGrowth(t *testing.T) {
	take := func(size int) func() error {
		return func() error {
			b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				return err
			}
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			return unix.Munmap(b)
		}
	}
	debug.FreeOSMemory()
	large, err := Growth(take(96 << 20))
	if err != nil || large == 0 {
		t.Skip("the system does not say:", err)
	}
	small, err := Growth(take(32 << 20))
	if err != nil || large < 90<<20 || small < 28<<20 || small > 60<<20 {
		t.Errorf("96 MiB took %d bytes, then 32 MiB %d, %v", large, small, err)
	}
	failed := errors.New("failed")
	if _, err := Growth(func() error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
}
