// Package plaintext reads texts as editors write them: in UTF-8, with a byte-order mark or without, or in UTF-16 with one,
// as Windows PowerShell writes what a command prints.
package plaintext

import (
	"io"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Reader gives the text of r in UTF-8, without its byte-order mark.
func Reader(r io.Reader) io.Reader {
	return transform.NewReader(r, unicode.BOMOverride(encoding.Nop.NewDecoder()))
}

// Bytes is the same for a text in memory. What is broken in it stays broken.
func Bytes(text []byte) []byte {
	out, _, err := transform.Bytes(unicode.BOMOverride(encoding.Nop.NewDecoder()), text)
	if err != nil {
		return text
	}
	return out
}
