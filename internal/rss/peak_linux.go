package rss

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Peak returns the most bytes of memory that were resident at once since the process began; 0 where the system does not say. What getrusage(2) tells
// is not that: a process begins there with what the one that started it had.
func Peak() int64 { return PeakOf(os.Getpid()) }

// PeakOf is Peak of another process, which is still there.
func PeakOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
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
