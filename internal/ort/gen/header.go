package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// value is one constant of an enum.
type value struct {
	Name   string
	Number int64
}

// member finds the name that one declaration of a table gives its function
// pointer. The header writes them in four ways.
var (
	memberMacro   = regexp.MustCompile(`^ORT_API2_STATUS\s*\(\s*(\w+)\s*,`)
	memberTyped   = regexp.MustCompile(`^ORT_API_T\s*\([^,]+,\s*(\w+)\s*[,)]`)
	memberRelease = regexp.MustCompile(`^ORT_CLASS_RELEASE\s*\(\s*(\w+)\s*\)`)
	memberPlain   = regexp.MustCompile(`^[\w\s*]+\(\s*ORT_API_CALL\s*\*\s*(\w+)\s*\)\s*\(`)

	sinceTag     = regexp.MustCompile(`\\since\s+(?:Version\s+)?1\.(\d+)`)
	versionMacro = regexp.MustCompile(`(?m)^#define\s+ORT_API_VERSION\s+(\d+)`)
	blockComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	lineComment  = regexp.MustCompile(`//[^\n]*`)
)

// checkVersion returns an error unless header is ONNX Runtime's C header of API
// version api or a newer one.
func checkVersion(header string, api int) error {
	m := versionMacro.FindStringSubmatch(header)
	if m == nil {
		return errors.New("no #define ORT_API_VERSION: not ONNX Runtime's C header")
	}
	if have, err := strconv.Atoi(m[1]); err != nil || have < api {
		return fmt.Errorf("the header is of API version %s, older than the wanted %d", m[1], api)
	}
	return nil
}

// parseTable returns the names of the function pointers of the structure called
// name, up to API version api, in the order of their slots.
func parseTable(header, name string, api int) ([]string, error) {
	_, body, ok := strings.Cut(header, "\nstruct "+name+" {")
	if !ok {
		return nil, fmt.Errorf("no struct %s", name)
	}
	body, _, ok = strings.Cut(body, "\n};")
	if !ok {
		return nil, fmt.Errorf("struct %s has no end", name)
	}
	var names []string
	seen := map[string]bool{}
	for _, declaration := range declarations(body) {
		if since, ok := sinceVersion(declaration); ok && since > api {
			break
		}
		code := strings.TrimSpace(stripComments(declaration))
		if code == "" {
			continue
		}
		member, err := memberName(code)
		if err != nil {
			return nil, fmt.Errorf("struct %s, slot %d: %w", name, len(names), err)
		}
		if seen[member] {
			return nil, fmt.Errorf("struct %s, slot %d: %s is declared twice", name, len(names), member)
		}
		seen[member] = true
		names = append(names, member)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("struct %s is empty", name)
	}
	return names, nil
}

// declarations cuts the body of a structure at the semicolons outside of
// comments; each piece keeps the comments before it.
func declarations(body string) []string {
	var pieces []string
	start := 0
	for i := 0; i < len(body); i++ {
		switch {
		case strings.HasPrefix(body[i:], "/*"):
			i = skipTo(body, i+2, "*/")
		case strings.HasPrefix(body[i:], "//"):
			i = skipTo(body, i+2, "\n")
		case body[i] == ';':
			pieces = append(pieces, body[start:i])
			start = i + 1
		}
	}
	return append(pieces, body[start:])
}

// skipTo returns the position of the last byte of end in s at or after from,
// or of the last byte of s.
func skipTo(s string, from int, end string) int {
	i := strings.Index(s[from:], end)
	if i < 0 {
		return len(s) - 1
	}
	return from + i + len(end) - 1
}

// sinceVersion returns N of the last "\since Version 1.N" in the comments
// before a declaration.
func sinceVersion(declaration string) (int, bool) {
	all := sinceTag.FindAllStringSubmatch(declaration, -1)
	if all == nil {
		return 0, false
	}
	n, err := strconv.Atoi(all[len(all)-1][1])
	return n, err == nil
}

// memberName returns the name that a declaration without comments declares.
func memberName(code string) (string, error) {
	for _, re := range []*regexp.Regexp{memberMacro, memberTyped, memberPlain} {
		if m := re.FindStringSubmatch(code); m != nil {
			return m[1], nil
		}
	}
	if m := memberRelease.FindStringSubmatch(code); m != nil {
		return "Release" + m[1], nil
	}
	return "", fmt.Errorf("cannot read the declaration %q", code)
}

// parseEnum returns the constants of the enum typedef called name.
func parseEnum(header, name string) ([]value, error) {
	_, body, ok := strings.Cut(header, "\ntypedef enum "+name+" {")
	if !ok {
		return nil, fmt.Errorf("no enum %s", name)
	}
	body, _, ok = strings.Cut(body, "}")
	if !ok {
		return nil, fmt.Errorf("enum %s has no end", name)
	}
	var values []value
	known := map[string]int64{}
	next := int64(0)
	for item := range strings.SplitSeq(stripComments(body), ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		constant, text, explicit := strings.Cut(item, "=")
		constant, text = strings.TrimSpace(constant), strings.TrimSpace(text)
		if explicit {
			n, err := strconv.ParseInt(text, 0, 32)
			if earlier, ok := known[text]; ok {
				n, err = earlier, nil
			}
			if err != nil {
				return nil, fmt.Errorf("enum %s: %s has the value %q", name, constant, text)
			}
			next = n
		}
		known[constant] = next
		values = append(values, value{Name: constant, Number: next})
		next++
	}
	return values, nil
}

// stripComments removes C comments; the header has no strings that look like
// one.
func stripComments(s string) string {
	return lineComment.ReplaceAllString(blockComment.ReplaceAllString(s, " "), " ")
}

// goName turns an enum constant's name into a Go one: ORT_INVALID_ARGUMENT with
// the prefix "code" becomes codeInvalidArgument.
func goName(e enumeration, c string) string {
	rest := strings.TrimPrefix(c, e.Strip)
	var b strings.Builder
	b.WriteString(e.Prefix)
	for word := range strings.SplitSeq(rest, "_") {
		if strings.Contains(c, "_") {
			word = strings.ToLower(word)
		}
		for i, r := range word {
			if i == 0 {
				r = unicode.ToUpper(r)
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}
