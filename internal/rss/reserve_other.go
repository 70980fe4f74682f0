//go:build !linux

package rss

import "os"

// reserve gives a stretch of a file its place on the disk, with zeros.
func reserve(f *os.File, at, size int64) error { return zeros(f, at, size) }
