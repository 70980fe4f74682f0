// Package seeds holds seeds of the fuzz targets: tiny models, tensors, arrays and archives that other programs wrote, as
// scripts/seeds.py makes them.
package seeds

import (
	"embed"
	"path"
	"testing"
)

//go:embed testdata
var files embed.FS

// Files returns the bytes of the files of one kind: models, tensors, arrays or archives, in the order of their names; only
// those with the ending, where one is given.
func Files(t testing.TB, kind, ending string) [][]byte {
	t.Helper()
	folder := path.Join("testdata", kind)
	entries, err := files.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, e := range entries {
		if ending != "" && path.Ext(e.Name()) != ending {
			continue
		}
		data, err := files.ReadFile(path.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, data)
	}
	if len(out) == 0 {
		t.Fatalf("there are no %s%s", kind, ending)
	}
	return out
}

// Add gives a target of one argument all files of a kind.
func Add(f *testing.F, kind, ending string) {
	f.Helper()
	for _, data := range Files(f, kind, ending) {
		f.Add(data)
	}
}
