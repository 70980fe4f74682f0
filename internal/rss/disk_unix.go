//go:build unix

package rss

import "golang.org/x/sys/unix"

// Free is how many bytes may still be written below a folder, 0 where the system does not say.
func Free(folder string) int64 {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0
	}
	return int64(s.Bavail) * int64(s.Bsize)
}
