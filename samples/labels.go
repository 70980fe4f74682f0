package samples

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/plaintext"
)

// readLabels reads the labels of n samples from a file; nil where file is empty. names
// are the samples' file names, nil where they have none. A sample that a file of names
// leaves out gets -1.
func readLabels(file string, n int, names []string) ([]int, error) {
	if file == "" {
		return nil, nil
	}
	f, _, err := bounded.Open(file)
	if err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	defer f.Close()
	ordered, named, err := parseLabels(bounded.Reader(f, file, maxLabelBytes))
	if err != nil {
		return nil, explained(file, fmt.Errorf("labels %s: %w", file, err))
	}
	if named == nil {
		if len(ordered) != n {
			return nil, fmt.Errorf("labels %s: it has %d labels for %d samples; want one a line for each, in order", file, len(ordered), n)
		}
		return ordered, nil
	}
	if names == nil {
		return nil, fmt.Errorf("labels %s: it goes by file names, but the samples are no files; give one label a line, in order", file)
	}
	out, found := make([]int, n), 0
	for i, name := range names {
		label, ok := named[name]
		if !ok {
			label, ok = named[path.Base(name)]
		}
		if out[i] = label; !ok {
			out[i] = -1
			continue
		}
		found++
	}
	if found == 0 {
		return nil, fmt.Errorf("labels %s: none of its %d names is one of the samples, such as %s", file, len(named), names[0])
	}
	return out, nil
}

// parseLabels reads either one label a line, or lines NAME<TAB>LABEL. Empty lines are
// passed over.
func parseLabels(r io.Reader) (ordered []int, named map[string]int, err error) {
	lines := bufio.NewScanner(plaintext.Reader(r))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		name, text, hasName := strings.Cut(line, "\t")
		if !hasName {
			text = name
		}
		label, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
		if err != nil || label < 0 {
			return nil, nil, fmt.Errorf("line %d is %q; want a class index from 0, or NAME<TAB>INDEX", number, line)
		}
		if hasName && ordered != nil || !hasName && named != nil {
			return nil, nil, fmt.Errorf("line %d is %q; some lines have a file name and some have none", number, line)
		}
		if !hasName {
			ordered = append(ordered, int(label))
			continue
		}
		if named == nil {
			named = map[string]int{}
		}
		if before, ok := named[name]; ok && before != int(label) {
			return nil, nil, fmt.Errorf("line %d: %s has the label %d here and %d before", number, name, label, before)
		}
		named[name] = int(label)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, nil, fmt.Errorf("a line is too long, over %s; want a class index from 0, or NAME<TAB>INDEX", bounded.Text(bufio.MaxScanTokenSize))
	}
	return ordered, named, lines.Err()
}
