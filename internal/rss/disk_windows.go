package rss

import "golang.org/x/sys/windows"

// Free is how many bytes may still be written below a folder, 0 where the system does not say.
func Free(folder string) int64 {
	var free uint64
	path, err := windows.UTF16PtrFromString(folder)
	if err == nil {
		err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	}
	if err != nil {
		return 0
	}
	return int64(free)
}
