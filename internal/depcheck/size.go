package depcheck

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// Long returns a line for every Go file under folder that has more than most lines, tests and
// generated files left out.
func Long(folder string, most int) ([]string, error) {
	var faults []string
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if lines := bytes.Count(text, []byte("\n")); lines > most && !generated.Match(text) {
			faults = append(faults, fmt.Sprintf("%s has %d lines, more than %d: it holds more than one idea", filepath.ToSlash(name), lines, most))
		}
		return nil
	})
	return faults, err
}
