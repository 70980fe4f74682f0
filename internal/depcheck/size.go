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
	return eachFile(folder, func(name string, text []byte) string {
		lines := bytes.Count(text, []byte("\n"))
		if lines <= most || strings.HasSuffix(name, "_test.go") || generated.Match(text) {
			return ""
		}
		return fmt.Sprintf("%s has %d lines, more than %d: it holds more than one idea", name, lines, most)
	})
}

// eachFile looks for faults in every Go file under folder, hidden folders and what is built left out.
func eachFile(folder string, look func(name string, text []byte) (fault string)) ([]string, error) {
	var faults []string
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != folder && (entry.Name() == "build" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if fault := look(filepath.ToSlash(name), text); fault != "" {
			faults = append(faults, fault)
		}
		return nil
	})
	return faults, err
}
