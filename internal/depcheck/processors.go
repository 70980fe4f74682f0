package depcheck

import (
	"fmt"
	"regexp"
)

const processor = `(386|amd64|arm|arm64|loong64|mips\w*|ppc64\w*|riscv64|s390x|wasm)`

var (
	processorName  = regexp.MustCompile(`_` + processor + `(_test)?\.go$`)
	processorBuild = regexp.MustCompile(`(?m)^//go:build .*\b` + processor + `\b`)
)

// ByProcessor returns a line for every Go file under folder that is compiled for some processors alone. Without such, a program that is
// vetted for one processor of a system is vetted for all of them.
func ByProcessor(folder string) ([]string, error) {
	return eachFile(folder, func(name string, text []byte) string {
		if !processorName.MatchString(name) && !processorBuild.Match(text) {
			return ""
		}
		return fmt.Sprintf("%s is compiled for some processors alone, for which `make cross` does not vet it", name)
	})
}
