package depcheck

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const processor = `(386|amd64|arm|arm64|loong64|mips\w*|ppc64\w*|riscv64|s390x|wasm)`

var (
	processorName  = regexp.MustCompile(`_` + processor + `(_test)?\.go$`)
	processorBuild = regexp.MustCompile(`(?m)^//go:build .*\b` + processor + `\b`)
)

// ByProcessor returns a line for every Go file under folder that is compiled for some processors alone. Without such, a program that is
// vetted for one processor of a system is vetted for all of them.
func ByProcessor(folder string) ([]string, error) {
	var faults []string
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != folder && strings.HasPrefix(entry.Name(), "."), entry.IsDir() && entry.Name() == "build":
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err == nil && (processorName.MatchString(name) || processorBuild.Match(text)) {
			faults = append(faults, fmt.Sprintf("%s is compiled for some processors alone, for which `make cross` does not vet it", filepath.ToSlash(name)))
		}
		return err
	})
	return faults, err
}
