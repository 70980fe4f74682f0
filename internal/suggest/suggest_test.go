package suggest

import "testing"

func TestNearest(t *testing.T) {
	candidates := []string{"macs", "params", "--calib", "--calib-samples"}
	for _, c := range []struct {
		word, want string
	}{
		{"mac", "macs"},
		{"parms", "params"},
		{"--calibs", "--calib"},
		{"--calib-sample", "--calib-samples"},
		{"macs", "macs"},
		{"latency", ""},
		{"MACS", "macs"},
		{"mäcs", "macs"},
		{"", ""},
		{"ab", ""},
		{"par", "params"},
		{"--calibration", "--calib"},
		{"--calib-samples-file", "--calib-samples"},
		{"macsimum", "macs"},
	} {
		got, ok := Nearest(c.word, candidates)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("Nearest(%q) = %q, %v; want %q", c.word, got, ok, c.want)
		}
	}
}

func TestPhrase(t *testing.T) {
	if got := Phrase("mcas", []string{"macs"}); got != ` (did you mean "macs"?)` {
		t.Errorf("Phrase = %q", got)
	}
	if got := Phrase("latency", []string{"macs"}); got != "" {
		t.Errorf("Phrase for a far word = %q, want nothing", got)
	}
}

func TestNamed(t *testing.T) {
	type colour string
	known := []colour{"red", "green"}
	if got, err := Named("colour", "green", known); err != nil || got != "green" {
		t.Errorf("%q (%v), want green", got, err)
	}
	const want = `unknown colour "gren" (did you mean "green"?); known: red, green`
	if got, err := Named("colour", "gren", known); err == nil || err.Error() != want || got != "" {
		t.Errorf("%q (%v), want the error %s", got, err, want)
	}
}
