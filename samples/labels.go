package samples

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/plaintext"
)

// readLabels reads the labels of n samples from a file; nil where file is empty. names
// are the samples' file names, nil where they have none. A sample that a list of some
// leaves out gets -1. classes are the names that the classes have in the file, nil where they are numbers there.
func readLabels(file string, n int, names []string) (labels []int, classes []string, err error) {
	if file == "" {
		return nil, nil, nil
	}
	if file == NextToken {
		return nil, nil, fmt.Errorf("labels %s are the tokens after each, which only arrays of ids have", file)
	}
	f, _, err := bounded.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("labels: %w", err)
	}
	defer f.Close()
	ordered, named, err := parseLabels(bounded.Reader(f, file, maxLabelBytes))
	if err != nil {
		return nil, nil, explained(file, fmt.Errorf("labels %s: %w", file, err))
	}
	switch {
	case named == nil && len(ordered) != n:
		return nil, nil, fmt.Errorf("labels %s: it has %d labels for %d samples; want one a line for each, in order", file, len(ordered), n)
	case named == nil:
		return ordered, nil, nil
	case names == nil:
		return nil, nil, fmt.Errorf("labels %s: it goes by file names, but the samples are no files; give one label a line, in order", file)
	}
	if labels, err = named.match(names); err != nil {
		return nil, nil, fmt.Errorf("labels %s: %w", file, err)
	}
	return labels, named.classes, nil
}

// labelLine is what one line says.
type labelLine struct {
	number      int
	name, class string
	label       int
}

// namedLabels goes by file names.
type namedLabels struct {
	// all says that every line is to be about a sample, and every sample to have a line; a list with tabs is about some.
	all     bool
	lines   map[string]labelLine
	classes []string // the names of the classes, sorted; nil where they are numbers
}

// wantLabels says what a file of labels looks like.
const wantLabels = "want a class index from 0, or NAME,CLASS, NAME CLASS or NAME<TAB>CLASS with the index or the name of a class"

// parseLabels reads either one label a line, or lines of a name and a class, of which the first decides what is between the two: a tab, a
// comma as in CSV, or spaces. Empty lines are passed over.
func parseLabels(r io.Reader) (ordered []int, named *namedLabels, err error) {
	var lines []labelLine
	var separator string
	text := bufio.NewScanner(plaintext.Reader(r))
	for number := 1; text.Scan(); number++ {
		line := strings.TrimSpace(text.Text())
		if line == "" {
			continue
		}
		if ordered == nil && lines == nil {
			separator = separatorOf(line)
		}
		if separator == "" {
			label, err := labelIndex(line)
			if err != nil && separatorOf(line) != "" {
				return nil, nil, fmt.Errorf("line %d is %q; some lines have a file name and some have none", number, line)
			}
			if err != nil {
				return nil, nil, fmt.Errorf("line %d is %q; %s", number, line, wantLabels)
			}
			ordered = append(ordered, label)
			continue
		}
		one, err := splitLabel(line, separator)
		if err != nil {
			return nil, nil, fmt.Errorf("line %d is %q; %w", number, line, err)
		}
		one.number = number
		lines = append(lines, one)
	}
	if errors.Is(text.Err(), bufio.ErrTooLong) {
		return nil, nil, fmt.Errorf("a line is too long, over %s; %s", bounded.Text(bufio.MaxScanTokenSize), wantLabels)
	}
	if text.Err() != nil || lines == nil {
		return ordered, nil, text.Err()
	}
	named, err = nameLabels(lines, separator != "\t")
	return nil, named, err
}

// separatorOf is what a line has between a name and a class; empty where it has no name.
func separatorOf(line string) string {
	for _, s := range []string{"\t", ",", " "} {
		if strings.Contains(line, s) {
			return s
		}
	}
	return ""
}

// labelIndex reads the number of a class.
func labelIndex(text string) (int, error) {
	label, err := strconv.ParseInt(text, 10, 32)
	if err == nil && label < 0 {
		err = strconv.ErrRange
	}
	return int(label), err
}

// splitLabel takes a line apart.
func splitLabel(line, separator string) (labelLine, error) {
	at := strings.Index(line, separator)
	switch {
	case separator == ",":
		r := csv.NewReader(strings.NewReader(line))
		fields, err := r.Read()
		if err != nil || len(fields) != 2 {
			return labelLine{}, errors.Join(fmt.Errorf("want a name and a class with a comma between, as the first line has"), err)
		}
		return labelLine{name: strings.TrimSpace(fields[0]), class: strings.TrimSpace(fields[1])}, nil
	case separator == " ":
		at = strings.LastIndex(line, separator) // names may have spaces
	}
	if at < 0 {
		return labelLine{}, errors.New("some lines have a file name and some have none")
	}
	return labelLine{name: strings.TrimSpace(line[:at]), class: strings.TrimSpace(line[at+1:])}, nil
}

// headings are what the first column is called in a line that says what the columns are.
var headings = []string{"file", "filename", "file_name", "filepath", "id", "image", "image_id", "img", "name", "path", "sample"}

// nameLabels finds what classes the lines name: numbers; or where none of them is a number, the place of the name among all of them,
// sorted, as that of a folder is where each class has one.
func nameLabels(lines []labelLine, all bool) (*namedLabels, error) {
	if _, err := labelIndex(lines[0].class); err != nil && len(lines) > 1 && slices.Contains(headings, strings.ToLower(lines[0].name)) {
		lines = lines[1:]
	}
	out := &namedLabels{all: all, lines: map[string]labelLine{}}
	names := map[string]bool{}
	_, err := labelIndex(lines[0].class)
	numbers := err == nil
	for i, l := range lines {
		label, err := labelIndex(l.class)
		signed := strings.HasPrefix(l.class, "-") || errors.Is(err, strconv.ErrRange)
		switch {
		case l.name == "" || l.class == "" || signed && err != nil:
			return nil, fmt.Errorf("line %d names %q and the class %q; %s", l.number, l.name, l.class, wantLabels)
		case numbers != (err == nil):
			return nil, fmt.Errorf("line %d names the class %q, and line %d the class %q; want numbers or names in all lines", l.number, l.class, lines[0].number, lines[0].class)
		}
		lines[i].label, names[l.class] = label, true
	}
	if !numbers {
		out.classes = slices.Sorted(maps.Keys(names))
	}
	for _, l := range lines {
		if !numbers {
			l.label, _ = slices.BinarySearch(out.classes, l.class)
		}
		if before, ok := out.lines[l.name]; ok && (all || before.label != l.label) {
			return nil, fmt.Errorf("line %d: %s has the class %s here and %s in line %d; want each name once", l.number, l.name, l.class, before.class, before.number)
		}
		out.lines[l.name] = l
	}
	return out, nil
}

// match gives each sample the label of its name, or where the list has folders that the samples do not have or the other way around, of the
// name without them.
func (n *namedLabels) match(names []string) ([]int, error) {
	bare := map[string]string{} // the name in the list by its last part; "" where several have that
	for name := range n.lines {
		last := path.Base(name)
		if _, twice := bare[last]; twice {
			bare[last] = ""
		} else {
			bare[last] = name
		}
	}
	out, met := make([]int, len(names)), map[string]bool{}
	missing := ""
	for i, name := range names {
		key := name
		if _, ok := n.lines[key]; !ok {
			key = path.Base(name)
		}
		if _, ok := n.lines[key]; !ok {
			key = bare[key]
		}
		l, ok := n.lines[key]
		if !ok {
			out[i], missing = -1, cmp.Or(missing, name)
			continue
		}
		out[i], met[key] = l.label, true
	}
	if len(met) == 0 {
		return nil, fmt.Errorf("none of its %d names is one of the samples, such as %s", len(n.lines), names[0])
	}
	if !n.all {
		return out, nil
	}
	for _, l := range slices.SortedFunc(maps.Values(n.lines), func(a, b labelLine) int { return cmp.Compare(a.number, b.number) }) {
		if !met[l.name] {
			return nil, fmt.Errorf("line %d names %s, which is none of the samples; %s", l.number, l.name, ofSome)
		}
	}
	if missing != "" {
		return nil, fmt.Errorf("no line names the sample %s; %s", missing, ofSome)
	}
	return out, nil
}

// ofSome says how to give labels of some samples.
const ofSome = "a list of some samples, or of others too, has a tab in place of the comma or the spaces"
