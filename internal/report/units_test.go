package report

import (
	"math"
	"testing"
)

func TestCountAndBytes(t *testing.T) {
	for _, c := range []struct {
		n            int64
		count, bytes string
	}{
		{0, "0", "0 B"},
		{812, "812", "812 B"},
		{1000, "1 k", "1000 B"},
		{1024, "1.024 k", "1 KiB"},
		{40551040, "40.55 M", "38.67 MiB"},
		{1 << 30, "1.074 G", "1 GiB"},
		{999, "999", "999 B"},
		{999949, "999.9 k", "976.5 KiB"},
		{999951, "1 M", "976.5 KiB"},
		{1023 << 10, "1.048 M", "1023 KiB"},
		{1<<20 - 1, "1.049 M", "1 MiB"},
		{math.MaxInt64, "9223 P", "8192 PiB"},
	} {
		if got := Count(c.n); got != c.count {
			t.Errorf("Count(%d) = %q, want %q", c.n, got, c.count)
		}
		if got := Bytes(c.n); got != c.bytes {
			t.Errorf("Bytes(%d) = %q, want %q", c.n, got, c.bytes)
		}
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{0: "0 sites", 1: "1 site", 2: "2 sites"} {
		if got := number(n, "site"); got != want {
			t.Errorf("number(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestRatio(t *testing.T) {
	if got := Ratio(1, 3); got != "33.3 %" {
		t.Errorf("Ratio(1, 3) = %q", got)
	}
	if got := Ratio(0, 0); got != "–" {
		t.Errorf("Ratio(0, 0) = %q", got)
	}
}
