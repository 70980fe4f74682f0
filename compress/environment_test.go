package compress

import (
	"runtime/debug"
	"testing"
)

// TestMemoryIsGivenUp: once an environment with a memory limit is closed, or was not opened, garbage is collected as before.
func TestMemoryIsGivenUp(t *testing.T) {
	settings := func() (limit int64, percent int) {
		limit, percent = debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
		return limit, percent
	}
	limit, percent := settings()
	outer := in(t, func(o *EnvironmentOptions) { o.Memory = 4 << 30 })
	between, often := settings()
	inner := in(t, func(o *EnvironmentOptions) { o.Memory = 1 << 30 })
	if got, _ := settings(); got >= between || between >= limit || often >= percent {
		t.Errorf("limits of %d, then %d, then %d bytes; %d and %d percent", limit, between, got, percent, often)
	}
	inner.Close()
	if got, p := settings(); got != between || p != often {
		t.Errorf("without the inner limit %d bytes and %d percent, want %d and %d", got, p, between, often)
	}
	outer.Close()
	if _, err := Open(EnvironmentOptions{Memory: 1 << 30, Runtime: out(t)}); err == nil {
		t.Error("a library that is not there was opened")
	}
	if got, p := settings(); got != limit || p != percent {
		t.Errorf("afterwards %d bytes and %d percent, want %d and %d", got, p, limit, percent)
	}
}
