package rss

import (
	"bytes"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Available returns how many bytes this process may take: the least of what the machine has and what its control groups and those
// above them allow; 0 where the system does not say.
func Available() int64 {
	if root := system(); root != nil {
		return available(root)
	}
	return 0
}

// available reads Linux's files below root, as they lie below /.
func available(root fs.FS) int64 {
	least := total(root)
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(groups)) {
		// hierarchy-ID:controllers:path, with neither an ID but 0 nor controllers in version 2
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		if fields[1] != "" {
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		if fields[1] != "" && !strings.Contains(","+fields[1]+",", ",memory,") {
			continue
		}
		// In a container the group's own path may not be there, but its root then is the group.
		for at := path.Clean("/" + fields[2]); ; at = path.Dir(at) {
			if n := number(root, path.Join(mount, at, file)); n > 0 && (least == 0 || n < least) {
				least = n
			}
			if at == "/" {
				break
			}
		}
	}
	return least
}

// number reads a file that holds a count; 0 where there is none, "max" or another word.
func number(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// total is the machine's memory, 0 where it is not known.
func total(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

// DefaultLimit is how much work takes where nobody says otherwise: the smaller of 2 GiB and half of what is available.
func DefaultLimit() int64 { return defaultLimit(Available()) }

func defaultLimit(available int64) int64 {
	const most = 2 << 30
	if available <= 0 {
		return most
	}
	return min(most, available/2)
}
