package rss

import "os"

// Growth is by how many bytes what this process has resident was larger at its peak during work than before; 0 where the system does
// not say. The peak that Peak tells begins anew with it.
func Growth(work func() error) (int64, error) {
	const forgetPeak = "5" // proc(5), clear_refs
	known := os.WriteFile("/proc/self/clear_refs", []byte(forgetPeak), 0) == nil
	before := Resident()
	if err := work(); err != nil {
		return 0, err
	}
	if peak := Peak(); known && before > 0 {
		return max(peak-before, 0), nil
	}
	return 0, nil
}
