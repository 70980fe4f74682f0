package integration

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A document's fenced blocks are run as they stand. HTML comments right above a block,
// which readers do not see, say what else there is to know:
//
//	<!-- file: NAME -->       the block is the content of that file
//	<!-- way: wheel -->       the block is run only where the program came by that way
//	<!-- left out: WHY -->    the block is not run
//
// In a block of `console` every line that begins with "$ " is a command, and what follows is
// what it prints: … stands for anything in a line, a line of … for any lines, and numbers
// with a decimal point may lie close by, since processors round differently. A command
// succeeds unless `echo $?` stands behind it.
type block struct {
	document string
	line     int // of the opening fence, from 1
	language string
	text     string
	marks    map[string]string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.document, b.line) }

// ways are the values of the mark "way".
func ways() []string { return []string{"clone", "wheel"} }

var (
	fence = regexp.MustCompile("^```([a-z]*)$")
	mark  = regexp.MustCompile(`^<!-- (file|way|left out): (.+) -->$`)
)

// parseBlocks finds the fenced blocks of a document.
func parseBlocks(document, text string) ([]block, error) {
	var out []block
	var open *block
	marks := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		at := fmt.Sprintf("%s:%d", document, i+1)
		switch found := fence.FindStringSubmatch(line); {
		case open != nil && line == "```":
			out, open = append(out, *open), nil
		case open != nil:
			open.text += line + "\n"
		case found != nil:
			open = &block{document, i + 1, found[1], "", marks}
			marks = map[string]string{}
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			return nil, fmt.Errorf("%s: the fence %q is indented, or has more than a language", at, line)
		default:
			if m := mark.FindStringSubmatch(line); m != nil {
				marks[m[1]] = m[2]
				continue
			}
			if len(marks) > 0 {
				return nil, fmt.Errorf("%s: a mark stands before %q, not right above a block", at, line)
			}
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s: the block has no end", *open)
	}
	for _, b := range out {
		if way, ok := b.marks["way"]; ok && !slices.Contains(ways(), way) {
			return nil, fmt.Errorf("%s: unknown way %q", b, way)
		}
	}
	return out, nil
}

// command is one of a console block, with the lines that it is shown to print.
type command struct {
	text string
	want []string
	from int // the line of the block's text, from 0, at which want begins
}

// commands are those of a console block.
func (b block) commands() ([]command, error) {
	var out []command
	continued := false
	for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		text, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case continued:
			out[len(out)-1].text += "\n" + line
			out[len(out)-1].from = i + 1
			continued = strings.HasSuffix(line, `\`)
		case isCommand:
			out = append(out, command{text, nil, i + 1})
			continued = strings.HasSuffix(line, `\`)
		case len(out) == 0:
			return nil, fmt.Errorf("%s: the block does not begin with a command", b)
		default:
			out[len(out)-1].want = append(out[len(out)-1].want, line)
		}
	}
	return out, nil
}

// anything stands for what is not compared.
const anything = "…"

// matchLines compares what a command printed with what a document shows.
func matchLines(want, got []string) error {
	for len(want) > 0 {
		if want[0] == anything {
			for skip := range len(got) + 1 {
				if matchLines(want[1:], got[skip:]) == nil {
					return nil
				}
			}
			return fmt.Errorf("nothing fits what follows a line of %s, from %q", anything, first(want[1:]))
		}
		if len(got) == 0 {
			return fmt.Errorf("the line %q is missing", want[0])
		}
		if err := matchLine(want[0], got[0]); err != nil {
			return err
		}
		want, got = want[1:], got[1:]
	}
	if len(got) > 0 {
		return fmt.Errorf("the line %q is not in the document", got[0])
	}
	return nil
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

var token = regexp.MustCompile(`-?\d+\.\d+(?: ?%)?| +|…`)

// matchLine compares two lines: numbers with a decimal point by their values, spaces in any
// number, as columns move with the numbers, and all else as it stands.
func matchLine(want, got string) error {
	var pattern strings.Builder
	var numbers []string
	at := 0
	for _, span := range token.FindAllStringIndex(want, -1) {
		pattern.WriteString(regexp.QuoteMeta(want[at:span[0]]))
		switch text := want[span[0]:span[1]]; {
		case text == anything:
			pattern.WriteString(".*?")
		case text[0] == ' ':
			pattern.WriteString(" +")
		default:
			pattern.WriteString(`(-?\d+(?:\.\d+)?)`)
			if strings.HasSuffix(text, "%") {
				pattern.WriteString(" ?%")
			}
			numbers = append(numbers, text)
		}
		at = span[1]
	}
	pattern.WriteString(regexp.QuoteMeta(want[at:]))
	found := regexp.MustCompile("^" + pattern.String() + "$").FindStringSubmatch(got)
	if found == nil {
		return fmt.Errorf("%q is shown, %q was printed", want, got)
	}
	for i, text := range numbers {
		if !near(text, found[i+1]) {
			return fmt.Errorf("%q is shown, %q was printed, and %s is too far from %s", want, got, found[i+1], text)
		}
	}
	return nil
}

// near allows a number 5 % more or less, and a percentage one and a half points.
func near(want, got string) bool {
	number, percent := strings.CutSuffix(want, "%")
	w, errW := strconv.ParseFloat(strings.TrimSpace(number), 64)
	g, errG := strconv.ParseFloat(got, 64)
	allowed := 0.05 * math.Abs(w)
	if percent {
		allowed = 1.5
	}
	return errW == nil && errG == nil && math.Abs(w-g) <= allowed+1e-12
}

// shown is what a document shows for a command that printed got: a line with … stays where
// it still fits. Where a line of … stands for any number of lines it is for people to say what
// is left out, and shown is false.
func shown(want, got []string) ([]string, bool) {
	if slices.Contains(want, anything) {
		return nil, false
	}
	out := slices.Clone(got)
	for i := range out {
		if i < len(want) && strings.Contains(want[i], anything) && matchLine(want[i], got[i]) == nil {
			out[i] = want[i]
		}
	}
	return out, true
}

func TestParseBlocks(t *testing.T) {
	text := "a\n<!-- file: x.py -->\n```python\nprint(1)\n```\n<!-- left out: no network -->\n<!-- way: wheel -->\n```sh\na\n\nb\n```\n"
	got, err := parseBlocks("d.md", text)
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if b := got[0]; b.line != 3 || b.language != "python" || b.text != "print(1)\n" || b.marks["file"] != "x.py" || b.String() != "d.md:3" {
		t.Errorf("%+v", b)
	}
	if b := got[1]; b.text != "a\n\nb\n" || b.marks["left out"] != "no network" || b.marks["way"] != "wheel" || b.marks["file"] != "" {
		t.Errorf("%+v", b)
	}
	for text, want := range map[string]string{
		"  ```sh\n  ```\n":                     "indented",
		"```sh title\n```\n":                   "more than a language",
		"```sh\na\n":                           "no end",
		"<!-- file: x -->\n\n```sh\n```\n":     "not right above",
		"<!-- way: magic -->\n```sh\na\n```\n": "unknown way",
	} {
		if _, err := parseBlocks("d.md", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestParseCommands(t *testing.T) {
	b := block{text: "$ one \\\n    two\nout\n\n$ three\n$ echo $?\n1\n"}
	got, err := b.commands()
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	if got[0].text != "one \\\n    two" || !slices.Equal(got[0].want, []string{"out", ""}) || got[0].from != 2 || got[1].want != nil || got[2].from != 6 {
		t.Errorf("%+v", got)
	}
	if _, err := (block{text: "out\n$ one\n"}).commands(); err == nil {
		t.Error("output without a command passes")
	}
}

func TestMatchLines(t *testing.T) {
	for _, c := range []struct {
		want, got string
		matches   bool
	}{
		{"a b", "a b", true},
		{"a b", "a c", false},
		{"top 99.10 %, 12 of 16", "top 98.60 %, 12 of 16", true},
		{"top 99.10 %", "top 97.50 %", false},
		{"12 of 16", "13 of 16", false},
		{"27.66 dB", "28.1 dB", true},
		{"27.66 dB", "29.66 dB", false},
		{"-3.5 dB", "3.5 dB", false},
		{"x   9.9", "x 10.2", true},
		{"took 1.2 s", "took 1.2 min", false},
		{"in …/lib/a.so", "in /root/lib/a.so", true},
		{"a\n…\nd", "a\nb\nc\nd", true},
		{"a\n…\nd", "a\nd", true},
		{"a\n…\nd", "a\nb", false},
		{"a\n…", "a\nb", true},
		{"a\nb", "a", false},
		{"a", "a\nb", false},
		{"a(b", "a(b", true},
	} {
		if err := matchLines(strings.Split(c.want, "\n"), strings.Split(c.got, "\n")); (err == nil) != c.matches {
			t.Errorf("%q against %q: %v", c.want, c.got, err)
		}
	}
	got, ok := shown([]string{"in …", "x 1.0", "gone"}, []string{"in 3 s", "x 2.0"})
	if !ok || !slices.Equal(got, []string{"in …", "x 2.0"}) {
		t.Errorf("shown %q", got)
	}
	if _, ok := shown([]string{"…", "x 1.0"}, []string{"x 2.0"}); ok {
		t.Error("what is left out was decided")
	}
}
