package quote

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for name, want := range map[string]string{
		"":                     "",
		"/layer1/Conv 3":       "/layer1/Conv 3",
		"Gewichte für ü, 畳み込み": "Gewichte für ü, 畳み込み",
		"a\nb: fresh":          `"a\nb: fresh"`,
		"\x1b[2Jx":             `"\x1b[2Jx"`,
		"a\u202eb":             `"a\u202eb"`,
		"a\u2028b":             `"a\u2028b"`,
		"\u009b2J":             `"\u009b2J"`,
		"\xff":                 `"\xff"`,
		"a\tb":                 `"a\tb"`,
	} {
		if got := Name(name); got != want {
			t.Errorf("%q is %s, want %s", name, got, want)
		}
	}
}

func TestWriter(t *testing.T) {
	for text, want := range map[string]string{
		"two\n\tlines → 5 × 3 ü": "two\n\tlines → 5 × 3 ü",
		"\x1b]0;title\a\r":       `\u001b]0;title\u0007\u000d`,
		"\u009b2J\x7f":           `\u009b2J\u007f`,
		"a\u202eb\u2066c":        `a\u202eb\u2066c`,
		"\x9b2J":                 `\ufffd2J`,
	} {
		for step := 1; step <= len(text); step++ { // whole, and in pieces
			var got bytes.Buffer
			w := &Writer{To: &got}
			for rest := text; rest != ""; {
				n := min(step, len(rest))
				if m, err := w.Write([]byte(rest[:n])); m != n || err != nil {
					t.Fatal(m, err)
				}
				rest = rest[n:]
			}
			if got.String() != want {
				t.Errorf("%q by %d is %q, want %q", text, step, got.String(), want)
			}
		}
	}
}

// TestJSON: what it means stays the same.
func TestJSON(t *testing.T) {
	const name = "a\x1b\u009b\u202e\x7fb"
	data, err := json.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := (&Writer{To: &out}).Write(data); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != name || strings.ContainsAny(out.String(), "\x1b\x7f") {
		t.Errorf("%q, %v", got, err)
	}
}
