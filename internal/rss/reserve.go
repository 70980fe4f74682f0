package rss

import "os"

// zeros writes so many zeros to a file: what is mapped must have its place on the disk, for a write to a map has no other way to say that
// there is none than to end the process.
func zeros(f *os.File, at, size int64) error {
	b := make([]byte, min(size, 1<<20))
	for size > 0 {
		n, err := f.WriteAt(b[:min(size, int64(len(b)))], at)
		if err != nil {
			return err
		}
		at, size = at+int64(n), size-int64(n)
	}
	return nil
}
