//go:build unix

package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What documents quote of measurements is tied to its section of RESULTS.md by a comment above the paragraph, list or table:
//
//	<!-- figures: TITLE; TITLE -->     every figure up to the next empty line stands in one of these sections
//	<!-- figures: none, WHY -->        what looks like a measured figure is none, or is held by another test
//
// A figure is a number with a unit or with a decimal point, outside of code. It stands in a section where a number of the section
// rounds to it, in its unit: a share of 0.296 is 30 %, and 215 s are 4 minutes. The prose without a comment must have no figures with units.
var tie = regexp.MustCompile(`^<!-- figures: (.+) -->$`)

// untied begins the comment over what is no measured figure.
const untied = "none, "

// figure is a number as it is written.
type figure struct {
	text  string
	value float64
	half  float64 // half of the last digit's unit
	unit  string  // one of "", "%", "×", "s" for times, "dB", "MiB"
}

var (
	number = regexp.MustCompile(`(\d[\d,]*(?:\.\d+)?)(?:e[-+]?\d+)?(?: ?(%|×|dB|MiB|ms|s|seconds?|minutes?|hours?|times)(?:[^\d\pL]|$))?`)
	// What is no text: emphasis, code, and where links lead.
	markup = regexp.MustCompile("\\*|`[^`]*`|\\]\\([^)]*\\)")
	inTime = map[string]float64{"ms": 1e-3, "s": 1, "second": 1, "seconds": 1, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}
)

// figuresIn finds the numbers of a line. Those that have no unit are in the unit given.
func figuresIn(line, unit string) []figure {
	var out []figure
	for _, m := range number.FindAllStringSubmatch(markup.ReplaceAllString(line, ""), -1) {
		digits := strings.TrimRight(strings.ReplaceAll(m[1], ",", ""), ".")
		value, _ := strconv.ParseFloat(digits, 64)
		_, fraction, _ := strings.Cut(digits, ".")
		f := figure{strings.TrimRight(m[0], " |.,;:)"), value, 0.5 * math.Pow10(-len(fraction)), cmp.Or(m[2], unit)}
		if scale, ok := inTime[f.unit]; ok {
			f.value, f.half, f.unit = f.value*scale, f.half*scale, "s"
		} else if f.unit == "times" {
			f.unit = "×"
		}
		out = append(out, f)
	}
	return out
}

// measuredFigures are the numbers of a section, without its commands. A column of a table may have its unit in its head.
func measuredFigures(body string) []figure {
	var out []figure
	var units []string // of the columns of the table
	_, body, _ = strings.Cut(body, "\n")
	for line := range strings.SplitSeq(fencedBlock.ReplaceAllString(body, ""), "\n") {
		if !strings.HasPrefix(line, "|") {
			units = nil
			out = append(out, figuresIn(line, "")...)
			continue
		}
		cells := strings.Split(line, "|")
		if units == nil {
			for _, head := range cells {
				unit := ""
				for word := range strings.FieldsSeq(head) {
					if inTime[word] > 0 {
						unit = word
					}
				}
				units = append(units, unit)
			}
		}
		for i, cell := range cells {
			out = append(out, figuresIn(cell, units[min(i, len(units)-1)])...)
		}
	}
	return out
}

var fencedBlock = regexp.MustCompile("(?ms)^```.*?^```$")

// rounds says whether what was measured gives the figure that is quoted.
func (f figure) rounds(m figure) bool {
	value := m.value
	switch {
	case f.unit == m.unit, f.unit == "":
	case f.unit == "%" && m.unit == "" && value <= 1:
		value *= 100
	case f.unit == "×" && m.unit == "":
	default:
		return false
	}
	return math.Abs(f.value-value) <= f.half*(1+1e-9)
}

// quoted says what of a document does not stand where it says, or does not say where it stands.
func quoted(document, text string, r results) []string {
	var wrong []string
	var sections []figure
	var names string
	fenced, tied, found := false, false, 0
lines:
	for i, line := range strings.Split(text+"\n", "\n") {
		complain := func(format string, args ...any) {
			wrong = append(wrong, fmt.Sprintf("%s:%d: ", document, i+1)+fmt.Sprintf(format, args...))
		}
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		switch m := tie.FindStringSubmatch(line); {
		case fenced || strings.HasPrefix(line, "```"):
			continue
		case m != nil:
			tied, found, names, sections = true, 0, m[1], nil
			if strings.HasPrefix(names, untied) {
				continue
			}
			for title := range strings.SplitSeq(names, "; ") {
				if _, ok := r[title]; !ok {
					complain("bench/RESULTS.md has no section %q", title)
					names = untied
				}
				sections = append(sections, measuredFigures(r[title])...)
			}
			continue
		case line == "":
			if tied && found == 0 {
				complain("there is no figure under the comment that ties them to %s", names)
			}
			tied = false
			continue
		}
		for _, f := range figuresIn(line, "") {
			if f.unit == "" && !strings.Contains(f.text, ".") {
				continue
			}
			found++
			switch {
			case tied && strings.HasPrefix(names, untied):
			case tied && !stands(f, sections):
				complain("%s is quoted, but %s in bench/RESULTS.md has no such figure", f.text, names)
			case !tied && f.unit != "":
				complain("%s looks measured: say in a comment <!-- figures: SECTION --> where it stands, or <!-- figures: none, WHY -->", f.text)
				continue lines // once for a line is enough
			}
		}
	}
	return wrong
}

func stands(f figure, measured []figure) bool {
	for _, m := range measured {
		if f.rounds(m) {
			return true
		}
	}
	return false
}

// TestQuoted holds the documents against what was measured.
func TestQuoted(t *testing.T) {
	text, err := os.ReadFile("RESULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	r, _ := parseResults(string(text))
	documents, err := filepath.Glob("../docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatal("no documents", err)
	}
	for _, path := range append([]string{"../README.md"}, documents...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range quoted(strings.TrimPrefix(path, "../"), string(text), r) {
			t.Error(wrong)
		}
	}
}

// The test above can fail: by a figure that was measured anew, by a section that went, by a figure that no comment ties.
func TestQuotedFails(t *testing.T) {
	r, _ := parseResults("# Results\n\n## One\n\nMeasured 9.9 %.\n\n```\ncommand 7.7 %\n```\n\n" +
		"| target | top-1 | seconds | speed |\n|---|---|---|---|\n| 0.296 | **91.73 %** | 215 | 1.29× |\n\nSNR -3.5 dB, 0.8893.\n")
	for text, want := range map[string]string{
		"<!-- figures: One -->\nIt keeps 91.73 % in 215 seconds.\n":     "",
		"<!-- figures: One -->\n| 91.7 % |\n|---|\n| **92 %** |\n":      "",
		"<!-- figures: One -->\n30 % of it, in 4 minutes, 0.889.\n":     "",
		"<!-- figures: One -->\n1.3 times, 1.29× as fast, 3.5 dB.\n":    "",
		"<!-- figures: One -->\nIt keeps 91.74 %.\n":                    "d.md:2: 91.74 % is quoted",
		"<!-- figures: One -->\nIt keeps 91.73 times.\n":                "91.73 times is quoted",
		"<!-- figures: One -->\nIt takes 3 minutes.\n":                  "3 minutes is quoted",
		"<!-- figures: One -->\nA cosine of 0.888.\n":                   "0.888 is quoted",
		"<!-- figures: One -->\nIt loses 9.9 %.\n":                      "9.9 % is quoted", // the line of the age is no result
		"<!-- figures: One -->\nIt loses 7.7 %.\n":                      "7.7 % is quoted", // nor is a command
		"<!-- figures: One -->\n91.73 %\n\nIt keeps 12 %.\n":            "d.md:4: 12 % looks measured",
		"<!-- figures: Two -->\n91.73 %\n":                              `no section "Two"`,
		"<!-- figures: One -->\nMuch.\n":                                "no figure under the comment",
		"<!-- figures: none, what is asked for -->\n12 %\n":             "",
		"```\n12 %\n```\n`--target agree=97%`, 3×3, Go 1.26, 512 files": "",
		"Twice in 12 seconds.":                                          "12 seconds looks measured",
	} {
		got := quoted("d.md", text, r)
		switch {
		case want == "" && len(got) > 0:
			t.Errorf("%q: %q", text, got)
		case want != "" && (len(got) != 1 || !strings.Contains(got[0], want)):
			t.Errorf("%q: %q, want one with %q", text, got, want)
		}
	}
}
