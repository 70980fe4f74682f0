package rss

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reserve gives a stretch of a file its place on the disk, with zeros.
func reserve(f *os.File, at, size int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), 0, at, size); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return zeros(f, at, size)
		default:
			return err
		}
	}
}
