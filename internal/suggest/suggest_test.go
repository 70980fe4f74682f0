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
