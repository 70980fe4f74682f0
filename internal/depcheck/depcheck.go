// Package depcheck holds the rules on who may import whom. Its test reads every Go file
// of the module, whatever the platform it is built for, and reports each import that
// breaks a rule.
package depcheck

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Rules say which imports are allowed. Package names are relative to the module.
type Rules struct {
	Module string
	// Below lists, for each package, the packages right below it. A package may import
	// what is below it, directly or further down, and nothing else of the module. A name
	// that ends in "/..." stands for a folder and everything in it.
	Below map[string][]string
	// TestOnly names packages that only tests may import, and beside tests the packages listed.
	TestOnly map[string][]string
	// Only names outside packages that nobody may import but the packages listed, tests included.
	Only map[string][]string
}

// House returns the rules of this module.
func House() Rules {
	return Rules{
		Module: "github.com/onnx-compress/onnx-compress",
		Below: map[string][]string{
			"cmd/onnx-compress":                {"internal/report/page", "internal/gate"},
			"docs/ways/go":                     {"compress"},
			"internal/gate":                    {"verify"},
			"internal/report/page":             {"internal/report"},
			"internal/report":                  {"compress", "costs", "internal/chart", "internal/quote"},
			"internal/quote":                   {},
			"compress":                         {"internal/quantizer", "internal/timing", "internal/probe", "internal/refit", "internal/tune", "internal/calib", "verify", "search", "internal/provenance", "internal/provision", "internal/suggest", "internal/size"},
			"internal/provenance":              {"samples"},
			"internal/refit":                   {"internal/feed", "internal/moments", "internal/defaults", "rewrite"},
			"internal/tune":                    {"internal/feed", "internal/outputs", "grad", "linalg"},
			"verify":                           {"internal/feed", "internal/defaults", "internal/outputs"},
			"grad":                             {"shapes"},
			"internal/calib":                   {"internal/feed", "internal/outputs", "internal/moments", "internal/defaults", "rewrite", "grad"},
			"internal/outputs":                 {"graph", "internal/quote", "internal/suggest"},
			"internal/feed":                    {"samples", "internal/ort", "internal/ordered", "internal/outputs", "shapes"},
			"internal/ordered":                 {},
			"samples":                          {"shapes", "internal/bounded", "internal/filekind", "internal/plaintext", "internal/suggest"},
			"internal/moments":                 {"linalg", "rewrite"},
			"rewrite":                          {"decomp", "shapes"},
			"shapes":                           {"internal/compound"},
			"internal/compound":                {"graph"},
			"graph":                            {"onnxio"},
			"onnxio":                           {"onnxio/onnxpb", "tensor", "internal/rss", "internal/filekind"},
			"internal/rss":                     {"internal/atomicfile"},
			"onnxio/onnxpb":                    {},
			"onnxio/onnxiotest":                {"onnxio"},
			"tensor":                           {},
			"decomp":                           {"linalg"},
			"decomp/decomptest":                {"decomp"},
			"search":                           {},
			"internal/quantizer":               {"onnxio"},
			"internal/timing":                  {"internal/ort", "internal/bounded"},
			"internal/probe":                   {"costs", "graph", "internal/timing"},
			"costs":                            {},
			"internal/defaults":                {"linalg", "samples"},
			"linalg":                           {"internal/dynlib"},
			"internal/dynlib":                  {},
			"internal/ort":                     {"tensor", "internal/dynlib"},
			"internal/ort/orttest":             {"internal/ort", "internal/provision/provisiontest"},
			"internal/provision":               {},
			"internal/provision/provisiontest": {"internal/provision"},
			"internal/atomicfile":              {},
			"internal/filekind":                {},
			"internal/plaintext":               {},
			"internal/backendtest":             {"internal/provision/provisiontest", "graph"},
			"internal/size":                    {},
			"internal/bounded":                 {"internal/size"},
			"internal/suggest":                 {},
			"internal/chart":                   {},
			"internal/chromium":                {},
			"internal/report/page/pagetest":    {"compress"},
			"scripts/screenshots":              {"internal/chromium"},
			"internal/depcheck":                {},
			"internal/seeds":                   {},
			"internal/testkit":                 {"testmodels"},
			"internal/sitetest":                {"internal/testkit", "internal/feed", "rewrite"},
			"testmodels":                       {"graph"},
			"integration":                      {},
			"bench/...":                        {"cmd/onnx-compress", "decomp/decomptest", "internal/chart", "testmodels"},
		},
		TestOnly: map[string][]string{
			"testmodels":                       {"bench/...", "internal/testkit"},
			"decomp/decomptest":                {},
			"internal/provision/provisiontest": {"internal/backendtest", "internal/ort/orttest"},
			"internal/ort/orttest":             {},
			"internal/backendtest":             {},
			"internal/seeds":                   {},
			"internal/testkit":                 {"internal/sitetest"},
			"internal/sitetest":                {},
			"internal/depcheck":                {},
			"internal/chromium":                {"scripts/screenshots"},
			"internal/report/page/pagetest":    {},
		},
		Only: map[string][]string{
			"github.com/ebitengine/purego": {"internal/dynlib", "internal/ort", "linalg"},
			// The messages of ONNX's schema, and how they are coded, stay behind graph; testkit reads models that nothing
			// makes, testmodels writes some larger than memory.
			"github.com/onnx-compress/onnx-compress/onnxio/onnxpb": {"onnxio/...", "graph"},
			"google.golang.org/protobuf":                           {"onnxio/...", "graph", "internal/testkit", "testmodels"},
			"github.com/spf13/cobra":                               {"cmd/onnx-compress"},
			"github.com/spf13/pflag":                               {"cmd/onnx-compress"},
			"C":                                                    {},
		},
	}
}

// Check reads the module in root and returns a line for every import that breaks a rule.
func (r Rules) Check(root string) ([]string, error) {
	var faults []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "vendor") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && name != root {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if filepath.Ext(base) != ".go" {
			return nil
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		imports, err := importsOf(name)
		if err != nil {
			return err
		}
		for _, imported := range imports {
			if fault := r.judge(filepath.ToSlash(relative), imported); fault != "" && !slices.Contains(faults, fault) {
				faults = append(faults, fault)
			}
		}
		return nil
	})
	return faults, err
}

func importsOf(name string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, imported)
	}
	return out, nil
}

// judge returns what is wrong with one import of one file, or "".
func (r Rules) judge(file, imported string) string {
	pkg, test := path.Dir(file), strings.HasSuffix(file, "_test.go")
	for outside, allowed := range r.Only {
		if within(imported, outside) && !matches(allowed, pkg) {
			return fmt.Sprintf("%s imports %s, which only %s may", file, imported, orNobody(allowed))
		}
	}
	if imported != r.Module && !strings.HasPrefix(imported, r.Module+"/") {
		return ""
	}
	ours := strings.TrimPrefix(strings.TrimPrefix(imported, r.Module), "/")
	if test || ours == pkg {
		return ""
	}
	if allowed, limited := r.TestOnly[ours]; limited && !matches(allowed, pkg) {
		return fmt.Sprintf("%s imports %s, which is for tests", file, ours)
	}
	key, known := r.find(pkg)
	if !known {
		return fmt.Sprintf("package %s is not in the rules of internal/depcheck: say there what is below it", pkg)
	}
	if !r.reaches(key, ours, map[string]bool{}) {
		return fmt.Sprintf("%s imports %s, which is not below %s", file, ours, pkg)
	}
	return ""
}

// find returns the entry of Below that covers a package.
func (r Rules) find(pkg string) (string, bool) {
	if _, ok := r.Below[pkg]; ok {
		return pkg, true
	}
	for key := range r.Below {
		if strings.HasSuffix(key, "/...") && matches([]string{key}, pkg) {
			return key, true
		}
	}
	return "", false
}

func (r Rules) reaches(from, to string, seen map[string]bool) bool {
	if seen[from] {
		return false
	}
	seen[from] = true
	return matches([]string{from}, to) || slices.ContainsFunc(r.Below[from], func(next string) bool {
		return r.reaches(next, to, seen)
	})
}

// within tells whether a package is another or lies in its folder.
func within(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func matches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		folder, wide := strings.CutSuffix(pattern, "/...")
		return pattern == pkg || wide && within(pkg, folder)
	})
}

func orNobody(allowed []string) string {
	if len(allowed) == 0 {
		return "nobody"
	}
	return strings.Join(allowed, " and ")
}
