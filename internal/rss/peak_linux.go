package rss

import (
	"bytes"
	"os"
	"strconv"
)

// Peak returns the most bytes of memory that were resident at once since the process began; 0 where the system does not say. What getrusage(2) tells
// is not that: a process begins there with what the one that started it had.
func Peak() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}
