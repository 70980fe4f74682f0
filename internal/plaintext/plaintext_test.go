package plaintext

import (
	"io"
	"strings"
	"testing"
)

func TestTexts(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		"a: ü\r\n":                         "a: ü\r\n",
		"\xef\xbb\xbfa: ü\n":               "a: ü\n",
		"\xff\xfea\x00:\x00\xfc\x00\n\x00": "a:ü\n",
		"\xfe\xff\x00a\x00\n":              "a\n",
		"\xef\xbb":                         "\xef\xbb",
		"\x80\xff":                         "\x80\xff",
	} {
		got, err := io.ReadAll(Reader(strings.NewReader(text)))
		if string(got) != want || err != nil {
			t.Errorf("Reader gives %q for %q, %v; want %q", got, text, err, want)
		}
		if got := Bytes([]byte(text)); string(got) != want {
			t.Errorf("Bytes(%q) = %q, want %q", text, got, want)
		}
	}
}
