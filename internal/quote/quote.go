// Package quote keeps what others named from acting on a terminal, or from looking like words of this program.
package quote

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name is a name for a line of text: itself, or quoted where there are signs in it that do not print, such as escape codes and line
// breaks.
func Name(s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || r == '\u2028' || r == '\u2029' }) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

// Words are arguments for a line of text, with the strings among them as Name has them.
func Words(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		if s, ok := a.(string); ok {
			a = Name(s)
		}
		out[i] = a
	}
	return out
}

// Writer writes text to a terminal, lines and all, in which signs that would act on it are written as \uXXXX: which is what they
// are in JSON, too. A sign may come in several pieces.
type Writer struct {
	To   io.Writer
	rest []byte // of a sign that is not whole yet
}

func (w *Writer) Write(p []byte) (int, error) {
	text := p
	if len(w.rest) > 0 {
		text = append(w.rest, p...)
		w.rest = nil
	}
	if !clean(text) {
		var b strings.Builder
		for len(text) > 0 {
			if !utf8.FullRune(text) {
				w.rest = append([]byte{}, text...)
				break
			}
			r, n := utf8.DecodeRune(text)
			switch {
			case r == utf8.RuneError && n == 1: // a byte that some terminals take for a control
				b.WriteString(`\ufffd`)
			case acts(r):
				b.WriteString(escaped(r))
			default:
				b.WriteRune(r)
			}
			text = text[n:]
		}
		text = []byte(b.String())
	}
	if _, err := w.To.Write(text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// clean tells whether nothing is to be done.
func clean(text []byte) bool {
	for _, c := range text {
		if c >= 0x7f || c < ' ' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// acts tells whether a sign moves the cursor, starts a command of the terminal, or turns the direction of what is around it.
func acts(r rune) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\u061c', r == '\u200e', r == '\u200f':
		return true
	}
	return '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

func escaped(r rune) string {
	const digits = "0123456789abcdef"
	return `\u` + string([]byte{digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15]})
}
