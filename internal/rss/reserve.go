package rss

import "os"

// reserve gives a stretch of a file its place on the disk, with zeros: a write to a map has no other way to say that there is none left
// than to end the process. They are written, not only allotted, because systems then keep them in larger pieces, so that what is mapped
// comes into memory several times as fast.
func reserve(f *os.File, at, size int64) error {
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
