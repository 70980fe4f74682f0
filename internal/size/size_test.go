package size

import "testing"

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		word         string
		count, bytes float64 // 0 where it is refused
	}{
		{"300", 300, 300},
		{"0.5", 0.5, 0.5},
		{"1e3", 1e3, 1e3},
		{"2k", 2e3, 2e3},
		{"2K", 2e3, 2e3},
		{"2M", 2e6, 2e6},
		{"2 m", 2e6, 2e6},
		{"1.5G", 1.5e9, 1.5e9},
		{"2T", 2e12, 2e12},
		{"7B", 0, 7},
		{"2kB", 0, 2e3},
		{"2GB", 0, 2e9},
		{"2TB", 0, 2e12},
		{"2KiB", 0, 2 << 10},
		{"2MiB", 0, 2 << 20},
		{"2gib", 0, 2 << 30},
		{"2TiB", 0, 2 << 40},
		{"2Mi", 0, 0},
		{"2iB", 0, 0},
		{"2P", 0, 0},
		{"2GG", 0, 0},
		{"G", 0, 0},
		{"", 0, 0},
		{"NaN", 0, 0},
		{"inf", 0, 0},
		{"2G!", 0, 0},
		{"0x10", 0, 0},
	} {
		for name, read := range map[string]func(string) (float64, float64, error){"Count": Count, "Bytes": Bytes} {
			want := map[string]float64{"Count": c.count, "Bytes": c.bytes}[name]
			got, unit, err := read(c.word)
			if got != want || (err == nil) != (want != 0) || err == nil && !(unit >= 1) {
				t.Errorf("%s(%q) = %g, unit %g, %v; want %g", name, c.word, got, unit, err, want)
			}
		}
	}
}
