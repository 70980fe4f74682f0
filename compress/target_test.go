package compress

import (
	"math"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Target
	}{
		{"macs=0.5", Target{MACs, 0.5, true}},
		{"macs=1", Target{MACs, 1, true}},
		{"macs=50%", Target{MACs, 0.5, true}},
		{"macs=0.5%", Target{MACs, 0.005, true}},
		{"macs=57%", Target{MACs, 0.57, true}},
		{"params=100%", Target{Params, 1, true}},
		{"macs=2T", Target{MACs, 2e12, false}},
		{"params=2M", Target{Params, 2e6, false}},
		{"params=1.5k", Target{Params, 1500, false}},
		{"macs=20000000", Target{MACs, 2e7, false}},
		{"macs=0.5G", Target{MACs, 5e8, false}},
		{"bytes=60%", Target{Bytes, 0.6, true}},
		{"bytes=2MiB", Target{Bytes, 2 << 20, false}},
		{"bytes=1.5KiB", Target{Bytes, 1536, false}},
		{"bytes=500kB", Target{Bytes, 5e5, false}},
		{"bytes=2MB", Target{Bytes, 2e6, false}},
		{"bytes=3M", Target{Bytes, 3e6, false}},
		{"latency=0.6", Target{RunTime, 0.6, true}},
		{"latency=60%", Target{RunTime, 0.6, true}},
		{"latency=12ms", Target{RunTime, 12e6, false}},
		{"latency=0.8ms", Target{RunTime, 8e5, false}},
		{"latency=800us", Target{RunTime, 8e5, false}},
		{"latency=1.5s", Target{RunTime, 1.5e9, false}},
	} {
		got, err := ParseTarget(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseTarget(%q) = %v, %v; want %v", c.in, got, err, c.want)
		}
	}
}

func TestParseTargetErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"macs", "want KIND=VALUE"},
		{"mac=0.5", `did you mean "macs"`},
		{"speed=3", "known kinds: macs, params, bytes, latency"},
		{"latency=3", "write a fraction (0.6, 60%) or a time (12ms, 800us)"},
		{"latency=12m3", "a time (12ms, 800us)"},
		{"latency=-2ms", "not a positive number"},
		{"macs=2MiB", "not a positive number"},
		{"byte=1", `did you mean "bytes"`},
		{"macs=", "not a positive number"},
		{"macs=-1", "not a positive number"},
		{"macs=0", "not a positive number"},
		{"macs=NaN", "not a positive number"},
		{"macs=half", "not a positive number"},
		{"macs=120%", "more than the whole model"},
		{"macs=1.7", "more than the whole model, and no count; write a fraction"},
		{"macs=1e308G", "no useful count"},
		{"macs=0.0005k", "no useful count"},
		{"params=0.0011k", "no useful count"},
		{"macs=1e-323%", "no useful count"},
		{"MACS=0.5", `did you mean "macs"`},
		{"=0.5", "unknown kind"},
	} {
		_, err := ParseTarget(c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseTarget(%q) error = %v; want one with %q", c.in, err, c.want)
		}
	}
}

func TestTargetLimit(t *testing.T) {
	if got := (Target{MACs, 0.5, true}).Limit(101); got != 50.5 {
		t.Errorf("half of 101 is %g", got)
	}
	if got, err := ParseTarget("macs=2.3M"); err != nil || got != (Target{MACs, 2300000, false}) {
		t.Errorf("2.3M are %+v, %v", got, err)
	}
	if got := (Target{Params, 2000, false}).Limit(101); got != 2000 {
		t.Errorf("a count of 2000 is %g", got)
	}
}

// FuzzParseTarget: what is accepted is a bound that can be used, and it can be written and
// read again.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"macs=0.5", "params=2M", "=", "macs=1e309", "macs=%", "macs=1e300T", "params=0.001k", "params=0.0011k", "macs=2.3M", "macs=0x1p-3", "bytes=2MiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseTarget(s)
		if err != nil {
			return
		}
		if !(target.Value > 0) || math.IsInf(target.Value, 0) || target.Fraction != (target.Value <= 1) {
			t.Errorf("ParseTarget(%q) accepted %+v", s, target)
		}
		if again, err := ParseTarget(target.String()); err != nil || again != target {
			t.Errorf("%q is written as %q and read as %+v, %v", s, target, again, err)
		}
	})
}
