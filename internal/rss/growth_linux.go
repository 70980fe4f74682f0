package rss

import (
	"bytes"
	"os"
	"strconv"
)

// Growth is by how many bytes what this process has resident was larger at its peak during work than before; 0 where the system does
// not say. The peak that Peak tells begins anew with it.
func Growth(work func() error) (int64, error) {
	const forgetPeak = "5" // proc(5), clear_refs
	known := os.WriteFile("/proc/self/clear_refs", []byte(forgetPeak), 0) == nil
	before := Resident()
	if err := work(); err != nil {
		return 0, err
	}
	if peak := highest(); known && before > 0 {
		return max(peak-before, 0), nil
	}
	return 0, nil
}

// highest is the most that was resident since the peak was last forgotten, 0 where the system does not say.
func highest() int64 {
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
